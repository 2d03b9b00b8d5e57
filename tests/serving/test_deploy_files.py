import dataclasses
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from eigenfit_serving.protocol import messages
from eigenfit_serving.protocol.text import parse_text
from eigenfit_serving.server.options import Options

yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).parents[2] / "serving" / "deploy"
OUR_FLAGS = {field.name for field in dataclasses.fields(Options)}
COMPOSE = sorted(DEPLOY.glob("docker-compose.*.yaml"))
KUBERNETES = sorted(DEPLOY.glob("kubernetes.*.yaml"))

# TensorFlow Serving's that these files use; see its main.cc.
THEIR_FLAGS = {
    "port",
    "rest_api_port",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "monitoring_config_file",
    "xla_cpu_compilation_enabled",
}


def parse(name, message):
    file = DEPLOY / name
    return parse_text(message, file.read_text(), str(file))


def check_flags(file, flags):
    known = OUR_FLAGS if "eigenfit" in file.name else THEIR_FLAGS
    names = {flag.removeprefix("--").split("=")[0] for flag in flags}
    assert names <= known
    assert {"model_config_file", "monitoring_config_file"} <= names


def test_systemd():
    file = DEPLOY / "eigenfit-serving.service"
    text = file.read_text().replace("\\\n", " ")
    lines = dict(x.split("=", 1) for x in text.splitlines() if re.match(r"\w+=", x))
    program, *flags = shlex.split(lines["ExecStart"])
    assert Path(program).name == "python"
    assert flags[:2] == ["-m", "eigenfit_serving.server"]
    check_flags(file, flags[2:])
    assert lines["Restart"] == "on-failure"
    drain = next(x for x in flags if x.startswith("--drain_timeout_seconds="))
    assert int(lines["TimeoutStopSec"]) > int(drain.split("=")[1])


def test_models():
    config = parse("models.config", messages.ModelServerConfig)
    first, second = config.model_config_list.config
    assert first.name == "identity"
    assert first.base_path == "/models/identity"
    assert first.model_version_policy.latest.num_versions == 2
    assert list(second.model_version_policy.specific.versions) == [1]
    assert dict(second.version_labels) == {"stable": 1}


def test_batching():
    found = parse("batching_parameters.txt", messages.BatchingParameters)
    sizes = list(found.allowed_batch_sizes)
    assert sizes == sorted(sizes)
    assert sizes[-1] == found.max_batch_size.value
    assert found.batch_timeout_micros.value > 0


def test_monitoring():
    found = parse("monitoring.config", messages.MonitoringConfig).prometheus_config
    assert found.enable
    assert found.path == "/monitoring/prometheus/metrics"


def test_there_is_a_file_for_each_server():
    for files in (COMPOSE, KUBERNETES):
        kinds = [file.name.split(".")[1] for file in files]
        assert kinds == ["eigenfit", "tensorflow-serving"]


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose(file):
    service = yaml.safe_load(file.read_text())["services"]["serving"]
    check_flags(file, service["command"])
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert service["healthcheck"]["test"][0] == "CMD"
    mounted = [volume.rsplit(":", 2)[1] for volume in service["volumes"]]
    assert mounted == ["/models", "/config"]


@pytest.mark.parametrize("file", KUBERNETES, ids=lambda file: file.name)
def test_kubernetes(file):
    deployment, service = yaml.safe_load_all(file.read_text())
    assert [deployment["kind"], service["kind"]] == ["Deployment", "Service"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    [container] = pod["spec"]["containers"]
    check_flags(file, container["args"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        [check] = [v for v in container[probe].values() if isinstance(v, dict)]
        assert check["port"] in ports
    assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert volumes == {mount["name"] for mount in container["volumeMounts"]}
    metrics = pod["metadata"]["annotations"]["prometheus.io/path"]
    assert metrics in (DEPLOY / "monitoring.config").read_text()
    own = [flag.split("=") for flag in container["args"] if "drain" in flag]
    drain = sum(float(seconds) for _, seconds in own)
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain


def test_the_image_starts_our_server_with_known_flags():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    commands = {line.split()[0]: line for line in lines if line and line[0] != "#"}
    flags = [
        part.strip('", []')
        for name in ("ENTRYPOINT", "CMD")
        for part in commands[name].split(None, 1)[1].split(",")
        if "--" in part
    ]
    assert '"eigenfit_serving.server"' in commands["ENTRYPOINT"]
    check_flags(DEPLOY / "Dockerfile.eigenfit", flags)
    root = DEPLOY.parents[1]
    for line in lines:
        if line.startswith("COPY"):
            assert all((root / name).exists() for name in line.split()[1:-1]), line


def test_the_image_installs_one_tensorflow():
    pytest.importorskip("tomllib")
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", "")
    [line] = [line for line in text.splitlines() if line.startswith("RUN python")]
    root = DEPLOY.parents[1]
    program = line[len("RUN ") :].split(" > ")[0].replace("/src", str(root))
    found = subprocess.run(
        ["sh", "-c", program.replace("python", shlex.quote(sys.executable), 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    names = {re.split("[<>=; ]", x)[0] for x in found.stdout.splitlines()}
    assert {"tensorflow-cpu", "numpy", "grpcio", "httptools"} <= names
    assert "tensorflow" not in names
    assert "--no-deps /src" in line
