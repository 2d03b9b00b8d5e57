import pytest

from eigenfit_serving.protocol.messages import ModelServerConfig
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.protocol.text import parse_text
from eigenfit_serving.server.versions import parse_version, read_models

MODEL = 'config {{ name: "{0}" base_path: "/m/{0}" model_platform: "tensorflow" {1} }}'


def config(*models):
    text = "model_config_list { " + " ".join(models) + " }"
    return parse_text(ModelServerConfig, text, "test")


def refusal(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("1", 1),
        ("00000123", 123),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("1" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("v1", None),
        ("1_0", None),
        ("", None),
        (".2.tmp", None),
        ("١", None),
    ],
)
def test_only_whole_numbers_name_versions(name, number):
    assert parse_version(name) == number


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", [7]),
        ("model_version_policy { latest { num_versions: 2 } }", [7, 5]),
        ("model_version_policy { latest { } }", [7]),
        ("model_version_policy { all { } }", [7, 5, 2]),
        ("model_version_policy { specific { versions: 2 versions: 9 } }", [2]),
        ("model_version_policy { specific { versions: 2 versions: 5 } }", [5, 2]),
    ],
)
def test_policies_choose_versions_highest_first(text, chosen):
    [model] = read_models(config(MODEL.format("a", text)))
    assert model.choose([2, 7, 5]) == chosen


def test_labels_are_read():
    text = 'version_labels { key: "stable" value: 3 }'
    [model] = read_models(config(MODEL.format("a", text)))
    assert model.labels == {"stable": 3}


def test_a_model_listed_twice_is_refused():
    twice = config(MODEL.format("a", ""), MODEL.format("a", ""))
    assert refusal(read_models, twice) == (
        Code.INVALID_ARGUMENT,
        "Illegal to list model a multiple times in config list",
    )


@pytest.mark.parametrize("path", ["models/a", "", "./a"])
def test_relative_paths_are_refused(path):
    text = f'config {{ name: "a" base_path: "{path}" model_platform: "tensorflow" }}'
    assert refusal(read_models, config(text)) == (
        Code.INVALID_ARGUMENT,
        f"Expected model a to have an absolute path or URI; got base_path()={path}",
    )


@pytest.mark.parametrize(
    ("platform", "code", "message"),
    [
        (
            "",
            Code.INVALID_ARGUMENT,
            "Illegal setting neither ModelServerConfig::model_type(deprecated) nor "
            "ModelServerConfig::model_platform.",
        ),
        (
            'model_type: TENSORFLOW model_platform: "tensorflow"',
            Code.INVALID_ARGUMENT,
            "Illegal to set both ModelServerConfig::model_type(deprecated) and "
            "ModelServerConfig::model_platform.",
        ),
        (
            'model_platform: "torch"',
            Code.FAILED_PRECONDITION,
            "PlatformConfigMap has no entry for platform torch",
        ),
    ],
)
def test_platforms_are_checked(platform, code, message):
    text = f'config {{ name: "a" base_path: "/m" {platform} }}'
    assert refusal(read_models, config(text)) == (code, message)


def test_the_old_way_to_give_the_platform_is_read():
    text = 'config { name: "a" base_path: "/m" model_type: TENSORFLOW }'
    assert read_models(config(text))[0].name == "a"


def test_a_platform_must_not_change():
    new = config('config { name: "a" base_path: "/m/a" model_platform: "other" }')
    assert refusal(read_models, new, ["a"]) == (
        Code.INVALID_ARGUMENT,
        "Illegal to change a model's platform. For model a platform was tensorflow "
        "and new platform requested is other",
    )
    assert refusal(read_models, new, ["b"])[0] is Code.FAILED_PRECONDITION
