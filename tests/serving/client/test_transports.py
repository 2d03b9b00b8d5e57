import asyncio
import socket
import threading
import time

import numpy as np
import pytest
from tests.serving.client.fakes import FakeTransport
from tests.serving.client.served import grpc_served, http_served

from eigenfit_serving.client import (
    AccessDenied,
    AsyncClient,
    Client,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    Retries,
    Unavailable,
    Unsupported,
)
from eigenfit_serving.protocol.status import Code

SERVED = {"grpc": grpc_served, "http": http_served}


@pytest.fixture(params=["grpc", "http"])
def protocol(request):
    return request.param


def url_of(protocol, port):
    return f"{protocol}://127.0.0.1:{port}"


@pytest.fixture
def behind():
    return FakeTransport()


@pytest.fixture
def server(protocol, behind):
    with SERVED[protocol](behind) as (service, port):
        service.url = url_of(protocol, port)
        yield service


def test_answers_are_those_of_the_transport_behind(server, behind):
    starts, targets = np.zeros([3, 2]), [[1.0, 1 / 3], [np.nan, 2.0], [3.0, 4.0]]
    with Client(server.url, "diagonal", version=3) as client:
        solution = client.fit(starts, targets)
        expected = Client(behind, "diagonal").fit(starts, targets)
        for name, array in expected._asdict().items():
            got = getattr(solution, name)
            np.testing.assert_array_equal(got, array, name)
            assert got.dtype == array.dtype, name
        assert client.eigenvalues([[2, 1]]).tolist() == [[1, 2]]
        assert client.status()[0][:2] == (3, "AVAILABLE")
        metadata = client.metadata()
        assert metadata.version == 3
        assert metadata.signatures["fit"].inputs["initial"].shape == (None, 2)
        last = list(client.iterate([0, 0], [1, 2]))[-1]
        assert last.loss <= 1e-8
        assert client.predict("scalar", x=1)["y"] == 2
        solution.parameters[0] = 7  # arrays are the caller's own
    assert {call.target.version for call in behind.calls} == {3, None}


def test_async_answers_are_the_same(server):
    async def work():
        async with AsyncClient(server.url, "diagonal") as client:
            fits = [client.fit([0, 0], [k, k + 1]) for k in range(20)]
            solutions = await asyncio.gather(*fits)
            assert [s.parameters[0] for s in solutions] == list(range(20))
            assert (await client.status())[0].version == 3

    asyncio.run(work())


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.NOT_FOUND, NotFound),
        (Code.INVALID_ARGUMENT, InvalidRequest),
        (Code.UNAUTHENTICATED, AccessDenied),
        (Code.DEADLINE_EXCEEDED, DeadlineExceeded),
        (Code.UNIMPLEMENTED, Unsupported),
        (Code.UNAVAILABLE, Unavailable),
    ],
)
def test_errors_have_the_code_of_the_server(server, behind, code, kind):
    def refuse(call, timeout):
        raise kind(code, "because: ü")

    behind.send = refuse
    with (
        Client(server.url, "diagonal", retries=0) as client,
        pytest.raises(kind) as error,
    ):
        client.status()
    assert type(error.value) is kind
    assert (error.value.code, error.value.message) == (code, "because: ü")


def test_the_key_is_sent(server, protocol):
    with Client(server.url, "diagonal", api_key="hunter2") as client:
        client.status()
    seen = server.metadata if protocol == "grpc" else server.seen
    headers = {key.lower(): value for key, value in seen[-1].items()}
    assert headers["authorization"] == "Bearer hunter2"


def test_the_timeout_reaches_the_call(server):
    with Client(server.url, "diagonal", timeout=0.2) as client:
        server.hold.clear()
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            client.status()
        assert 0.15 < time.monotonic() - began < 5.0
        server.hold.set()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_no_server_is_a_failed_connection(protocol):
    url = url_of(protocol, free_port())
    began = time.monotonic()
    with (
        Client(url, "diagonal", retries=Retries(2, first=0.01)) as client,
        pytest.raises(ConnectionFailed, match="No connection"),
    ):
        client.status()
    assert time.monotonic() - began < 10.0


def test_a_server_that_comes_back_is_found(protocol, behind):
    port = free_port()
    address = {"grpc": f"127.0.0.1:{port}", "http": port}[protocol]
    down, stop = threading.Event(), threading.Event()

    def serve_late():
        down.wait(30.0)
        with SERVED[protocol](behind, address):
            stop.wait(30.0)

    thread = threading.Thread(target=serve_late)
    thread.start()
    try:
        with Client(url_of(protocol, port), "diagonal", retries=0) as client:
            with pytest.raises(ConnectionFailed):
                client.status()
            down.set()
        retries = Retries(100, first=0.2, longest=0.4)
        with Client(url_of(protocol, port), "diagonal", retries=retries) as client:
            assert client.status()[0].version == 3
    finally:
        stop.set()
        thread.join()


def test_a_socket_of_unix(tmp_path, behind):
    path = tmp_path / "socket"
    with (
        grpc_served(behind, f"unix:{path}"),
        Client(f"unix:{path}", "diagonal") as client,
    ):
        assert client.fit([0, 0], [1, 2]).converged


def test_models_are_listed_over_rest_only(server, protocol):
    with Client(server.url) as client:
        if protocol == "grpc":
            with pytest.raises(Unsupported):
                client.models()
            with pytest.raises(ValueError, match="does not list its models"):
                client.status()
        else:
            assert client.models() == ["diagonal"]
            assert client.fit([0, 0], [1, 2]).converged
