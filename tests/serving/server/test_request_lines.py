"""Every request has an id that its caller gets back, and a line in the log."""

import json
import socket
import struct

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc
from tests.serving.server import fakes_grpc
from tests.serving.server.grpc_models import loaded
from tests.serving.server.rest_fakes import FakeGate, running

from eigenfit_serving.protocol.status import Code
from eigenfit_serving.server.grpc.server import GrpcServer
from eigenfit_serving.server.options import Options

PREDICT = "/v1/models/float:predict"


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text("secret\n")
    return str(path)


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "code"),
    [
        ("GET", "/v1/nothing", "secret", 400, Code.INVALID_ARGUMENT),
        ("PUT", "/v1/models/float", "secret", 400, Code.INVALID_ARGUMENT),
        ("POST", f"{PREDICT}?a=b", "wrong", 401, Code.UNAUTHENTICATED),
        ("POST", PREDICT, "", 401, Code.UNAUTHENTICATED),
        ("GET", "/other", "", 404, Code.NOT_FOUND),
        ("TRACE", "/", "", 501, Code.UNIMPLEMENTED),
        ("GET", "/", "", 200, Code.OK),
    ],
)
def test_what_is_refused_over_rest_is_noted(key_file, method, path, key, status, code):
    gate = FakeGate()
    with running(gate=gate, api_key_file=key_file, page=True) as client:
        answer = client(method, path, x_api_key=key, x_request_id="mine")
    assert answer.status == status
    assert answer.headers["x-request-id"] == "mine"
    assert not gate.contexts
    [(found, context)] = gate.noted
    assert found is code
    assert (context.entrypoint, context.request_id) == ("REST", "mine")
    assert context.extra == {"method": method, "path": path}


def test_a_body_that_is_too_large_is_noted():
    gate = FakeGate()
    with running(gate=gate, max_body_bytes=10) as client:
        assert client("POST", PREDICT, "x" * 11).status == 413
    assert [code for code, _ in gate.noted] == [Code.INVALID_ARGUMENT]


def test_a_client_that_goes_away_is_noted():
    gate = FakeGate()
    with running(gate=gate) as client:
        with socket.create_connection(("127.0.0.1", client.port)) as peer:
            lines = (
                f"POST {PREDICT} HTTP/1.1",
                "Host: x",
                "Content-Length: 9",
                "",
                "1",
            )
            peer.sendall("\r\n".join(lines).encode())
            client("GET", "/healthz")
            peer.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        for _ in range(200):
            if gate.noted:
                break
            client("GET", "/healthz")
    assert [code for code, _ in gate.noted] == [Code.CANCELLED]


def test_what_is_answered_or_asked_by_machines_is_not_noted(tmp_path):
    file = tmp_path / "monitoring"
    file.write_text("prometheus_config { enable: true }")
    gate = FakeGate()
    with running(gate=gate, monitoring_config_file=str(file)) as client:
        for path in ("/healthz", "/readyz", "/monitoring/prometheus/metrics"):
            assert client("GET", path).status == 200
        assert client("POST", PREDICT, '{"instances": [1]}').status == 200
        assert client("POST", PREDICT, "{").status == 400
        assert json.loads(client("GET", "/v1/models").body)
    assert len(gate.contexts) == 3
    assert not gate.noted


@pytest.fixture
def called(key_file):
    gate = fakes_grpc.Gate()
    server = GrpcServer(
        fakes_grpc.Models(loaded("modern")),
        gate,
        Options(port=0, api_key_file=key_file),
    )
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "modern"
    with grpc.insecure_channel(f"127.0.0.1:{server.start()}") as channel:
        call = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus.with_call
        yield gate, channel, lambda *metadata: call(request, metadata=metadata)
    server.stop(1)


def ids(call):
    return [value for key, value in call.trailing_metadata() if key == "x-request-id"]


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("x-api-key", "wrong"),),
        (("authorization", "Bearer wrong"),),
        (("authorization", "Basic secret"),),
    ],
)
def test_grpc_without_the_key_is_refused_and_noted(called, metadata):
    gate, _, call = called
    with pytest.raises(grpc.RpcError) as caught:
        call(*metadata, ("x-request-id", "mine"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert ids(caught.value) == ["mine"]
    assert gate.rejected == ["api_key"]
    [(code, context)] = gate.noted
    assert code is Code.UNAUTHENTICATED
    assert (context.entrypoint, context.request_id) == ("GRPC", "mine")
    assert context.extra == {
        "method": "/tensorflow.serving.ModelService/GetModelStatus"
    }


@pytest.mark.parametrize(
    "key", [("x-api-key", "secret"), ("authorization", "bearer secret")]
)
def test_grpc_with_the_key(called, key):
    gate, _, call = called
    assert ids(call(key, ("x-request-id", "mine"))[1]) == ["mine"]
    for given in ("", "x" * 129, "two words"):
        [made] = ids(call(key, ("x-request-id", given))[1])
        assert len(made) == 16
    assert not gate.noted
    assert len(gate.contexts) == 4


def test_the_health_check_needs_no_key(called):
    _, channel, _ = called
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
