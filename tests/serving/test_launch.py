import json
import os
import socket
import subprocess
import sys
import urllib.request

import pytest
from tests.serving.stand_ins import install, make_model, recorded

from eigenfit_serving import InputError, serve
from eigenfit_serving.launch import kinds as launch_kinds
from eigenfit_serving.launch.options import LaunchOptions
from eigenfit_serving.launch.served import StartError
from eigenfit_serving.model_folders import config_text, find_models


@pytest.fixture
def bin_folder(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path / "models" / "chain", 1, 2)


def test_a_binary_on_the_path_gets_the_flags_of_tensorflow_serving(bin_folder, model):
    install(bin_folder, "tensorflow_model_server")
    with serve(model, port=0, rest_port=0, flags=["--num_load_threads=2"]) as server:
        assert server.kind == "binary"
        assert "TensorFlow ModelServer: 2.20.0-stand-in" in server.about
        assert server.models == ["chain"]
        assert server.grpc_url == f"grpc://127.0.0.1:{server.port}"
        assert server.rest_url == f"http://127.0.0.1:{server.rest_port}"
        assert server.exit_code is None
        assert recorded(bin_folder, "binary") == [
            f"--port={server.port}",
            f"--rest_api_port={server.rest_port}",
            "--model_name=chain",
            f"--model_base_path={model}",
            "--xla_cpu_compilation_enabled=true",
            "--num_load_threads=2",
        ]
    assert server.exit_code == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.rest_port), 1.0)


def test_files_reach_the_binary(bin_folder, model, tmp_path):
    install(bin_folder, "tensorflow_model_server")
    for name in ("batching.txt", "monitoring.config"):
        (tmp_path / name).touch()
    (tmp_path / "cert.pem").write_text("-----BEGIN\nCERT\n")
    (tmp_path / "key.pem").write_text('KEY "quoted"\n')
    options = LaunchOptions(
        batching=tmp_path / "batching.txt",
        monitoring=tmp_path / "monitoring.config",
        tls_cert=tmp_path / "cert.pem",
        tls_key=tmp_path / "key.pem",
    )
    command = launch_kinds.choose("binary", find_models(model), options, tmp_path)
    assert {
        "--enable_batching=true",
        f"--batching_parameters_file={tmp_path / 'batching.txt'}",
        f"--monitoring_config_file={tmp_path / 'monitoring.config'}",
        f"--ssl_config_file={tmp_path / 'ssl.config'}",
    } <= set(command.arguments)
    text = (tmp_path / "ssl.config").read_text()
    assert 'server_cert: "-----BEGIN\\nCERT\\n"' in text
    assert 'server_key: "KEY \\"quoted\\"\\n"' in text
    assert (tmp_path / "ssl.config").stat().st_mode & 0o077 == 0


def test_a_container_gets_ports_folders_and_flags(bin_folder, model):
    install(bin_folder, "docker")
    with serve(model, port=0, rest_port=0, host="0.0.0.0") as server:
        assert server.kind == "docker"
        arguments = recorded(bin_folder, "docker")
        [name] = [x[7:] for x in arguments if x.startswith("--name=")]
        assert arguments[:3] == ["run", "--rm", "--init"]
        assert f"--publish=0.0.0.0:{server.port}:8500" in arguments
        assert f"--publish=0.0.0.0:{server.rest_port}:8501" in arguments
        assert f"--volume={model}:{model}:ro" in arguments
        image = arguments.index("tensorflow/serving")
        assert arguments[image + 1 :] == [
            "--model_name=chain",
            f"--model_base_path={model}",
            "--xla_cpu_compilation_enabled=true",
        ]
        assert server.grpc_url == f"grpc://127.0.0.1:{server.port}"
    assert recorded(bin_folder, "stopped") == [name]
    assert server.exit_code == 0


@pytest.mark.parametrize(
    ("behaviour", "fragments"),
    [
        ("no engine", ["no container engine answers", "Cannot connect"]),
        ("no image", ["tensorflow/serving is not here", "docker pull"]),
    ],
)
def test_a_client_without_engine_or_image_is_not_chosen(
    bin_folder, model, tmp_path, behaviour, fragments
):
    install(bin_folder, "docker", behaviour)
    models = find_models(model)
    chosen = launch_kinds.choose("auto", models, LaunchOptions(), tmp_path)
    assert chosen.kind == "embedded"
    with pytest.raises(InputError) as error:
        serve(model, kind="docker", port=0, rest_port=0)
    for fragment in fragments:
        assert fragment in str(error.value)


