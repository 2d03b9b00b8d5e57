import io
import json
import threading

import pytest
from tests.serving.server.fakes_life import context

from eigenfit_serving.protocol.status import Code, RefusedError, ServingError
from eigenfit_serving.server.keys import missing_key
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.watching.access_log import AccessLog
from eigenfit_serving.server.watching.gate import RequestGate
from eigenfit_serving.server.watching.metrics import Metrics


class Lines:
    def __init__(self):
        self.lines = []

    def request(self, context, code, seconds):
        self.lines.append((context.request_id, code))


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def gate(log):
    return RequestGate(Metrics(), log, Options(max_in_flight=2))


def test_requests_are_counted_while_they_are_worked_on(gate, log):
    with gate.admit(context()):
        assert gate.in_flight == 1
        assert b"eigenfit_in_flight 1.0" in gate.render()
        assert not log.lines
    assert gate.in_flight == 0
    assert b"eigenfit_in_flight 0.0" in gate.render()
    assert log.lines == [("id", Code.OK)]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServingError(Code.NOT_FOUND, ""), Code.NOT_FOUND),
        (KeyError("x"), Code.INTERNAL),
    ],
)
def test_errors_pass_and_are_noted(gate, log, error, code):
    with pytest.raises(type(error)), gate.admit(context(model="m", version=1)):
        raise error
    assert gate.in_flight == 0
    assert log.lines == [("id", code)]
    assert f'status="{code.name}"'.encode() in gate.render()


def test_too_many_at_a_time_are_refused(gate, log):
    with gate.admit(context()), gate.admit(context()):
        with pytest.raises(ServingError) as caught, gate.admit(context()):
            pass
        assert caught.value.code is Code.RESOURCE_EXHAUSTED
        assert "at most 2 may (max_in_flight)" in caught.value.message
        assert gate.in_flight == 2
    with gate.admit(context()):
        pass
    assert b'eigenfit_rejected_total{reason="in_flight"} 1.0' in gate.render()
    assert ("id", Code.RESOURCE_EXHAUSTED) in log.lines


def test_a_drain_is_announced_before_the_gate_closes(gate):
    gate.draining = True
    with gate.admit(context()):
        gate.close()
        with pytest.raises(ServingError) as caught, gate.admit(context()):
            pass
        assert caught.value.code is Code.UNAVAILABLE
        assert not gate.wait_empty(0.01)
    assert gate.wait_empty(0.01)


def test_who_waits_is_told_when_the_last_request_ends(gate):
    passage = gate.admit(context())
    passage.__enter__()
    empty = []
    thread = threading.Thread(target=lambda: empty.append(gate.wait_empty(10)))
    thread.start()
    passage.__exit__(None, None, None)
    thread.join(10)
    assert empty == [True]


def test_refusals_elsewhere_are_counted(gate):
    gate.refuse(context(), missing_key())
    assert b'eigenfit_rejected_total{reason="api_key"} 1.0' in gate.render()


def test_refusals_of_admitted_requests_are_counted(gate, log):
    with pytest.raises(RefusedError), gate.admit(context()):
        raise RefusedError(Code.INVALID_ARGUMENT, "", "body_size", 413)
    assert b'eigenfit_rejected_total{reason="body_size"} 1.0' in gate.render()
    assert log.lines == [("id", Code.INVALID_ARGUMENT)]


def test_refusals_elsewhere_are_logged_and_not_counted_as_requests(gate, log):
    gate.refuse(context(), missing_key())
    assert log.lines == [("id", Code.UNAUTHENTICATED)]
    assert b"request_count{" not in gate.render()


def test_the_log_has_a_line_of_json_for_each_request():
    stream = io.StringIO()
    log = AccessLog(stream)
    request = context(model="m", version=3, signature="fit", rows=2)
    request.run_seconds = 0.002
    request.extra["order"] = 4
    log.request(request, Code.OK, 0.0045)
    log.close()
    [line] = stream.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "id": "id",
        "api": "predict",
        "entrypoint": "GRPC",
        "model": "m",
        "version": 3,
        "signature": "fit",
        "rows": 2,
        "status": "OK",
        "run_ms": 2.0,
        "total_ms": 4.5,
        "order": 4,
    }


def test_names_in_the_log_are_cut():
    stream = io.StringIO()
    log = AccessLog(stream)
    log.request(context(model="x" * 50_000), Code.NOT_FOUND, 0.0)
    log.close()
    assert json.loads(stream.getvalue())["model"] == "x" * 256


def test_a_reader_that_does_not_read_stops_no_request(monkeypatch):
    monkeypatch.setattr("eigenfit_serving.server.watching.access_log._CAPACITY", 2)
    go, lines = threading.Event(), []

    class Slow(io.StringIO):
        def write(self, text):
            go.wait(10)
            lines.append(json.loads(text))
            return len(text)

    log = AccessLog(Slow())
    for number in range(50):
        log.write({"number": number})
    go.set()
    while not log._lines.empty():
        pass
    log.write({"number": 50})
    log.close()
    assert len(lines) <= 4
    assert lines[-1]["dropped_lines"] >= 47


def test_a_reader_that_does_not_read_stops_no_end():
    go = threading.Event()

    class Stuck(io.StringIO):
        def write(self, text):
            go.wait(10)
            return len(text)

    log = AccessLog(Stuck())
    log.write({})
    log.close(0.05)
    assert log._thread.is_alive()
    go.set()


def test_a_reader_that_is_gone_stops_no_request():
    stream = io.StringIO()
    stream.close()
    log = AccessLog(stream)
    log.write({})
    log.write({})
    log.close()
