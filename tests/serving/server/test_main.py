import errno
import io
import json
import threading
import time

import pytest
from tests.serving.server.fakes_life import (
    FakeServable,
    context,
    not_found,
    write_version,
)

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import ModelSpec
from eigenfit_serving.server.models.registry import Registry
from eigenfit_serving.server.process.application import Application, say
from eigenfit_serving.server.process.flags import parse_flags
from eigenfit_serving.server.process.main import main

FLAGS = ("--file_system_poll_wait_seconds=1", "--access_log=false", "--port=1")


class FakeServer:
    def __init__(self, port=4000):
        self.port, self.events = port, []

    def start(self):
        self.events.append("start")
        return self.port

    def stop(self, grace):
        self.events.append("stop")


class Running:
    """An application in a thread, and what it says."""

    def __init__(self, *flags, servers=None, say=None):
        self.stop, self.ready = threading.Event(), threading.Event()
        self.said, self.code, self.error = [], None, None
        self.servers = servers or {"grpc": FakeServer(4000), "rest": FakeServer(4001)}
        self.app = Application(
            parse_flags([*FLAGS, *flags]),
            self.stop,
            lambda models, gate, command: self.servers,
            say or self._say,
        )
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _say(self, line):
        self.said.append(line)
        self.ready.set()

    def _run(self):
        try:
            self.code = self.app.run()
        except ServingError as error:
            self.error = error

    def join(self):
        self.thread.join(20)
        assert not self.thread.is_alive()


LOAD = "eigenfit_serving.server.models.loading.load_saved_model"


@pytest.fixture(autouse=True)
def models_load_at_once(monkeypatch):
    monkeypatch.setattr("eigenfit_serving.server.models.polling.SETTLED_SECONDS", -1.0)
    monkeypatch.setattr(LOAD, lambda path, name, v, _: FakeServable(path, name, v))


@pytest.fixture
def model(tmp_path):
    write_version(tmp_path / "m", 1)
    return ("--model_name=m", f"--model_base_path={tmp_path}/m")


def test_it_says_when_it_is_ready_and_stops_in_order(model):
    running = Running(*model)
    assert running.ready.wait(20)
    assert [json.loads(x) for x in running.said] == [
        {
            "event": "ready",
            "grpc": "grpc://127.0.0.1:4000",
            "rest": "http://127.0.0.1:4001",
        }
    ]
    with running.app.registry.acquire(ModelSpec("m")) as servable:
        assert servable.path.endswith("/m/1")
    running.stop.set()
    running.join()
    assert running.code == 0
    assert [x.events for x in running.servers.values()] == [["start", "stop"]] * 2


def test_a_full_disk_behind_the_log_stops_no_start(model, monkeypatch):
    tried = threading.Event()

    class Full(io.StringIO):
        def write(self, text):
            tried.set()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    running = Running(*model, say=say)
    assert tried.wait(20)
    running.stop.set()
    running.join()
    assert running.code == 0


def test_what_requests_set_is_not_replaced_by_a_file_that_stays(tmp_path, monkeypatch):
    write_version(tmp_path / "m", 1)
    entry = 'config {{ name: "{}" base_path: "{}/m" model_platform: "tensorflow" }}'
    files = {}
    for name in ("file", "kept"):
        files[name] = tmp_path / f"{name}.config"
        text = entry.format(name, tmp_path)
        files[name].write_text(f"model_config_list {{ {text} }}")
    applied = []
    name = "eigenfit_serving.server.config_files.ConfigPoller.start"
    monkeypatch.setattr(name, lambda self, config: applied.append(config))
    running = Running(
        f"--model_config_file={files['file']}",
        "--model_config_file_poll_wait_seconds=1",
        f"--model_config_state={files['kept']}",
    )
    assert running.ready.wait(20)
    assert running.app.registry.names() == ["kept"]
    assert [x.name for x in applied[0].model_config_list.config] == ["file"]
    running.stop.set()
    running.join()


def test_requests_in_flight_end_before_the_servers_stop(model):
    running = Running(*model)
    assert running.ready.wait(20)
    gate = running.app.gate
    with gate.admit(context()):
        running.stop.set()
        end = time.monotonic() + 10
        while not gate.draining:
            assert time.monotonic() < end
        refused = None
        while refused is None:
            assert time.monotonic() < end
            try:
                with gate.admit(context()):
                    pass
            except ServingError as error:
                refused = error
        assert refused.code is Code.UNAVAILABLE
        assert running.servers["grpc"].events == ["start"]
        assert running.thread.is_alive()
    running.join()
    assert running.code == 0


