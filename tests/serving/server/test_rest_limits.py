"""Clients that send too much, too slowly or go away; others are served meanwhile."""

import contextlib
import gzip
import json
import select
import socket
import struct
import threading
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from tests.serving.server.rest_fakes import FakeGate, FakeRunner, running
from tests.waiting import wait_for

from eigenfit_serving.protocol.status import Code, RefusedError, ServingError
from eigenfit_serving.server.rest.app import inflate
from eigenfit_serving.server.rest.connection import Connection

PREDICT = ("POST", "/v1/models/float:predict")
GOOD = '{"inputs": 1}'


@contextlib.contextmanager
def connected(client):
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        yield connection


def head(*lines, path="/v1/models/float:predict"):
    text = "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""])
    return text.encode()


def read_all(connection):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def serves_others(client):
    return client(*PREDICT, GOOD).status == 200


def bomb(megabytes):
    """Gzip of so many MB of blanks, made of equal blocks; its end is missing."""
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    header = press.compress(b"") + press.flush(zlib.Z_FULL_FLUSH)
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = raw.compress(b" " * (1 << 20)) + raw.flush(zlib.Z_FULL_FLUSH)
    return header + block * megabytes


def test_declared_body_is_refused_before_it_is_sent():
    gate = FakeGate()
    with running(gate=gate, max_body_bytes=1000) as client, connected(client) as peer:
        peer.sendall(head("Content-Length: 1000000000000"))
        answer = read_all(peer)
        assert answer.startswith(b"HTTP/1.1 413 ")
        message = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert message == (
            "The request body has 1000000000000 bytes, over the limit of 1000 bytes "
            "(--max_body_bytes). More go by gRPC, or as a table by `eigenfit batch`."
        )
        assert serves_others(client)
    assert gate.reasons == ["body_size"]


def test_bodies_that_are_held_are_counted_together():
    megabyte = 1 << 20
    gate = FakeGate()
    with running(gate=gate, max_pending_body_bytes=63 * megabyte) as client:
        with contextlib.ExitStack() as held:
            for _ in range(2):
                peer = held.enter_context(connected(client))
                peer.sendall(head(f"Content-Length: {2 * megabyte}"))
                peer.sendall(b" " * (megabyte + (64 << 10)))
            body = GOOD + " " * 2 * megabyte
            while (answer := client(*PREDICT, body)).status == 200:
                pass
            assert answer.status == 503
            assert json.loads(answer.body)["error"].endswith(
                "and takes no more than 66060288 (--max_pending_body_bytes). "
                "Try again later."
            )
            # Small ones are taken.
            assert client(*PREDICT, GOOD + " " * (63 << 10)).status == 200
        while (answer := client(*PREDICT, body)).status == 503:
            pass
        assert answer.status == 200
        assert client(*PREDICT, GOOD + " " * (megabyte << 1)).status == 200
    assert set(gate.reasons) == {"pending_bodies"}


def test_a_body_a_little_too_long_gets_its_answer_and_the_connection_stays():
    with running(max_body_bytes=1000) as client, connected(client) as peer:
        peer.sendall(head("Content-Length: 5000") + b" " * 5000)
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")
        peer.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD.encode())
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_sends_all_before_it_reads_gets_its_answer():
    with running(max_body_bytes=1000) as client:
        answer = client(*PREDICT, b" " * 30_000_000)
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


def test_chunks_without_end_are_refused():
    with running(max_body_bytes=100_000) as client, connected(client) as peer:
        peer.sendall(head("Transfer-Encoding: chunked"))
        chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 1 << 28:
                peer.sendall(chunk)
                sent += len(chunk)
        assert sent < 1 << 27
        assert serves_others(client)


def test_gzip_bomb():
    gate = FakeGate()
    with running(gate=gate) as client:
        start = time.monotonic()
        answer = client(*PREDICT, bomb(1024), Content_Encoding="gzip")
        assert answer.status == 413
        assert json.loads(answer.body)["error"] == (
            "The request body inflates to more than the limit of 16777216 bytes "
            "(--max_body_bytes)."
        )
        assert time.monotonic() - start < 10
        assert serves_others(client)
    assert gate.reasons == ["inflated_size"]
    assert gate.codes == [Code.INVALID_ARGUMENT, Code.OK]


def test_a_bomb_takes_no_more_memory_than_the_limit():
    data = bomb(200)
    tracemalloc.start()
    try:
        with pytest.raises(RefusedError):
            inflate(data, 8 << 20, lambda size: None)
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


