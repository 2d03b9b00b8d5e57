import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from eigenfit_serving.server.flags import parse_flags
from eigenfit_serving.server.supervisor import Patience, Supervisor, fixed_ports

QUICK = Patience(first=0.02, longest=0.1, early=2)

# Each start of a worker appends a line; what it does is given by the test.
WORKER = """
import os, signal, socket, sys, time
log = open({log!r}, "a")
print("start", os.getpid(), file=log, flush=True)
control = socket.socket(fileno=int(os.environ["EIGENFIT_SERVER_CONTROL"]))
starts = open({log!r}).read().count("start")
def wait():
    try:
        data = control.recv(1)
    except OSError:
        data = b""
    print("told", data, file=log, flush=True)
    return data
{body}
"""


@pytest.fixture
def supervise(tmp_path):
    def make(body):
        log = tmp_path / "log"
        log.touch()
        program = WORKER.format(log=str(log), body=textwrap.dedent(body))
        return Supervisor([sys.executable, "-SE", "-c", program], QUICK), log

    return make


def starts(log):
    return [int(x.split()[1]) for x in log.read_text().splitlines() if "start" in x]


def test_an_orderly_end_is_the_end(supervise):
    supervisor, log = supervise("control.send(b'R'); sys.exit(0)")
    assert supervisor.run() == 0
    assert len(starts(log)) == 1


def test_a_worker_that_cannot_start_is_not_started_again(supervise):
    supervisor, log = supervise("sys.exit(255)")
    assert supervisor.run() == 255
    assert len(starts(log)) == 1


def test_a_worker_that_crashes_before_it_is_ready_is_given_up(supervise):
    supervisor, log = supervise("os.kill(os.getpid(), signal.SIGSEGV)")
    assert supervisor.run() == 128 + signal.SIGSEGV
    assert len(starts(log)) == 1 + QUICK.early


@pytest.mark.parametrize("crash", ["os.kill(os.getpid(), 9)", "sys.exit(3)"])
def test_a_crashed_worker_is_started_again(supervise, crash):
    supervisor, log = supervise(
        f"""
        control.send(b'R'); time.sleep(.15)
        if starts < 4:
            {crash}
        """
    )
    assert supervisor.run() == 0
    assert len(starts(log)) == 4


def supervised(tmp_path, body):
    """Runs a supervisor in a process of its own, which can be sent signals."""
    log = tmp_path / "log"
    log.touch()
    worker = WORKER.format(log=str(log), body=textwrap.dedent(body))
    program = (
        "import sys\n"
        "from eigenfit_serving.server.supervisor import Patience, Supervisor\n"
        f"command = [sys.executable, '-SE', '-c', {worker!r}]\n"
        "sys.exit(Supervisor(command, Patience(last=0.2)).run())"
    )
    process = subprocess.Popen([sys.executable, "-c", program])
    end = time.monotonic() + 20
    while "start" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    return process, log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_passed_on(tmp_path, number):
    body = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control.send(b'R'); wait(); sys.exit(0)
    """
    process, log = supervised(tmp_path, body)
    process.send_signal(number)
    assert process.wait(20) == 0
    assert "told b'S'" in log.read_text()


def test_the_second_signal_ends_a_worker_that_does_not_listen(tmp_path):
    body = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    control.send(b'R'); time.sleep(60)
    """
    process, log = supervised(tmp_path, body)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGKILL
    assert len(starts(log)) == 1


def test_a_worker_hears_that_its_supervisor_is_dead(tmp_path):
    process, log = supervised(tmp_path, "control.send(b'R'); wait(); sys.exit(0)")
    process.kill()
    process.wait()
    end = time.monotonic() + 20
    while "told b''" not in log.read_text():
        assert time.monotonic() < end
        time.sleep(0.01)


FREE = "--free_ports"


def test_free_ports_are_chosen_once_for_all_workers():
    flags = fixed_ports(parse_flags(["--port=0", "--rest_api_port=0", FREE]))
    found = parse_flags(flags).options
    assert len({found.port, found.rest_api_port, 0}) == 3
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", found.port))
    assert fixed_ports(parse_flags(["--port=1", "--rest_api_port=2"])) == []
    assert len(fixed_ports(parse_flags(["--port=0", FREE]))) == 1
    assert fixed_ports(parse_flags(["--port=0", "--rest_api_port=0"])) == []
