"""Large answers, which are written in pieces."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from eigenfit_serving.server.rest.json import answers as json_answers

SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7)


@pytest.fixture(autouse=True, params=[1, 5, 1 << 14])
def piece(request, monkeypatch):
    monkeypatch.setattr(json_answers, "_PIECE", request.param)


def values(dtype):
    if dtype is np.int64:
        return st.integers(-5, 5)
    if dtype is object:
        return st.text(max_size=3).map(str.encode)
    return st.sampled_from([0.5, 0.1, -1.0, np.nan, np.inf])


def array(data, shape):
    dtype = data.draw(st.sampled_from([np.float64, np.float32, np.int64, object]))
    return data.draw(arrays.arrays(dtype, shape, elements=values(dtype)))


def plain(array):
    if array.dtype == object:
        array = np.vectorize(bytes.decode, otypes=[object])(array)
    if array.dtype == np.float32:
        array = array.astype(str).astype(float)
    return array.tolist()


@given(SHAPES, st.data())
def test_one_output(shape, data):
    found = array(data, shape)
    expected = repr(plain(found))
    for write, key in (
        (json_answers.predictions, "predictions"),
        (json_answers.columns, "outputs"),
    ):
        assert repr(json.loads(write({"y": found}))[key]) == expected


@given(st.integers(0, 9), st.data())
def test_several_outputs(rows, data):
    shapes = st.lists(st.integers(0, 4), max_size=2).map(tuple)
    outputs = {
        name: array(data, (rows, *data.draw(shapes))) for name in ("b", "a", "c")
    }
    columns = {name: plain(x) for name, x in sorted(outputs.items())}
    objects = [{name: x[i] for name, x in columns.items()} for i in range(rows)]
    found = json.loads(json_answers.columns(outputs))["outputs"]
    assert repr(found) == repr(columns)
    found = json.loads(json_answers.predictions(outputs))["predictions"]
    assert repr(found) == repr(objects)