def test_what_bodies_inflate_to_is_held_by_all_together():
    small = gzip.compress(b'{"inputs": 1' + b" " * (3 << 20) + b"}")
    assert len(small) < 1 << 14
    entered, leave = threading.Event(), threading.Event()

    def wait(*asked):
        entered.set()
        assert leave.wait(20)
        return {"y": np.zeros(1)}

    headers = {"Content_Encoding": "gzip"}
    gate = FakeGate()
    options = {"max_pending_body_bytes": 95 << 20}
    with running(gate=gate, runner=FakeRunner(wait), **options) as client:
        first = threading.Thread(target=client, args=(*PREDICT, small), kwargs=headers)
        first.start()
        assert entered.wait(20)
        refused = client(*PREDICT, small, **headers)
        assert refused.status == 503
        assert b"--max_pending_body_bytes" in refused.body
        leave.set()
        first.join(20)
        assert client(*PREDICT, small, **headers).status == 200


def test_what_inflates_to_the_limit_is_taken():
    press = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = press.compress(b"a" * 5000) + press.flush()
    assert inflate(data, 5000, lambda size: None) == b"a" * 5000
    with pytest.raises(RefusedError):
        inflate(data, 4999, lambda size: None)


def test_a_million_rows():
    body = b'{"instances": [' + b"[1,2,3]," * 999_999 + b"[1,2,3]]}"
    with running() as client:
        start = time.monotonic()
        answer = client(*PREDICT, body)
        assert answer.status == 400
        assert json.loads(answer.body)["error"] == (
            "The request has 1000000 rows, over the limit of 100000 (--max_rows)."
        )
        assert time.monotonic() - start < 10


@pytest.mark.parametrize("depth", [100, 1000, 1_000_000])
def test_nested_lists(depth):
    with running() as client:
        for closed in ("]" * depth, ""):
            body = '{"inputs": ' + "[" * depth + closed + "}"
            start = time.monotonic()
            assert client(*PREDICT, body).status == 400
            assert time.monotonic() - start < 5


def test_slow_body():
    gate = FakeGate()
    with (
        running(gate=gate, body_timeout_seconds=0.3) as client,
        connected(client) as peer,
    ):
        peer.sendall(head("Content-Length: 100") + b"{")
        assert serves_others(client)
        answer = read_all(peer)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"did not arrive within 0.3 seconds" in answer
    assert gate.reasons == ["body_timeout"]


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_slow_header(sent):
    with running(body_timeout_seconds=0.3) as client, connected(client) as peer:
        peer.sendall(sent)
        assert serves_others(client)
        assert read_all(peer) == b""


def test_slow_header_of_the_second_request():
    with running(body_timeout_seconds=0.3) as client, connected(client) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")
        peer.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert read_all(peer) == b""


def test_header_without_end():
    with running() as client, connected(client) as peer:
        sent = 0
        with contextlib.suppress(OSError):
            peer.sendall(b"GET / HTTP/1.1\r\n")
            while sent < 1 << 26:
                peer.sendall(b"X-More: " + b"a" * 5000 + b"\r\n")
                sent += 5000
        assert sent < 1 << 24
        assert serves_others(client)


def test_headers_that_come_at_once():
    large = b"X-More: " + b"a" * (70 << 10) + b"\r\n"
    gate = FakeGate()
    with running(gate=gate) as client, connected(client) as peer:
        peer.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + large + b"\r\n")
        assert peer.recv(65536).startswith(b"HTTP/1.1 431 ")
        assert serves_others(client)


def test_offers_of_http_2_are_passed_over():
    body = b'{"inputs": [1.0]}'
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    offer += b"HTTP2-Settings: AAMAAABkAAQAoAAA\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    first = b"POST /v1/models/float:predict HTTP/1.1\r\nHost: x\r\n" + offer + length
    then = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with running() as client, connected(client) as peer:
        peer.sendall(first + body)
        answer = peer.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'{"outputs":[1.0]}' in answer
        peer.sendall(then)
        assert b'{"healthy": true}' in read_all(peer)


