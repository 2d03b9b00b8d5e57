import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.server.rest_fakes import outcome

from eigenfit_serving.protocol.messages import DataType
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.rest.json.elements import ELEMENTS, WRITABLE
from eigenfit_serving.server.rest.json.tensors import predict_inputs, signature_name_of
from eigenfit_serving.server.rest.json.text import parse_object

NUMBERS = {name[3:].lower(): number for name, number in DataType.items()}
TYPES = (
    *("float", "double", "int32", "uint8", "int8", "int16", "int64", "uint32"),
    *("uint64", "bool", "string", "half", "complex64", "bfloat16", "uint16", "qint8"),
)


def convert(body, **inputs):
    kinds = {name: NUMBERS[x] for name, x in inputs.items()}
    document = parse_object(body.encode())
    return predict_inputs(document, kinds, signature_name_of(document))


@pytest.mark.parametrize(
    ("body", "dtype", "value"),
    [
        ('{"instances": [[1, 2], [3, 4.5]]}', "float", [[1, 2], [3, 4.5]]),
        ('{"instances": [1, 2.0, NaN, -Infinity]}', "double", [1, 2, np.nan, -np.inf]),
        ('{"instances": [1e39, -1e39, 1e-50]}', "float", [np.inf, -np.inf, 0]),
        ('{"instances": [18446744073709551616]}', "double", [2.0**64]),
        ('{"instances": [[[1]], [[2]]]}', "int32", [[[1]], [[2]]]),
        ('{"instances": [300, -1]}', "uint8", [44, 255]),
        ('{"instances": [70000]}', "int16", [4464]),
        ('{"instances": [200]}', "int8", [-56]),
        ('{"instances": [9223372036854775807]}', "int64", [2**63 - 1]),
        ('{"instances": [4294967295]}', "uint32", [2**32 - 1]),
        ('{"instances": [18446744073709551615]}', "uint64", [2**64 - 1]),
        ('{"instances": [true, false]}', "bool", [True, False]),
        ('{"instances": ["a", {"b64": "aGVsbG8="}]}', "string", [b"a", b"hello"]),
        ('{"instances": [[{"b64": "aGVsbG8"}]]}', "string", [[b"hello"]]),
        ('{"instances": ["é"]}', "string", ["é".encode()]),
        ('{"instances": [{"x": [1]}, {"x": [2]}]}', "float", [[1], [2]]),
        ('{"instances": [[], []]}', "float", np.zeros((2, 0))),
        ('{"inputs": 3}', "float", 3),
        ('{"inputs": [[1, 2]]}', "double", [[1, 2]]),
        ('{"inputs": {"x": [1], "more": "ignored"}}', "double", [1]),
        ('{"inputs": {"b64": "aGVsbG8="}}', "string", b"hello"),
        ('{"inputs": {"b64": "aGV sbG8."}}', "string", b"hello"),
        ('{"inputs": [], "unknown": 1}', "int32", []),
    ],
)
def test_value(body, dtype, value):
    found = convert(body, x=dtype).arrays["x"]
    assert found.dtype == ELEMENTS[NUMBERS[dtype]].dtype
    expected = np.array(value, found.dtype) if dtype != "uint8" else np.array(value)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_named_inputs():
    row = '{"instances": [{"a": 1, "b": [2, 3]}, {"b": [4, 5], "a": 6}]}'
    found = convert(row, a="int32", b="double")
    assert found.by_row
    assert found.arrays["a"].tolist() == [1, 6]
    assert found.arrays["b"].tolist() == [[2, 3], [4, 5]]
    column = '{"inputs": {"a": [1, 6], "b": [[2, 3], [4, 5]], "c": 1}}'
    again = convert(column, a="int32", b="double")
    assert not again.by_row
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


ONE = {"x": "float"}
TWO = {"b": "double", "a": "int32"}
FAILED = "Failed to process element: "