def test_auto_prefers_the_binary_then_the_container(bin_folder, model, tmp_path):
    models = find_models(model)

    def chosen() -> str:
        return launch_kinds.choose("auto", models, LaunchOptions(), tmp_path).kind

    assert chosen() == "embedded"
    install(bin_folder, "docker")
    assert chosen() == "docker"
    install(bin_folder, "tensorflow_model_server")
    assert chosen() == "binary"
    install(bin_folder, "tensorflow_model_server", "broken")
    assert chosen() == "docker"


def test_an_api_key_needs_our_server(bin_folder, model, tmp_path):
    install(bin_folder, "tensorflow_model_server")
    (tmp_path / "key").write_text("secret")
    options = LaunchOptions(api_key_file=tmp_path / "key")
    models = find_models(model)
    command = launch_kinds.choose("auto", models, options, tmp_path)
    assert command.kind == "embedded"
    assert f"--api_key_file={tmp_path / 'key'}" in command.arguments
    reason = "; chosen because TensorFlow Serving knows no --api-key-file"
    assert command.about.endswith(reason)
    command = launch_kinds.choose("embedded", models, options, tmp_path)
    assert "chosen" not in command.about
    with pytest.raises(InputError, match="--kind embedded"):
        launch_kinds.choose("binary", models, options, tmp_path)


def test_embedded_encrypts_both_protocols(model, tmp_path):
    for name in ("cert.pem", "key.pem", "ca.pem"):
        (tmp_path / name).write_text("PEM")
    options = LaunchOptions(
        tls_cert=tmp_path / "cert.pem",
        tls_key=tmp_path / "key.pem",
        tls_ca=tmp_path / "ca.pem",
    )
    command = launch_kinds.choose("embedded", find_models(model), options, tmp_path)
    assert f"--rest_ssl_config_file={tmp_path / 'ssl.config'}" in command.arguments
    assert "client_verify: true" in (tmp_path / "ssl.config").read_text()


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ({"path": "nowhere"}, ["nowhere: no such file", "eigenfit export"]),
        ({"path": "."}, ["has no model", "saved_model.pb", "eigenfit export"]),
        ({"kind": "fast"}, ["--kind = 'fast'", "auto, embedded"]),
        ({"kind": "binary"}, ["tensorflow_model_server is not on the PATH"]),
        ({"kind": "docker"}, ["docker is not on the PATH"]),
        ({"port": 70000}, ["--port = 70000", "from 0 to 65535"]),
        ({"host": "203.0.113.7"}, ["--host = 203.0.113.7", "no address"]),
        ({"tls_cert": "chain/1/saved_model.pb"}, ["--tls-cert", "give both"]),
        ({"batching": "nowhere"}, ["--batching = nowhere", "cannot be read"]),
    ],
)
def test_bad_input(bin_folder, model, monkeypatch, arguments, fragments):
    monkeypatch.chdir(model.parent)
    os.rename(model, model.parent / "moved")
    (model.parent / "empty").mkdir()
    defaults = {"path": "moved", "port": 0, "rest_port": 0}
    if arguments.get("path") == ".":
        arguments = {"path": "empty"}
    if "tls_cert" in arguments:
        arguments = {"tls_cert": "moved/1/saved_model.pb"}
    with pytest.raises(InputError) as error:
        serve(**{**defaults, **arguments})
    for fragment in fragments:
        assert fragment in str(error.value)
    assert "\n" not in str(error.value)


def test_a_port_in_use_is_named(bin_folder, model):
    install(bin_folder, "tensorflow_model_server")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port = {port}: is in use"):
            serve(model, port=port, rest_port=0)
        with pytest.raises(InputError, match=f"--rest-port = {port}: is in use"):
            serve(model, port=0, rest_port=port)