def test_client_that_does_not_read(monkeypatch):
    big = np.zeros(4_000_000)
    runner = FakeRunner(lambda *asked: {"y": big})
    gate = FakeGate()
    lost, connection_lost = [], Connection.connection_lost

    def noted(self, exc):
        lost.append(self._transport.get_extra_info("peername"))
        connection_lost(self, exc)

    monkeypatch.setattr(Connection, "connection_lost", noted)
    with (
        running(gate=gate, runner=runner, body_timeout_seconds=0.5) as client,
        socket.socket() as peer,
    ):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connect(("127.0.0.1", client.port))
        peer.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD.encode())
        assert gate.ended.wait(10)
        assert client("GET", "/healthz").status == 200
        peer.settimeout(20)
        # The server gives up; of 16 MB only what the buffers hold arrives.
        own = peer.getsockname()
        wait_for(lambda: own in lost, seconds=20)
        assert len(read_all(peer)) < 12_000_000


def test_client_that_goes_away_cancels_its_request():
    started, cancelled = threading.Event(), threading.Event()

    def wait(servable, signature_name, inputs, context):
        context.on_cancel(cancelled.set)
        started.set()
        assert cancelled.wait(10)
        context.check()

    gate = FakeGate()
    with running(gate=gate, runner=FakeRunner(wait)) as client:
        with connected(client) as peer:
            peer.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD.encode())
            assert started.wait(10)
            # Resets the connection instead of closing it.
            peer.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        assert cancelled.wait(10)
        assert gate.ended.wait(10)
    assert gate.codes == [Code.CANCELLED]


def test_deadline_is_that_of_the_options():
    def wait(servable, signature_name, inputs, context):
        wait_for(lambda: context.remaining() <= 0)
        context.check()

    with running(runner=FakeRunner(wait), rest_api_timeout_in_ms=100) as client:
        answer = client(*PREDICT, GOOD)
    assert answer.status == 504
    with running(rest_api_timeout_in_ms=0) as client:
        assert client(*PREDICT, GOOD).status == 200


def test_the_deadline_stops_the_run():
    stopped = threading.Event()

    def wait(servable, signature_name, inputs, context):
        context.on_cancel(stopped.set)
        assert stopped.wait(10)
        assert context.remaining() == 0.0
        raise ServingError(Code.DEADLINE_EXCEEDED, "stopped")

    with running(runner=FakeRunner(wait), rest_api_timeout_in_ms=100) as client:
        assert client(*PREDICT, GOOD).status == 504


def test_states_do_not_wait_for_runs():
    go = threading.Event()

    def wait(servable, signature_name, inputs, context):
        assert go.wait(10)
        return inputs

    with running(runner=FakeRunner(wait), rest_api_num_threads=1) as client:
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(client(*PREDICT, GOOD)))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        assert client("GET", "/v1/models/float").status == 200
        assert client("GET", "/readyz").status == 200
        go.set()
        for thread in threads:
            thread.join(10)
    assert [answer.status for answer in answers] == [200, 200, 200]


def test_stop_lets_requests_finish():
    started, has_stopped = threading.Event(), []

    def slow(servable, signature_name, inputs, context):
        started.set()
        has_stopped.append(wait_for(refuses))
        return inputs

    def refuses():
        try:
            with connected(client):
                return False
        except ConnectionError:
            return True

    answers = []
    with running(runner=FakeRunner(slow)) as client:
        thread = threading.Thread(target=lambda: answers.append(client(*PREDICT, GOOD)))
        thread.start()
        assert started.wait(10)
    thread.join(10)
    assert has_stopped == [True]
    assert [answer.status for answer in answers] == [200]
    with pytest.raises(ConnectionError):
        client("GET", "/healthz")


def test_requests_that_do_not_end_are_given_up():
    started, go = threading.Event(), threading.Event()

    def endless(servable, signature_name, inputs, context):
        started.set()
        assert go.wait(20)
        return inputs

    gate, answers = FakeGate(), []
    with running(gate=gate, runner=FakeRunner(endless)) as client:
        thread = threading.Thread(target=lambda: answers.append(client(*PREDICT, GOOD)))
        thread.start()
        assert started.wait(10)
    thread.join(10)
    go.set()
    [answer] = answers
    assert answer.status == 503
    assert json.loads(answer.body) == {"error": "The server is shutting down."}
    assert gate.contexts[0]._cancelled


def test_what_fails_while_the_server_stops_may_be_tried_elsewhere():
    gate = FakeGate()

    def fails(servable, signature_name, inputs, context):
        gate.draining = True
        raise RuntimeError("closed")

    with running(gate=gate, runner=FakeRunner(fails)) as client:
        answer = client(*PREDICT, GOOD)
    assert answer.status == 503
    assert json.loads(answer.body) == {"error": "The server is shutting down."}


