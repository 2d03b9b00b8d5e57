import pytest

from eigenfit_serving.protocol.messages import ModelServerConfig, MonitoringConfig
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.config_files import (
    ConfigPoller,
    model_config,
    read_message,
)
from eigenfit_serving.server.options import Options


def models_file(path, *names):
    entries = (
        f'config {{ name: "{x}" base_path: "/m/{x}" model_platform: "tensorflow" }}'
        for x in names
    )
    path.write_text(f"# models\nmodel_config_list {{ {' '.join(entries)} }}\n")
    return str(path)


def refusal(call, *arguments):
    with pytest.raises(ServingError) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message


def test_one_model_is_configured_by_flags():
    config = model_config(Options(model_name="a", model_base_path="/m/a"))
    [entry] = config.model_config_list.config
    assert (entry.name, entry.base_path) == ("a", "/m/a")
    assert entry.model_platform == "tensorflow"


def test_several_models_are_configured_by_a_file(tmp_path):
    path = models_file(tmp_path / "models.config", "a", "b")
    config = model_config(Options(model_config_file=path))
    assert [x.name for x in config.model_config_list.config] == ["a", "b"]


def test_there_must_be_something_to_serve():
    assert refusal(model_config, Options()) == (
        Code.INVALID_ARGUMENT,
        "Both server_options.model_base_path and server_options.model_config_file "
        "are empty!",
    )


def test_a_file_that_is_no_configuration_is_told(tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list { confg { } }")
    code, message = refusal(model_config, Options(model_config_file=str(path)))
    assert code is Code.INVALID_ARGUMENT
    assert message.startswith(f"Invalid protobuf file: '{path}': ")
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in message


def test_files_that_cannot_be_read_are_told(tmp_path):
    path = str(tmp_path / "none")
    assert refusal(read_message, MonitoringConfig, path) == (
        Code.NOT_FOUND,
        f"{path}; No such file or directory",
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    code, _ = refusal(read_message, MonitoringConfig, str(tmp_path / "binary"))
    assert code is Code.INVALID_ARGUMENT


def test_a_changed_file_is_applied_once(tmp_path):
    applied = []
    path = models_file(tmp_path / "models.config", "a")
    poller = ConfigPoller(path, 1.0, applied.append)
    poller._applied = read_message(ModelServerConfig, path)
    poller.look()
    assert not applied
    models_file(tmp_path / "models.config", "a", "b")
    poller.look()
    poller.look()
    assert [[y.name for y in x.model_config_list.config] for x in applied] == [
        ["a", "b"]
    ]


def test_a_broken_file_is_told_once_and_changes_nothing(tmp_path, caplog):
    applied = []
    path = tmp_path / "models.config"
    path.write_text("{")
    poller = ConfigPoller(str(path), 1.0, applied.append)
    poller.look()
    poller.look()
    assert not applied
    [message] = caplog.messages
    assert message.startswith(f"Not all of {path} is in force: INVALID_ARGUMENT: Inv")
    path.unlink()
    poller.look()
    assert len(caplog.messages) == 2


def test_what_could_not_be_applied_is_tried_again(tmp_path, caplog):
    caplog.set_level("INFO")
    tries = []

    def reload(config):
        tries.append(config)
        if len(tries) == 1:
            raise ServingError(Code.FAILED_PRECONDITION, "not yet")

    path = models_file(tmp_path / "models.config", "a")
    poller = ConfigPoller(path, 1.0, reload)
    for _ in range(3):
        poller.look()
    assert len(tries) == 2
    assert caplog.messages == [
        f"The models in {path} have changed",
        f"Not all of {path} is in force: FAILED_PRECONDITION: not yet",
    ]


def test_a_thread_looks(tmp_path):
    import threading

    seen = threading.Event()
    path = models_file(tmp_path / "models.config", "a")
    poller = ConfigPoller(path, 0.01, lambda config: seen.set())
    poller.start(ModelServerConfig())
    assert seen.wait(10)
    poller.stop()
    poller._thread.join(10)
    assert not poller._thread.is_alive()
