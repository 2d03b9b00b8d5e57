import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.server.rest_fakes import outcome

from eigenfit_serving.protocol.messages import Example
from eigenfit_serving.server.json_examples import examples_of
from eigenfit_serving.server.status import Code, ServingError


def features(serialised):
    found = Example.FromString(serialised).features.feature
    return {
        name: (feature.WhichOneof("kind"), list(getattr(feature, kind).value))
        for name, feature in found.items()
        if (kind := feature.WhichOneof("kind"))
    }


def test_kinds_of_features():
    [found] = examples_of(
        {
            "examples": [
                {
                    "names": ["foo", "bär"],
                    "ratings": [8.0, 0.1],
                    "age": 20,
                    "flags": [True, False],
                    "raw": {"b64": "/w=="},
                    "mixed": ["a", {"b64": "Yg=="}],
                    "empty": [],
                    "huge": 1e300,
                }
            ]
        },
        Example,
    )
    assert features(found) == {
        "names": ("bytes_list", [b"foo", "bär".encode()]),
        "ratings": ("float_list", [8.0, float(np.float32(0.1))]),
        "age": ("int64_list", [20]),
        "flags": ("int64_list", [1, 0]),
        "raw": ("bytes_list", [b"\xff"]),
        "mixed": ("bytes_list", [b"a", b"b"]),
        "huge": ("float_list", [np.inf]),
    }


def test_context_is_part_of_every_example():
    document = {"context": {"where": "here"}, "examples": [{"x": 1.5}, {"x": 2.5}]}
    first, second = examples_of(document, Example)
    assert features(first) == {
        "where": ("bytes_list", [b"here"]),
        "x": ("float_list", [1.5]),
    }
    assert features(second)["x"] == ("float_list", [2.5])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (
            {},
            "JSON Value: {} When method is classify, key 'examples' is expected and "
            "was not found",
        ),
        (
            {"examples": 1},
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an "
            "list/array",
        ),
        (
            {"examples": []},
            "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array",
        ),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": ["a"]}, "Example must be JSON object but got JSON String"),
        (
            {"context": [], "examples": [{}]},
            "Example must be JSON object but got JSON Array",
        ),
        (
            {"examples": [{"x": None}]},
            "Feature: x has element with unexpected JSON type: Null",
        ),
        (
            {"examples": [{"x": [[1]]}]},
            "Feature: x has element with unexpected JSON type: Array",
        ),
        (
            {"examples": [{"x": {"y": 1}}]},
            "Feature: x has element with unexpected JSON type: Object",
        ),
        (
            {"examples": [{"x": [1.5, 1]}]},
            "Unexpected element type in feature: x expecting type: float",
        ),
        (
            {"examples": [{"x": [1, "a"]}]},
            "Unexpected element type in feature: x expecting type: int64",
        ),
        (
            {"examples": [{"x": ["a", True]}]},
            "Unexpected element type in feature: x expecting type: bytes",
        ),
        (
            {"examples": [{"x": 2**63}]},
            "Feature: x has uint64 element. Only int64 is supported.",
        ),
        ({"examples": [{"x": {"b64": "!"}}]}, "Unable to base64 decode"),
    ],
)
def test_message(document, message):
    with pytest.raises(ServingError) as caught:
        examples_of(document, Example)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == message


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.sampled_from(["examples", "context"]), VALUES))
def test_any_document_is_refused_or_read(document):
    document = json.loads(json.dumps(document))
    found, error = outcome(examples_of, document, Example)
    assert error is None or error.code is Code.INVALID_ARGUMENT
    for serialised in found or ():
        Example.FromString(serialised)
