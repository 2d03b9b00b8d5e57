import json

import numpy as np
import pytest
from tests.serving.client.fakes import spec

from eigenfit_serving.client.calls import (
    GetMetadata,
    GetStatus,
    ListModels,
    Predict,
    Target,
)
from eigenfit_serving.client.errors import (
    AccessDenied,
    BadReply,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServerFault,
    Unavailable,
    Unsupported,
)
from eigenfit_serving.client.transports import http_wire

NAN = float("nan")


@pytest.fixture(params=["orjson", "json"], autouse=True)
def _both_libraries(request, monkeypatch):
    if request.param == "json":
        monkeypatch.setattr(http_wire, "orjson", None)
    else:
        pytest.importorskip("orjson")


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (ListModels(), "/v1/models"),
        (GetStatus(Target("m")), "/v1/models/m"),
        (GetStatus(Target("a/b c", 7)), "/v1/models/a%2Fb%20c/versions/7"),
        (GetMetadata(Target("m", None, "ü")), "/v1/models/m/labels/%C3%BC/metadata"),
    ],
)
def test_paths(call, path):
    request = http_wire.encode(call)
    assert (request.method, request.path, request.body) == ("GET", path, None)


def test_predict():
    inputs = {
        "x": np.array([[1.5, 2.0]]),
        "n": np.array([3], np.int32),
        "s": np.array([[b"a", b"\xff"]], object),
        "flag": np.array([True]),
    }
    request = http_wire.encode(Predict(Target("m", 2), "fit", inputs))
    assert request.path == "/v1/models/m/versions/2:predict"
    assert json.loads(request.body) == {
        "signature_name": "fit",
        "inputs": {
            "x": [[1.5, 2.0]],
            "n": [3],
            "s": [[{"b64": "YQ=="}, {"b64": "/w=="}]],
            "flag": [True],
        },
    }


@pytest.mark.parametrize("value", [np.float64(1.5), np.float64(NAN), np.int32(3)])
def test_arrays_without_dimensions(value):
    call = Predict(Target("m"), "f", {"x": np.asarray(value)})
    found = json.loads(http_wire.encode(call).body)["inputs"]["x"]
    np.testing.assert_array_equal(found, value)
    assert not isinstance(found, list)


def test_numbers_that_json_has_not():
    inputs = {"x": np.array([NAN, np.inf, -np.inf])}
    request = http_wire.encode(Predict(Target("m"), "fit", inputs))
    assert request.body is not None
    assert b"[NaN, Infinity, -Infinity]" in request.body
    call = Predict(Target("m"), "f", {}, {"x": spec("f8", None), "y": spec("f4", None)})
    answer = http_wire.decode(
        call, 200, b'{"outputs": {"x": [NaN, -Infinity], "y": []}}'
    )
    np.testing.assert_array_equal(answer.arrays["x"], [NAN, -np.inf])
    assert answer.arrays["y"].dtype == np.float32
    assert answer.version is None


def test_doubles_survive():
    x = np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-50, 50)
    body = http_wire.encode(Predict(Target("m"), "f", {"x": x})).body
    assert json.loads(body)["inputs"]["x"] == x.tolist()


def test_one_output_comes_without_its_name():
    call = Predict(Target("m"), "f", {}, {"w": spec("f8", None, 2)})
    answer = http_wire.decode(call, 200, b'{"outputs": [[1.0, 2.0]]}')
    assert answer.arrays["w"].tolist() == [[1.0, 2.0]]


def test_strings():
    call = Predict(Target("m"), "f", {}, {"s": spec("O", None), "b_bytes": spec("O")})
    body = b'{"outputs": {"s": ["a", "\\u00fc"], "b_bytes": {"b64": "/w=="}}}'
    answer = http_wire.decode(call, 200, body).arrays
    assert answer["s"].tolist() == [b"a", "ü".encode()]
    assert answer["b_bytes"].item() == b"\xff"
    body = b'{"outputs": {"s": ["a\xff", "\xc3\xbc"], "b_bytes": {"b64": "/w=="}}}'
    answer = http_wire.decode(call, 200, body).arrays
    assert answer["s"].tolist() == [b"a\xff", "ü".encode()]


