"""Whole servers: signals, crashes, and new versions while clients call."""

import os
import signal
import threading
import time
import urllib.error
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.serving.server.life.processes import Grpc, Rest, Server, save_version
from tests.waiting import wait_for

from eigenfit_serving.protocol.messages import ReloadConfigRequest, ReloadConfigResponse

ROWS = np.zeros(3, np.float32)
AVAILABLE, END = 30, 50
METRICS = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("served")
    save_version(home / "m", 1)
    return home


def flags(home, *more):
    return ("--model_name=m", f"--model_base_path={home}/m", *more)


class Clients:
    """Threads that call all the time, by both protocols, and note what they get."""

    def __init__(self, server, count):
        self.answers = [[] for _ in range(count)]
        self.errors = []
        self._stop = threading.Event()
        kinds = (Grpc, Rest)
        self._threads = [
            threading.Thread(target=self._run, args=[kinds[i % 2](server), i])
            for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, client, i):
        while not self._stop.is_set():
            try:
                numbers = client.predict(ROWS)
                assert len(set(numbers)) == 1
                self.answers[i].append(numbers[0])
            except Exception as error:
                self.errors.append(error)
                time.sleep(0.05)
        client.close()

    def least(self, number):
        """The fewest answers of a version that one of them has had."""
        return min(answers.count(number) for answers in self.answers)

    def last(self):
        """The versions that answered them last."""
        return {number for answers in self.answers for number in answers[-1:]}

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def switch_under_load(home, server, versions, count):
    """Adds versions while clients call, each when all have had so many answers."""
    clients = Clients(server, 8)
    watcher = Grpc(server)
    try:
        for number in versions:
            save_version(home / "m", number)
            wait_for(lambda n=number: watcher.states().get(n) == AVAILABLE)
            wait_for(lambda n=number: watcher.states().get(n - 1) == END)
            wait_for(lambda n=number: clients.errors or clients.least(n) > count)
    finally:
        clients.stop()
        watcher.close()
    assert clients.errors == []
    for answers in clients.answers:
        assert answers == sorted(answers)
        assert answers[-1] == versions[-1]


@pytest.mark.slow
def test_new_versions_while_clients_call(home):
    server = Server(*flags(home), home=home)
    clients = [Grpc(server), Rest(server)]
    try:
        assert [x.predict(ROWS) for x in clients] == [[1.0] * 3] * 2
        assert clients[1].code("/readyz") == 200
        line = server.wait_line(lambda x: x.get("entrypoint") == "REST")
        assert (line["model"], line["version"], line["status"]) == ("m", 1, "OK")
        assert line["rows"] == 3

        switch_under_load(home, server, [2, 3], 10)
    finally:
        for client in clients:
            client.close()
        server.kill()
    assert server.process.returncode == 0


@pytest.mark.slow
def test_what_a_request_configured_is_there_after_a_crash(tmp_path):
    save_version(tmp_path / "m", 1)
    save_version(tmp_path / "n", 2)
    state = tmp_path / "models.state"
    more = (f"--model_config_state={state}",)
    server = Server(*flags(tmp_path, *more), home=tmp_path)
    request = ReloadConfigRequest()
    for name in ("m", "n"):
        request.config.model_config_list.config.add(
            name=name, base_path=str(tmp_path / name), model_platform="tensorflow"
        )
    try:
        with grpc.insecure_channel(server.grpc) as channel:
            reload = channel.unary_unary(
                "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
                ReloadConfigRequest.SerializeToString,
                ReloadConfigResponse.FromString,
            )
            reload(request, timeout=60)
        os.kill(server.process.pid, signal.SIGSEGV)
        assert server.wait_exit() == -signal.SIGSEGV
        assert "Fatal Python error: Segmentation fault" in server.log.read_text()
    finally:
        server.kill()
    again = Server(*flags(tmp_path, *more), home=tmp_path)
    try:
        listed = Rest(again).get("/v1/models")["models"]
        assert [x["name"] for x in listed] == ["m", "n"]
    finally:
        again.kill()


def test_requests_in_flight_end_and_new_ones_are_refused(home):
    # Two runs wait all the time; others need threads, too.
    monitoring = home / "monitoring"
    monitoring.write_text("prometheus_config { enable: true }")
    more = (
        "--drain_delay_seconds=0.5",
        "--tensorflow_inter_op_parallelism=8",
        f"--monitoring_config_file={monitoring}",
    )
    server = Server(*flags(home, *more), home=home)
    clients = [Grpc(server), Rest(server)]
    sign = home / "go"
    answers, errors = [], []

    def call(client):
        try:
            path = np.array([str(sign).encode()], object)
            answers.append(client.predict(path, "path", "wait"))
        except Exception as error:
            errors.append(error)

    def refusals():
        found = []
        for client in clients:
            try:
                client.predict(ROWS)
            except grpc.RpcError as error:
                found.append(error.code())
            except urllib.error.HTTPError as error:
                with error:
                    found.append(error.code)
        return found

    def both_run():
        return "\neigenfit_in_flight 2" in clients[1].text(METRICS)

    def stopping():
        return server.log.read_text().count("Stopping: 2 requests")

    threads = [threading.Thread(target=call, args=[client]) for client in clients]
    try:
        for thread in threads:
            thread.start()
        wait_for(both_run)
        server.process.send_signal(signal.SIGTERM)
        wait_for(stopping)
        wait_for(lambda: clients[1].code("/readyz") == 503)
        wait_for(lambda: len(refusals()) == 2)
        assert refusals() == [grpc.StatusCode.UNAVAILABLE, 503]
        assert not answers
        assert server.process.poll() is None
        sign.touch()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert len(answers) == 2
        assert server.wait_exit() == 0
    finally:
        sign.touch()
        for client in clients:
            client.close()
        server.kill()


@pytest.mark.slow
def test_many_new_versions_while_clients_call(tmp_path):
    save_version(tmp_path / "m", 1)
    server = Server(*flags(tmp_path), home=tmp_path)
    try:
        switch_under_load(tmp_path, server, list(range(2, 14)), 300)
    finally:
        server.kill()


@pytest.mark.slow
def test_fifty_new_versions_do_not_fill_the_memory(tmp_path):
    save_version(tmp_path / "m", 1)
    server = Server(*flags(tmp_path), home=tmp_path)
    client, sizes = Grpc(server), []

    def resident():
        statm = Path(f"/proc/{server.process.pid}/statm").read_text()
        pages = int(statm.split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    try:
        for number in range(2, 52):
            save_version(tmp_path / "m", number)
            wait_for(lambda n=number: client.states().get(n) == AVAILABLE)
            wait_for(lambda n=number: client.states().get(n - 1) == END)
            assert client.predict(ROWS) == [float(number)] * 3
            sizes.append(resident())
    finally:
        client.close()
        server.kill()
    print("MiB after each reload:", [round(x) for x in sizes])
    assert sizes[-1] < sizes[9] + 60