@pytest.mark.parametrize(
    ("inputs", "body", "message"),
    [
        (ONE, "{}", "Missing 'inputs' or 'instances' key"),
        ({}, "{}", "Failed to get input map for signature: DEFAULT"),
        (
            {},
            '{"signature_name": "s"}',
            "Failed to get input map for signature: s",
        ),
        (
            ONE,
            '{"signature_name": 5}',
            'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
            "'signature_name' key must be a string value.",
        ),
        (
            ONE,
            '{"instances": [1], "inputs": 2}',
            'JSON Value: {\n    "instances": [\n        1\n    ],\n    "inputs": 2\n} '
            "Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist ",
        ),
        (
            ONE,
            '{"instances": 5}',
            "JSON Value: {\n    \"instances\": 5\n} Expecting 'instances' to be an "
            "list/array",
        ),
        (
            ONE,
            '{"instances": []}',
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        ),
        (
            TWO,
            '{"instances": [1]}',
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map",
        ),
        (
            TWO,
            '{"inputs": [1]}',
            "inputs is a plain value/list, but expecting an object as multiple input "
            "tensors required as per tensorinfo_map",
        ),
        (TWO, '{"inputs": {"a": 1}}', "Missing named input: b in 'inputs' object."),
        (ONE, '{"inputs": {}}', "Missing named input: x in 'inputs' object."),
        (
            TWO,
            '{"instances": [{"a": 1, "b": 2, "c": 3}]}',
            FAILED + "0 key: c of 'instances' list. Error: INVALID_ARGUMENT: JSON "
            "object: does not have named input: c",
        ),
        (
            TWO,
            '{"instances": [{"a": 1, "b": 2}, {"b": 2}]}',
            FAILED + "1 of 'instances' list. JSON object: {\n    \"b\": 2\n} keys must "
            "be equal to: a,b",
        ),
        (
            ONE,
            '{"instances": [{"x": 1}, [1]]}',
            "Expecting object but got list at item 1 of input list",
        ),
        (
            ONE,
            '{"instances": [1, {"x": 1}]}',
            "Expecting value/list but got object at item 1 of input list",
        ),
        (
            ONE,
            '{"instances": [[[1, 2], [3, 4]], [5, 6]]}',
            FAILED + "1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor "
            "size: 4 but got: 2",
        ),
        (
            ONE,
            '{"instances": [{"x": [[1, 2], [3, 4]]}, {"x": [1, 2, 3, 4]}]}',
            FAILED + "1 key: x of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
            "shape [2,2] but got: [4]",
        ),
        (
            ONE,
            '{"inputs": "a"}',
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            ONE,
            '{"inputs": [1, true]}',
            "JSON Value: true Type: True is not of expected type: float",
        ),
        (
            ONE,
            '{"inputs": false}',
            "JSON Value: false Type: False is not of expected type: float",
        ),
        (
            ONE,
            '{"inputs": null}',
            "JSON Value: null Type: Null is not of expected type: float",
        ),
        (
            ONE,
            '{"inputs": [{"a": 1}]}',
            'JSON Value: {\n    "a": 1\n} Type: Object is not of expected type: float',
        ),
        (
            {"x": "int32"},
            '{"inputs": 1.5}',
            "JSON Value: 1.5 Type: Number is not of expected type: int32",
        ),
        (
            {"x": "int8"},
            '{"inputs": 2147483648}',
            "JSON Value: 2147483648 Type: Number is not of expected type: int8",
        ),
        (
            {"x": "uint32"},
            '{"inputs": -1}',
            "JSON Value: -1 Type: Number is not of expected type: uint32",
        ),
        (
            {"x": "int64"},
            '{"inputs": 9223372036854775808}',
            "JSON Value: 9223372036854775808 Type: Number is not of expected type: "
            "int64",
        ),
        (
            {"x": "int64"},
            '{"inputs": NaN}',
            "JSON Value: NaN Type: Number is not of expected type: int64",
        ),
        (
            {"x": "bool"},
            '{"inputs": 1}',
            "JSON Value: 1 Type: Number is not of expected type: bool",
        ),
        (
            {"x": "string"},
            '{"inputs": 0.1}',
            "JSON Value: 0.1 Type: Number is not of expected type: string",
        ),
        (
            {"x": "string"},
            '{"inputs": 1e300}',
            "JSON Value: 1e+300 Type: Number is not of expected type: string",
        ),
        (
            ONE,
            '{"inputs": [[1], 2]}',
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at "
            "level: 2",
        ),
        (
            ONE,
            '{"inputs": [1, [2]]}',
            "Encountered list at unexpected level: 1 expected < 1",
        ),
        (
            ONE,
            '{"inputs": [[1.0], [[2]], [3]]}',
            "Encountered list at unexpected level: 2 expected < 2",
        ),
        (
            {"x": "string"},
            '{"inputs": [["a"], [["b"]]]}',
            "Encountered list at unexpected level: 2 expected < 2",
        ),
        (
            {"x": "int32"},
            '{"inputs": [[1], [[]]]}',
            "Encountered list at unexpected level: 2 expected < 2",
        ),
        (
            ONE,
            '{"inputs": [[1], [1, 2]]}',
            "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
        ),
        (
            {"x": "string"},
            '{"inputs": [{"b64": 5}]}',
            'JSON Value: {\n    "b64": 5\n} not formatted correctly for base64 data',
        ),
        ({"x": "string"}, '{"inputs": {"b64": "a!"}}', "Unable to base64 decode"),
        ({"x": "string"}, '{"inputs": {"b64": "aGVsb"}}', "Unable to base64 decode"),
        (
            {"x": "string"},
            '{"inputs": {"b64": "aGVsbG8=="}}',
            "Unable to base64 decode",
        ),
        (
            {"x": "half"},
            '{"instances": [1.5]}',
            FAILED + "0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON "
            "Value: 1.5 to type: half",
        ),
        (
            ONE,
            '{"inputs": ' + "[" * 100 + "1" + "]" * 100 + "}",
            "Lists are nested deeper than the limit of 32.",
        ),
    ],
)
def test_message(inputs, body, message):
    with pytest.raises(ServingError) as caught:
        convert(body, **inputs)
    assert caught.value.message == message
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("dtype", ["half", "complex64", "bfloat16", "uint16"])
def test_dtypes_without_json(dtype):
    with pytest.raises(ServingError) as caught:
        convert('{"inputs": [1]}', x=dtype)
    assert caught.value.code is Code.UNIMPLEMENTED
    expected = f"Conversion of JSON Value: 1 to type: {dtype}"
    assert caught.value.message == expected


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("half", np.float16),
        ("complex64", np.complex64),
        ("bfloat16", ml_dtypes.bfloat16),
        ("uint16", np.uint16),
    ],
)
def test_nothing_of_dtypes_without_json(dtype, kept):
    for body, shape in (
        ('{"inputs": []}', (0,)),
        ('{"inputs": [[]]}', (1, 0)),
        ('{"instances": [[], []]}', (2, 0)),
    ):
        array = convert(body, x=dtype).arrays["x"]
        assert (array.dtype, array.shape) == (kept, shape)