def test_requests_are_let_in_until_the_delay_is_over(model, monkeypatch):
    waits, is_over, delays = threading.Event(), threading.Event(), []

    class Clock:
        @staticmethod
        def sleep(seconds):
            delays.append(seconds)
            waits.set()
            assert is_over.wait(20)

    monkeypatch.setattr("eigenfit_serving.server.process.application.time", Clock)
    running = Running(*model, "--drain_delay_seconds=0.3")
    assert running.ready.wait(20)
    running.stop.set()
    assert waits.wait(20)
    gate = running.app.gate
    assert gate.draining
    with gate.admit(context()):
        pass
    assert running.servers["grpc"].events == ["start"]
    is_over.set()
    running.join()
    assert delays == [0.3]
    with pytest.raises(ServingError), gate.admit(context()):
        pass


def test_requests_that_never_end_are_given_up(model, caplog):
    running = Running(*model, "--drain_timeout_seconds=0.1")
    assert running.ready.wait(20)
    with running.app.gate.admit(context()):
        running.stop.set()
        running.join()
    assert running.code == 0
    assert "1 requests have not ended after 0.1 s and are given up" in caplog.messages


def test_a_bad_model_ends_it_before_the_ports_open(model, monkeypatch):
    def fail(*arguments):
        raise not_found("no such tags")

    monkeypatch.setattr(LOAD, fail)
    running = Running(*model, "--max_num_load_retries=0")
    running.join()
    assert running.error.message == (
        "1 servable(s) did not become available: {{{name: m version: 1} due to error: "
        "NOT_FOUND: no such tags}, }"
    )
    assert running.servers["grpc"].events == []


def test_an_empty_folder_is_waited_for_until_it_is_told_to_stop(tmp_path, monkeypatch):
    looked, looks = threading.Event(), []
    wait_changed = Registry.wait_changed

    def wait(self, timeout):
        # It looks, waits and looks again; so often that the folder has been read.
        looks.append(timeout)
        if len(looks) == 3:
            looked.set()
        wait_changed(self, timeout)

    monkeypatch.setattr(Registry, "wait_changed", wait)
    running = Running(f"--model_base_path={tmp_path}")
    assert looked.wait(20)
    assert running.thread.is_alive()
    assert not running.ready.is_set()
    assert running.servers["grpc"].events == []
    running.stop.set()
    running.join()
    assert running.code == 0
    assert not running.ready.is_set()
    assert running.servers["grpc"].events == []


def test_a_port_that_cannot_be_had_ends_it(model):
    class Taken(FakeServer):
        def start(self):
            raise OSError("Cannot listen on 127.0.0.1:4001: Address already in use")

    servers = {"grpc": FakeServer(), "rest": Taken()}
    running = Running(*model, servers=servers)
    running.join()
    text = "Cannot listen on 127.0.0.1:4001: Address already in use"
    assert (running.error.code, running.error.message) == (Code.INVALID_ARGUMENT, text)
    assert servers["grpc"].events == ["start", "stop"]


def test_a_changed_file_of_models_is_applied(tmp_path):
    for name in ("a", "b"):
        write_version(tmp_path / name, 1)
    file = tmp_path / "models.config"

    def write(*names):
        entries = (
            f'config {{ name: "{x}" base_path: "{tmp_path}/{x}" '
            'model_platform: "tensorflow" }'
            for x in names
        )
        file.write_text(f"model_config_list {{ {' '.join(entries)} }}")

    write("a")
    running = Running(
        f"--model_config_file={file}", "--model_config_file_poll_wait_seconds=1"
    )
    assert running.ready.wait(20)
    assert running.app.registry.names() == ["a"]
    write("a", "b")
    end = time.monotonic() + 20
    while True:
        try:
            with running.app.registry.acquire(ModelSpec("b")):
                break
        except ServingError:
            assert time.monotonic() < end
            running.app.registry.wait_changed(0.1)
    running.stop.set()
    running.join()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            [],
            "INVALID_ARGUMENT: Both server_options.model_base_path and "
            "server_options.model_config_file are empty!",
        ),
        (
            ["--model_base_path=m", "--model_name=a"],
            "INVALID_ARGUMENT: Expected model a to have an absolute path or URI; got "
            "base_path()=m",
        ),
        (
            ["--model_base_path=/m", "--monitoring_config_file=/none"],
            "NOT_FOUND: /none; No such file or directory",
        ),
        *[
            (
                ["--model_base_path=/m", "--rest_api_port=2", f"--{flag}=/none"],
                "NOT_FOUND: /none; No such file or directory",
            )
            for flag in ("api_key_file", "ssl_config_file", "rest_ssl_config_file")
        ],
        (
            ["--model_base_path=/m", "--api_key_file=/"],
            "INVALID_ARGUMENT: /; Is a directory",
        ),
        (
            ["--model_base_path=/m", "--port=0"],
            "INVALID_ARGUMENT: There is nothing to listen on: give --port, "
            "--grpc_socket_path or --rest_api_port, or --free_ports.",
        ),
    ],
)
def test_what_cannot_start_says_why_at_last(arguments, text, capsys, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    assert main([*FLAGS, *arguments]) == 255
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"Failed to start server. Error: {text}"
