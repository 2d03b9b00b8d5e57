import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.rest.json.answers import columns, predictions
from eigenfit_serving.server.rest.messages import failure

NAN, INF = np.nan, np.inf


def strings(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": np.array([1.0, 2.5])}, '{"predictions":[1.0,2.5]}'),
        ({"y": np.array([[1, 2], [3, 4]])}, '{"predictions":[[1,2],[3,4]]}'),
        (
            {"b": np.array([1.0, 2.0]), "a": np.array([[True], [False]])},
            '{"predictions":[{"a":[true],"b":1.0},{"a":[false],"b":2.0}]}',
        ),
        (
            {"y": np.array([NAN, INF, -INF, 3])},
            '{"predictions":[NaN,Infinity,-Infinity,3.0]}',
        ),
        (
            {"y": np.array([[NAN], [0.1]], np.float32), "z": np.array([1, 2])},
            '{"predictions":[{"y":[NaN],"z":1},{"y":[0.1],"z":2}]}',
        ),
        ({"y": np.array([[0.1, 3.0]], np.float32)}, '{"predictions":[[0.1,3.0]]}'),
        ({"y": np.array([0.1, 0.2], np.float32)}, '{"predictions":[0.1,0.2]}'),
        ({"y": np.zeros((0, 3))}, '{"predictions":[]}'),
        ({"y": np.zeros((2, 0))}, '{"predictions":[[],[]]}'),
        ({"y": strings(b"a", "é".encode())}, '{"predictions":["a","é"]}'),
        ({"y_bytes": strings(b"hello")}, '{"predictions":[{"b64":"aGVsbG8="}]}'),
        ({"y": np.array([1, 255], np.uint8)}, '{"predictions":[1,255]}'),
        (
            {"y": np.array([2**64 - 1], np.uint64)},
            '{"predictions":[18446744073709551615]}',
        ),
    ],
)
def test_rows(outputs, text):
    assert predictions(outputs).decode() == text


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": np.array(2.0)}, '{"outputs":2.0}'),
        ({"y": np.array(0.1, np.float32)}, '{"outputs":0.1}'),
        ({"y": np.array([[0.1], [NAN]], np.float32)}, '{"outputs":[[0.1],[NaN]]}'),
        ({"y": np.arange(6)[::2]}, '{"outputs":[0,2,4]}'),
        (
            {"b": np.array([1.5]), "a": np.array(7)},
            '{"outputs":{"a":7,"b":[1.5]}}',
        ),
        ({"y_bytes": np.array(b"hello", object)}, '{"outputs":{"b64":"aGVsbG8="}}'),
    ],
)
def test_columns(outputs, text):
    assert columns(outputs).decode() == text


def test_bytes_that_are_no_text_pass_through():
    assert predictions({"y": strings(b"\xff")}) == b'{"predictions":["\xff"]}'


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.array(1.0)}, "Tensor name: y has no shape information "),
        (
            {"x": np.zeros(3), "y": np.zeros(2)},
            "Tensor name: y has inconsistent batch size: 2 expecting: 3",
        ),
        *(
            (
                {"y": np.zeros(2, dtype)},
                f"Failed to write JSON value for tensor type: {name}",
            )
            for dtype, name in (
                (np.float16, "half"),
                (np.complex64, "complex64"),
                (np.complex128, "complex128"),
                (np.uint16, "uint16"),
            )
        ),
    ],
)
def test_message(outputs, message):
    with pytest.raises(ServingError) as caught:
        predictions(outputs)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == message


def test_error_body_is_json():
    text = 'a "quoted" name,\n\x01 \udcff'
    reply = failure(ServingError(Code.NOT_FOUND, text))
    assert (reply.status, reply.content_type) == (404, "application/json")
    assert json.loads(reply.body) == {"error": text.replace("\udcff", "?")}


FLOATS = st.floats(width=64) | st.sampled_from([0.0, -0.0, 1e16, 9e6, 3e-5, 1e-310])


@given(st.lists(FLOATS, min_size=1, max_size=5))
def test_doubles_come_back_exactly(values):
    found = json.loads(predictions({"y": np.array(values)}))["predictions"]
    assert repr(found) == repr(values)


@given(st.lists(st.floats(width=32), min_size=1, max_size=5))
def test_singles_come_back_exactly_and_short(values):
    array = np.array(values, np.float32)
    for outputs in ({"y": array}, {"y": array, "z": array}):
        rows = json.loads(predictions(outputs))["predictions"]
        found = [row["z"] if isinstance(row, dict) else row for row in rows]
        np.testing.assert_array_equal(np.array(found, np.float32), array)
        # 0.1 of single precision is 0.1, and not 0.10000000149011612.
        assert all(len(repr(x)) <= 16 for x in found if 1e-4 <= abs(x) < 1e9)
