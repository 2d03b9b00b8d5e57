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

tomllib = pytest.importorskip("tomllib")
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


def check_known(flags, known=OUR_FLAGS):
    names = {flag.removeprefix("--").split("=")[0] for flag in flags}
    assert names
    assert names <= known
    return names


def check_flags(file, flags):
    names = check_known(flags, OUR_FLAGS if "eigenfit" in file.name else THEIR_FLAGS)
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


def documents(file):
    """What a file asks Kubernetes for: kind -> documents."""
    found = {}
    for document in yaml.safe_load_all(file.read_text()):
        found.setdefault(document["kind"], []).append(document)
    return found


@pytest.mark.parametrize("file", KUBERNETES, ids=lambda file: file.name)
def test_kubernetes(file):
    found = documents(file)
    [deployment] = found["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    [container] = pod["spec"]["containers"]
    check_flags(file, container["args"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        [check] = [v for v in container[probe].values() if isinstance(v, dict)]
        assert check["port"] in ports
    for service in found["Service"]:
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
    assert {x["targetPort"] for x in found["Service"][0]["spec"]["ports"]} == set(ports)
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert volumes == {mount["name"] for mount in container["volumeMounts"]}
    metrics = pod["metadata"]["annotations"]["prometheus.io/path"]
    assert metrics in (DEPLOY / "monitoring.config").read_text()
    own = [flag.split("=") for flag in container["args"] if "drain" in flag]
    drain = sum(float(seconds) for _, seconds in own)
    assert pod["spec"]["terminationGracePeriodSeconds"] > drain


def test_kubernetes_guards_our_server():
    file = DEPLOY / "kubernetes.eigenfit.yaml"
    found = documents(file)
    [deployment] = found["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    [container] = pod["spec"]["containers"]
    flags = dict(flag[2:].split("=") for flag in container["args"])
    # What is read is mounted, and secrets come from Secrets.
    mounts = {x["mountPath"]: x["name"] for x in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for flag, value in flags.items():
        if flag.endswith("_file"):
            volume = volumes[mounts[str(Path(value).parent)]]
            is_secret = flag.startswith(("api_key", "ssl", "rest_ssl"))
            assert ("secret" in volume) == is_secret, flag
    assert all(
        container[f"{probe}Probe"]["httpGet"]["scheme"] == "HTTPS"
        for probe in ("startup", "readiness", "liveness")
    )
    security = pod["spec"]["securityContext"]
    assert security["runAsNonRoot"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["readOnlyRootFilesystem"]
    [headless] = [x for x in found["Service"] if x["spec"].get("clusterIP") == "None"]
    assert [port["targetPort"] for port in headless["spec"]["ports"]] == ["grpc"]
    [budget] = found["PodDisruptionBudget"]
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"]
    [policy] = found["NetworkPolicy"]
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    names = {port["name"] for port in container["ports"]}
    for rule in policy["spec"]["ingress"]:
        assert rule["from"]
        assert {port["port"] for port in rule["ports"]} <= names


def test_limits_of_memory_are_above_what_the_server_holds():
    [deployment] = documents(DEPLOY / "kubernetes.eigenfit.yaml")["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    limit = container["resources"]["limits"]["memory"]
    compose = yaml.safe_load((DEPLOY / "docker-compose.eigenfit.yaml").read_text())
    unit = (DEPLOY / "eigenfit-serving.service").read_text()
    assert limit == "3Gi"
    assert compose["services"]["serving"]["mem_limit"] == "3g"
    assert "MemoryMax=3G\n" in unit
    # Measured at rest with two models, and what requests add to it; see BUILD_NOTES.md.
    assert 2**30 + 2 * Options().max_pending_body_bytes < 3 * 2**30


def test_versions_of_images_are_those_of_the_package():
    version = tomllib.loads((DEPLOY.parents[1] / "pyproject.toml").read_text())
    image = f"eigenfit-serving:{version['project']['version']}"
    for name in ("Dockerfile", "docker-compose.eigenfit.yaml"):
        assert image in (DEPLOY / name).read_text()
    text = (DEPLOY / "kubernetes.eigenfit.yaml").read_text()
    assert f"image: {image}" in text


def entrypoint(tmp_path, *flags):
    """Runs the entry point with a stand-in for Python that tells its arguments."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    return subprocess.run(
        ["sh", str(DEPLOY / "entrypoint.sh"), *flags],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "CONFIG": str(tmp_path)},
    )


def test_the_image_says_what_to_mount(tmp_path):
    done = entrypoint(tmp_path)
    assert done.returncode == 2
    assert not done.stdout
    assert "target=/models" in done.stderr
    check_known(re.findall(r"--\w+=", done.stderr.split("identity", 1)[1]))


def test_the_image_starts_our_server_with_known_flags(tmp_path):
    listen = ["--host=0.0.0.0", "--port=8500", "--rest_api_port=8501"]
    start = ["-m", "eigenfit_serving.server", *listen]
    assert entrypoint(tmp_path, "--page=false").stdout.split() == [
        *start,
        "--page=false",
    ]
    for name in ("models.config", "monitoring.config"):
        (tmp_path / name).write_text("")
    flags = entrypoint(tmp_path).stdout.split()
    assert flags[: len(start)] == start
    check_flags(DEPLOY / "Dockerfile.eigenfit", flags[2:])


def test_the_image_copies_what_is_there_and_needs_no_root():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    root = DEPLOY.parents[1]
    allowed = (root / ".dockerignore").read_text().splitlines()
    sources = [
        name
        for line in lines
        if line.startswith("COPY") and "--from" not in line
        for name in line.split()[1:-1]
        if not name.startswith("--")
    ]
    assert all((root / name).exists() for name in sources)
    assert {f"!{name.split('/')[0]}" for name in sources} <= set(allowed)
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert bases == ["${PYTHON}"] * 2
    [base] = [line for line in lines if line.startswith("ARG PYTHON=")]
    assert re.search(r"python:\d+\.\d+\.\d+-slim-\w+$", base)
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 1000:1000"]


def test_the_image_installs_one_tensorflow():
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
