"""Whole servers whose models change in all sorts of ways; long."""

import shutil
import time

import grpc
import numpy as np
import pytest
from tests.serving.server.life.processes import Grpc, Rest, Server, save_version
from tests.serving.server.life.test_process import (
    AVAILABLE,
    END,
    Clients,
    flags,
)
from tests.waiting import wait_for

from eigenfit_serving.protocol.messages import ReloadConfigRequest, ReloadConfigResponse

RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"


def copy_slowly(source, target):
    """Copies files one by one, each in two halves.

    The server looks at the folder meanwhile, and tells nobody: it takes its time.
    """
    target.mkdir()
    for file in sorted(source.rglob("*")):
        place = target / file.relative_to(source)
        if file.is_dir():
            place.mkdir()
            continue
        data = file.read_bytes()
        with place.open("wb") as output:
            output.write(data[: len(data) // 2])
            output.flush()
            time.sleep(0.7)
            output.write(data[len(data) // 2 :])


@pytest.mark.slow
def test_bad_half_copied_and_removed_versions_fail_no_request(tmp_path):
    save_version(tmp_path / "m", 1)
    server = Server(*flags(tmp_path, "--max_num_load_retries=0"), home=tmp_path)
    clients, watcher = Clients(server, 8), Grpc(server)

    def wait_answers(number):
        wait_for(lambda: clients.errors or clients.least(number) > 0)

    try:
        wait_answers(1.0)
        (tmp_path / "m" / "2").mkdir()
        (tmp_path / "m" / "2" / "saved_model.pb").write_bytes(b"garbage")
        wait_for(lambda: watcher.states() == {2: END, 1: AVAILABLE})
        save_version(tmp_path / "other", 3)
        copy_slowly(tmp_path / "other" / "3", tmp_path / "m" / "3")
        wait_for(lambda: watcher.states() == {3: AVAILABLE, 2: END, 1: END})
        assert server.log.read_text().count("cannot be loaded") == 1
        wait_answers(3.0)
        save_version(tmp_path / "m", 4)
        wait_for(lambda: watcher.states()[3] == END)
        wait_answers(4.0)
        shutil.rmtree(tmp_path / "m" / "4")
        wait_for(lambda: watcher.states()[4] == END)
        assert watcher.states()[3] == AVAILABLE
        # Each client, too, is back at the version before.
        wait_for(lambda: clients.errors or clients.last() == {3.0})
    finally:
        clients.stop()
        watcher.close()
        server.kill()
    assert clients.errors == []
    for answers in clients.answers:
        assert set(answers) == {1.0, 3.0, 4.0}
        assert answers[-1] == 3.0


@pytest.mark.slow
def test_models_and_labels_change_by_rpc(tmp_path):
    for number in (1, 2):
        save_version(tmp_path / "m", number)
    server = Server(*flags(tmp_path), home=tmp_path)
    rows = np.zeros(1, np.float32)
    rest, channel = Rest(server), grpc.insecure_channel(server.grpc)
    call = channel.unary_unary(
        RELOAD, ReloadConfigRequest.SerializeToString, ReloadConfigResponse.FromString
    )

    def reload(**labels):
        request = ReloadConfigRequest()
        entry = request.config.model_config_list.config.add(
            name="m", base_path=str(tmp_path / "m"), model_platform="tensorflow"
        )
        entry.model_version_policy.specific.versions.extend([1, 2])
        entry.version_labels.update(labels)
        return call(request, timeout=60)

    def labelled(label):
        body = '{"instances": [0.0]}'
        return rest.get(f"/v1/models/m/labels/{label}:predict", body)["predictions"]

    try:
        assert rest.predict(rows) == [2.0]
        assert reload(stable=1, canary=2).status.error_code == 0
        assert labelled("stable") == [1.0]
        assert labelled("canary") == [2.0]
        with pytest.raises(grpc.RpcError) as caught:
            reload(stable=3)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == (
            "Request to assign label to version 3 of model m, which is not currently "
            "available for inference"
        )
        assert labelled("stable") == [1.0]
        assert reload(stable=2).status.error_code == 0
        assert labelled("stable") == [2.0]
    finally:
        channel.close()
        server.kill()