def test_many_requests_at_once():
    with running() as client:
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(connected(client)) for _ in range(200)]
            for peer in peers:
                peer.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD.encode())
            answers = [peer.recv(65536) for peer in peers]
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)


def test_requests_behind_each_other_in_one_packet():
    one = head(f"Content-Length: {len(GOOD)}") + GOOD.encode()
    with running() as client, connected(client) as peer:
        peer.sendall(one * 5)
        answer = b""
        while answer.count(b'{"outputs":1.0}') < 5:
            part = peer.recv(65536)
            assert part
            answer += part
    assert answer.count(b"HTTP/1.1 200 OK") == 5


def test_a_request_that_comes_while_an_answer_is_sent_is_not_the_last():
    big = np.zeros(1_000_000)
    one = head(f"Content-Length: {len(GOOD)}") + GOOD.encode()
    # So much that no more is read before the first answer is sent.
    body = GOOD.encode() + b" " * 300_000
    long = head(f"Content-Length: {len(body)}") + body
    gate = FakeGate()
    with (
        running(gate=gate, runner=FakeRunner(lambda *asked: {"y": big})) as client,
        socket.socket() as peer,
    ):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.settimeout(20)
        peer.connect(("127.0.0.1", client.port))
        for _ in range(2):
            gate.ended.clear()
            peer.sendall(one)
            assert gate.ended.wait(10)
            # The first answer does not fit into the buffers of the network.
            assert select.select([peer], [], [], 20)[0]
            peer.sendall(long)
            ends, answer = 0, b""
            while ends < 2:
                answer = answer[-8:] + peer.recv(1 << 20)
                assert len(answer) > 8
                ends += answer.count(b"0.0]}")


@pytest.mark.parametrize("behind", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_half_closed_client_gets_its_answer(behind):
    leave = threading.Event()

    def wait(servable, signature_name, inputs, context):
        assert leave.wait(20)
        return inputs

    with running(runner=FakeRunner(wait)) as client, connected(client) as peer:
        one = head(f"Content-Length: {len(GOOD)}") + GOOD.encode()
        peer.sendall(one + behind)
        peer.shutdown(socket.SHUT_WR)
        assert serves_after(client, leave)
        answer = read_all(peer)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 200 ") == 1 + bool(behind)


def serves_after(client, leave):
    # The end of the stream has been seen once another request is answered.
    answered = client("GET", "/healthz").status == 200
    leave.set()
    return answered


def test_what_is_cut_off_gets_no_answer():
    gate = FakeGate()
    with running(gate=gate) as client, connected(client) as peer:
        peer.sendall(head("Content-Length: 100") + b"{")
        peer.shutdown(socket.SHUT_WR)
        assert read_all(peer) == b""
    assert [code for code, _ in gate.noted] == [Code.CANCELLED]


def test_a_client_is_asked_for_its_body_unless_it_is_too_large():
    with running(max_body_bytes=1000) as client:
        for length, status in ((len(GOOD), b"100"), (2000, b"413")):
            with connected(client) as peer:
                expect = "Expect: 100-continue"
                peer.sendall(head(f"Content-Length: {length}", expect))
                if status == b"413":
                    peer.shutdown(socket.SHUT_WR)
                answer = peer.recv(65536)
                assert answer.startswith(b"HTTP/1.1 " + status)
                if status == b"100":
                    peer.sendall(GOOD.encode())
                    assert peer.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_offers_of_http_2_in_pieces_and_behind_each_other():
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: A")
    chunked = b"5\r\n%b\r\n8\r\n%b\r\n0\r\n\r\n" % (
        GOOD[:5].encode(),
        GOOD[5:].encode(),
    )
    data = head(*offer, "Transfer-Encoding: chunked") + chunked
    data += head(*offer, f"Content-Length: {len(GOOD)}") + GOOD.encode()
    for size in (1, 7, len(data)):
        with running() as client, connected(client) as peer:
            for at in range(0, len(data), size):
                peer.sendall(data[at : at + size])
            answer = b""
            while answer.count(b'{"outputs":1.0}') < 2:
                part = peer.recv(65536)
                assert part, answer
                answer += part
        assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_nobody_is_tunnelled():
    with running() as client, connected(client) as peer:
        peer.sendall(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_all(peer).startswith(b"HTTP/1.1 400 ")
        assert serves_others(client)