def test_missing_packages_are_named(model, monkeypatch):
    monkeypatch.setattr(launch_kinds, "_EMBEDDED_NEEDS", {"no_such_module": "grpcio"})
    with pytest.raises(InputError, match=r'grpcio.*pip install "eigenfit\[serving\]"'):
        serve(model, kind="embedded", port=0, rest_port=0)


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        ("dies", "ended with code 255: Failed to start server. Error: Unknown: out"),
        ("bad model", "Model chain cannot be served: no such tags"),
        ("never ready", "Not ready after 0.5 s: model chain is LOADING"),
    ],
)
def test_a_server_that_does_not_start(bin_folder, model, behaviour, text):
    install(bin_folder, "tensorflow_model_server", behaviour)
    timeout = 0.5 if behaviour == "never ready" else 30.0
    with pytest.raises(StartError) as error:
        serve(model, port=0, rest_port=0, timeout=timeout)
    assert text in str(error.value)


def test_a_folder_of_models_becomes_a_configuration(bin_folder, tmp_path, model):
    install(bin_folder, "tensorflow_model_server")
    make_model(model.parent / 'odd "name"', 7)
    (model.parent / "bare").mkdir()
    (model.parent / "bare" / "saved_model.pb").touch()
    (model.parent / "notes").mkdir()
    with serve(model.parent, port=0, rest_port=0) as server:
        assert server.models == ["bare", "chain", 'odd "name"']
        [flag] = [
            x
            for x in recorded(bin_folder, "binary")
            if x.startswith("--model_config_file=")
        ]
        assert os.path.isfile(flag.split("=")[1])
        text = json.loads((bin_folder / "config.json").read_text())
    assert f'name: "chain"\n    base_path: "{model}"' in text
    assert 'name: "odd \\"name\\""' in text
    assert text.count("model_platform") == 3
    assert not os.path.exists(flag.split("=")[1])


def test_a_models_config_is_passed_on(bin_folder, tmp_path, model):
    install(bin_folder, "tensorflow_model_server")
    file = tmp_path / "models.config"
    file.write_text(config_text(find_models(model.parent).models))
    with serve(file, port=0, rest_port=0) as server:
        assert server.models == ["chain"]
        assert f"--model_config_file={file}" in recorded(bin_folder, "binary")
    with pytest.raises(InputError, match="Leave out --model-name"):
        serve(file, model_name="other")
    for text in ("model_config_list {", "", "models: 1"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"(is no|lists no)"):
            serve(file)


def test_one_version_is_served_alone(model, tmp_path):
    [found] = find_models(model / "1").models
    assert (found.name, found.base, found.version) == ("chain", model, 1)
    flags = find_models(model / "1", "other").flags(tmp_path)
    assert flags == [f"--model_config_file={tmp_path / 'models.config'}"]
    text = (tmp_path / "models.config").read_text()
    assert 'name: "other"' in text
    assert "specific { versions: 1 }" in text


def test_a_model_without_a_number_becomes_version_1(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "saved_model.pb").touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    flags = find_models(tmp_path / "plain").flags(scratch)
    assert flags == ["--model_name=plain", f"--model_base_path={scratch / 'plain'}"]
    assert (scratch / "plain" / "1" / "saved_model.pb").is_file()


def test_lines_of_the_server_are_passed_on(bin_folder, model):
    install(bin_folder, "tensorflow_model_server")
    lines = []
    with serve(model, port=0, rest_port=0, log=lines.append) as server:
        server.wait_ready(30.0)  # again
    assert "GET /v1/models/chain" in server.last_lines()
    assert all(line.startswith("GET ") for line in lines)


def test_a_log_that_fails_does_not_stop_the_reading(bin_folder, model):
    install(bin_folder, "tensorflow_model_server")

    def fail(line):
        raise OSError("closed")

    with serve(model, port=0, rest_port=0, log=fail) as server:
        for k in range(3):
            path = f"{server.rest_url}/{k}"
            urllib.request.urlopen(path, timeout=30).close()
    assert server.last_lines()[-1] == "GET /2"


def test_it_ends_with_the_process_that_started_it(bin_folder, model):
    install(bin_folder, "tensorflow_model_server")
    program = (
        "import eigenfit_serving\n"
        f"server = eigenfit_serving.serve({str(model)!r}, port=0, rest_port=0)\n"
        "print(server.rest_port)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(done.stdout)), 1.0)
