import pytest

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.rest.paths import is_api, route


@pytest.mark.parametrize(
    ("method", "target", "action", "name", "version", "label"),
    [
        ("POST", "/v1/models/m:predict", "predict", "m", None, None),
        ("POST", "/V1/MODELS/m:predict", "predict", "m", None, None),
        ("POST", "/v1/models/m/versions/12:predict", "predict", "m", 12, None),
        ("POST", "/v1/models/m/versions/0012:predict", "predict", "m", 12, None),
        ("POST", "/v1/models/m/labels/canary:predict", "predict", "m", None, "canary"),
        ("POST", "/v1/models/m/labels/a%3Ab:predict", "predict", "m", None, "a:b"),
        ("POST", "/v1/models/a%20b%2Fc:predict", "predict", "a b/c", None, None),
        ("POST", "/v1/models/100%:predict", "predict", "100%", None, None),
        ("GET", "/v1/models/m", "status", "m", None, None),
        ("GET", "/v1/models/m/versions/12", "status", "m", 12, None),
        ("GET", "/v1/models/m/labels/canary", "status", "m", None, "canary"),
        ("GET", "/v1/models/m/metadata", "metadata", "m", None, None),
        ("GET", "/v1/models/m/METADATA", "status", "m", None, None),
        ("GET", "/v1/models/m/versions/12/metadata", "metadata", "m", 12, None),
        ("GET", "/v1/models/m/labels/c/metadata", "metadata", "m", None, "c"),
        ("GET", "/v1/models/metadata", "status", "metadata", None, None),
        ("GET", "/v1/models/m?x=1", "status", "m?x=1", None, None),
        ("GET", "/v1/models", "list", "", None, None),
        (
            *("GET", "/v1/models/m/versions/9223372036854775807"),
            *("status", "m", 2**63 - 1, None),
        ),
    ],
)
def test_makes_sense(method, target, action, name, version, label):
    found = route(method, target)
    assert found.action == action
    spec = found.spec
    assert (spec.name, spec.version, spec.label) == (name, version, label)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m:predict?x=1"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:explain"),
        ("POST", "/v1/models/m/version/50:regress"),
        ("POST", "/v1/models/m/versions/HELLO:regress"),
        ("POST", "/v1/models/m/versions/-1:regress"),
        ("POST", "/v1/models/m/versions/\u0663:predict"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/foo"),
        ("GET", "/v1/foo"),
        ("GET", "/v1/models/m:predict"),
        ("GET", "/v1/models/m/metadata?x=1"),
        ("GET", "/v1/models?x=1"),
        ("GET", "/v1/models/m/versions/1/labels/a"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/"),
        ("HEAD", "/v1/models/m"),
        ("PUT", "/v1/models/m:predict"),
        ("DELETE", "/v1/models/m"),
        ("PATCH", "/v1/models/m"),
    ],
)
def test_malformed(method, target):
    with pytest.raises(ServingError) as caught:
        route(method, target)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == f"Malformed request: {method} {target}"


@pytest.mark.parametrize(
    ("method", "target", "message"),
    [
        (
            *("POST", "/v1/models/m/versions/9223372036854775808:predict"),
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
        (
            *("GET", "/v1/models/m/versions/18446744073709551615"),
            "Failed to convert version: 18446744073709551615 to numeric.",
        ),
        ("GET", "/v1/models/versions/1", "Missing model name in request."),
        ("GET", "/v1/models/labels/x/metadata", "Missing model name in request."),
    ],
)
def test_message(method, target, message):
    with pytest.raises(ServingError) as caught:
        route(method, target)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == message


@pytest.mark.parametrize("target", ["/v1/", "/V1/x", "/v1/models?x", "/v1//"])
def test_is_of_the_protocol(target):
    assert is_api(target)


@pytest.mark.parametrize("target", ["/", "/v1", "/v2/", "/x/v1/models", "/v1?/"])
def test_is_foreign(target):
    assert not is_api(target)


@pytest.mark.parametrize("digits", ["9223372036854775808", "9" * 5000])
def test_versions_with_too_many_digits(digits):
    with pytest.raises(ServingError, match="Failed to convert version: 9") as caught:
        route("GET", f"/v1/models/m/versions/{digits}")
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert len(caught.value.message) < 120


def test_zeros_before_a_version():
    assert route("GET", f"/v1/models/m/versions/{'0' * 5000}7").spec.version == 7
    assert route("GET", "/v1/models/m/versions/000").spec.version == 0
