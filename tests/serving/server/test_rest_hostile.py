"""Requests that nobody should make: never a 500, never a hang."""

import contextlib
import gzip
import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.server.rest_fakes import (
    MODELS,
    FakeModels,
    FakeRunner,
    outcome,
    running,
    runs,
)

from eigenfit_serving.protocol.status import Code
from eigenfit_serving.server.budget import Budget, Held
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest.app import inflate
from eigenfit_serving.server.rest.handlers import RestHandlers
from eigenfit_serving.server.rest.paths import route

FREE = Held(Budget(0))
HANDLERS = RestHandlers(FakeModels(list(MODELS)), Options())

TARGETS = st.sampled_from(
    [
        f"/v1/models/{name}:{action}"
        for name in ("float", "two", "text", "half", "none", "a%20b%2Fc", "nope")
        for action in ("predict", "classify", "regress")
    ]
)

CLIENT_ERRORS = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.UNIMPLEMENTED}

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.builds(lambda text: {"b64": text}, st.text(max_size=4))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "x", "s_bytes"]), inner)
    ),
    max_leaves=10,
)
DOCUMENTS = st.dictionaries(
    st.sampled_from(["instances", "inputs", "examples", "context", "signature_name"]),
    VALUES,
    max_size=3,
).map(lambda value: json.dumps(value).encode())


def spoiled(data):
    """Cuts, doubles or changes a piece of a body."""
    body = data.draw(DOCUMENTS)
    at = data.draw(st.integers(0, len(body)))
    return (
        body[:at]
        + data.draw(st.binary(max_size=4))
        + body[at:][data.draw(st.integers(0, 3)) :]
    )


@given(TARGETS, st.booleans(), st.data())
def test_handlers_answer_or_refuse(target, is_gzip, data):
    body = (
        data.draw(DOCUMENTS | st.binary())
        if data.draw(st.booleans())
        else spoiled(data)
    )
    if is_gzip and data.draw(st.booleans()):
        body = gzip.compress(body)
    context = RequestContext("predict", "REST", "id")
    answer = b""
    found, error = outcome(route, "POST", target)
    if error is None:
        if is_gzip:
            body = inflate(body, 0, FREE.grow)
        with runs(FakeRunner()):
            answer, error = outcome(HANDLERS.predict, found, body, context, FREE)
    if error is None:
        json.loads(answer)
    else:
        assert error.code in CLIENT_ERRORS


@pytest.fixture(scope="module")
def client():
    with running(body_timeout_seconds=0.2) as client:
        yield client


def said(client, data):
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as peer:
        parts = []
        with contextlib.suppress(ConnectionError):
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while part := peer.recv(65536):
                parts.append(part)
        return b"".join(parts)


TOKENS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"OPTIONS ", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\n"),
        *(b"/v1/models/float:predict", b"/v1/models", b"/", b"*", b"?", b"#", b"%00"),
        *(
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b" HTTP/9.9\r\n",
            b"\r\n",
            b"\n",
            b"\x00",
        ),
        *(b"Host: x\r\n", b"Content-Length: 3\r\n", b"Content-Length: -1\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Upgrade: websocket\r\n", b"0\r\n\r\n"),
        *(b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n", b": \r\n"),
        *(
            b"Content-Encoding: gzip\r\n",
            b"Origin: http://x\r\n",
            b"X-Request-Id: \xff\r\n",
        ),
        *(b"{}", b"[1", b"ffffffffffffffff\r\n", b"\xff", "é".encode()),
    ]
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(TOKENS, max_size=12), st.binary(max_size=8))
def test_any_bytes_on_the_wire(client, tokens, rest):
    for data in (
        b"".join(tokens) + rest,
        b"POST /v1/models/float:predict HTTP/1.1\r\n" + b"".join(tokens) + rest,
    ):
        assert b"HTTP/1.1 500 " not in said(client, data)
    assert client("GET", "/healthz").status == 200