def test_nothing_of_a_dtype_without_arrays():
    with pytest.raises(ServingError) as caught:
        convert('{"inputs": []}', x="qint8")
    assert caught.value.code is Code.UNIMPLEMENTED
    assert caught.value.message == "Conversion of JSON Value: [] to type: qint8"


def test_counts_rows_before_it_converts_them():
    with pytest.raises(ServingError, match="3 rows, over the limit of 2"):
        predict_inputs({"instances": ["a", 1, []]}, {"x": NUMBERS["float"]}, "", 2)


NESTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=3)
    | st.builds(lambda text: {"b64": text}, st.text("aA+/=. !", max_size=6)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["x", "y", "b64"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["instances", "inputs", "signature_name"]), NESTED, max_size=2
    ),
    st.dictionaries(st.sampled_from("xy"), st.sampled_from(TYPES), min_size=1),
)
def test_any_document_is_refused_or_read(document, inputs):
    found, error = outcome(lambda: convert(json.dumps(document), **inputs))
    if error is not None:
        assert error.code in (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED)
        return
    for array in found.arrays.values():
        assert array.dtype in WRITABLE or not array.size


# Lists that differ in depth and length only.
RAGGED = st.recursive(
    st.just(1), lambda inner: st.lists(inner, max_size=3), max_leaves=12
)


@given(st.sampled_from(["instances", "inputs"]), RAGGED, st.sampled_from(TYPES))
def test_ragged_lists_are_refused_or_read(key, value, dtype):
    found, error = outcome(lambda: convert(json.dumps({key: value}), x=dtype))
    if error is not None:
        assert error.code in (Code.INVALID_ARGUMENT, Code.UNIMPLEMENTED)
    else:
        assert found.arrays["x"].tolist() == value