def test_status_and_models():
    entry = {
        "version": "1",
        "state": "END",
        "status": {"error_code": "NOT_FOUND", "error_message": "gone"},
    }
    newer = {"version": "12", "state": "AVAILABLE", "status": {"error_code": "OK"}}
    body = json.dumps({"model_version_status": [entry, newer]}).encode()
    first, second = http_wire.decode(GetStatus(Target("m")), 200, body)
    assert first == (12, "AVAILABLE", "OK", "")
    assert second == (1, "END", "NOT_FOUND", "gone")
    for listed in (["a", "b"], [{"name": "a"}, {"name": "b"}]):
        body = json.dumps({"models": listed}).encode()
        assert http_wire.decode(ListModels(), 200, body) == ["a", "b"]


def test_metadata():
    def info(dtype, *sizes, unknown=False):
        dims = [{"size": str(size), "name": ""} for size in sizes]
        shape = {"dim": dims, "unknown_rank": unknown}
        return {"name": "x:0", "dtype": dtype, "tensor_shape": shape}

    definition = {
        "inputs": {"x": info("DT_DOUBLE", -1, 3), "q": info("DT_QINT8", 1)},
        "outputs": {"y": info("DT_INT32", unknown=True)},
        "method_name": "tensorflow/serving/predict",
    }
    init = {"inputs": {}, "outputs": {}, "method_name": ""}
    document = {
        "model_spec": {"name": "m", "signature_name": "", "version": "4"},
        "metadata": {
            "signature_def": {"signature_def": {"fit": definition, "i": init}}
        },
    }
    body = json.dumps(document).encode()
    metadata = http_wire.decode(GetMetadata(Target("m")), 200, body)
    assert (metadata.model, metadata.version) == ("m", 4)
    fit = metadata.signatures["fit"]
    assert fit.inputs["x"] == spec("f8", None, 3)
    assert fit.inputs["q"].dtype is None
    assert fit.outputs["y"] == (np.dtype("i4"), None)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, InvalidRequest, "INVALID_ARGUMENT"),
        (401, AccessDenied, "UNAUTHENTICATED"),
        (403, AccessDenied, "PERMISSION_DENIED"),
        (404, NotFound, "NOT_FOUND"),
        (413, InvalidRequest, "INVALID_ARGUMENT"),
        (429, Overloaded, "RESOURCE_EXHAUSTED"),
        (500, ServerFault, "INTERNAL"),
        (501, Unsupported, "UNIMPLEMENTED"),
        (502, Unavailable, "UNAVAILABLE"),
        (503, Unavailable, "UNAVAILABLE"),
        (504, DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (418, InvalidRequest, "INVALID_ARGUMENT"),
    ],
)
def test_errors(status, kind, code):
    with pytest.raises(kind) as error:
        http_wire.decode(ListModels(), status, b'{"error": "because"}')
    assert type(error.value) is kind
    assert (error.value.code.name, error.value.message) == (code, "because")
    with pytest.raises(kind, match="<html>"):
        http_wire.decode(ListModels(), status, b"<html>a proxy's page")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"outputs": 3}', b'{"outputs": {"x": {}}}']
)
def test_answers_that_are_not_the_protocol(body):
    call = Predict(Target("m"), "f", {}, {"x": spec("f8"), "y": spec("f8")})
    with pytest.raises(BadReply, match="in an answer that begins"):
        http_wire.decode(call, 200, body)


@pytest.mark.parametrize("dtype", ["c16", "f2"])
def test_dtypes_that_rest_has_not(dtype):
    with pytest.raises(TypeError, match="grpc://"):
        http_wire.encode(Predict(Target("m"), "f", {"x": np.ones(1, dtype)}))
