"""API keys and TLS."""

import http.client
import json
import shutil
import ssl
import subprocess

import pytest
from tests.serving.server.rest_fakes import FakeGate, running

from eigenfit_serving.protocol.status import ServingError
from eigenfit_serving.server.keys import Keys
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest.server import RestServer

PREDICT = ("POST", "/v1/models/float:predict", '{"inputs": 1}')


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text("first-key\n\n second-key  of the second client\n")
    return str(path)


def test_keys(key_file):
    gate = FakeGate()
    with running(gate=gate, api_key_file=key_file, page=True) as client:
        for headers in (
            {"x_api_key": "first-key"},
            {"x_api_key": "second-key"},
            {"Authorization": "Bearer first-key"},
            {"Authorization": "bearer second-key"},
        ):
            assert client(*PREDICT, **headers).status == 200
        for headers in (
            {},
            {"x_api_key": "third"},
            {"x_api_key": "first-key-"},
            {"Authorization": "Basic first-key"},
            {"Authorization": "Bearer"},
        ):
            answer = client(*PREDICT, **headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            text = "The API key is missing or wrong"
            assert text in json.loads(answer.body)["error"]
        assert gate.reasons == ["api_key"] * 5
        assert client("GET", "/v1/models").status == 401
        assert client("GET", "/v1/what").status == 401
        # What holds no data of models, and what a browser asks without headers.
        for path in ("/", "/healthz", "/readyz"):
            assert client("GET", path).status == 200
        origin = {"Origin": "https://a.example"}
        assert client("OPTIONS", "/v1/models/float:predict", **origin).status == 200


def test_models_are_named_to_those_with_a_key(key_file):
    with running(api_key_file=key_file) as client:
        assert b"models" not in client("GET", "/readyz").body
        named = client("GET", "/readyz", x_api_key="first-key")
        assert "float" in json.loads(named.body)["models"]


def test_a_browser_may_send_a_key(key_file):
    options = {"api_key_file": key_file, "rest_api_enable_cors_support": True}
    origin = {"Origin": "https://a.example"}
    with running(**options) as client:
        answer = client("OPTIONS", "/v1/models/float:predict", **origin)
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert {"authorization", "x-api-key", "content-type"} <= set(
            allowed.split(", ")
        )


def test_metrics_need_the_key(tmp_path, key_file):
    file = tmp_path / "monitoring.config"
    file.write_text("prometheus_config { enable: true }")
    path = "/monitoring/prometheus/metrics"
    options = {"monitoring_config_file": str(file), "api_key_file": key_file}
    with running(**options) as client:
        assert client("GET", path).status == 401
        assert client("GET", path, Authorization="Bearer first-key").status == 200


def test_file_of_keys(tmp_path, key_file):
    assert "first" not in repr(Keys(key_file))
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(ServingError, match="no API key in this file"):
        Keys(str(empty))
    with pytest.raises(OSError, match="absent"):
        Keys(str(tmp_path / "absent"))


# ---- TLS ----


def certificate(folder, name, signer=None):
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}"]
    command += ["-keyout", key, "-out", cert]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    if signer:
        command += ["-CA", folder / f"{signer}.crt", "-CAkey", folder / f"{signer}.key"]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, cert


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    folder = tmp_path_factory.mktemp("tls")
    certificate(folder, "ca")
    certificate(folder, "server", "ca")
    certificate(folder, "client", "ca")
    return folder


def config(folder, verify):
    fields = {"server_key": "server.key", "server_cert": "server.crt"}
    fields["custom_ca"] = "ca.crt"
    lines = [
        f"{field}: {json.dumps((folder / name).read_text())}"
        for field, name in fields.items()
    ]
    path = folder / f"ssl_{verify}.config"
    path.write_text("\n".join([*lines, f"client_verify: {str(verify).lower()}"]))
    return str(path)


def ask(client, context):
    connection = http.client.HTTPSConnection(
        "127.0.0.1", client.port, context=context, timeout=20
    )
    try:
        connection.request(*PREDICT)
        return connection.getresponse().status
    finally:
        connection.close()


def test_tls(folder):
    trusting = ssl.create_default_context(cafile=folder / "ca.crt")
    with running(rest_ssl_config_file=config(folder, verify=False)) as client:
        assert ask(client, trusting) == 200
        with pytest.raises(ssl.SSLError):
            ask(client, ssl.create_default_context())
        with pytest.raises(ConnectionError):
            client("GET", "/healthz")
        assert ask(client, trusting) == 200


def test_client_certificates(folder):
    with running(rest_ssl_config_file=config(folder, verify=True)) as client:
        context = ssl.create_default_context(cafile=folder / "ca.crt")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(client, context)
        context.load_cert_chain(folder / "client.crt", folder / "client.key")
        assert ask(client, context) == 200


def test_bad_tls_files(folder, tmp_path):
    file = tmp_path / "ssl.config"
    for text, word in (
        ("server_key: 5", "Error parsing text-format tensorflow.serving.SSLConfig"),
        ('server_key: "a" server_cert: "b"', "ssl.config"),
        ('server_key: "a"', "server_cert is empty"),
    ):
        file.write_text(text)
        with pytest.raises(ServingError, match=word):
            RestServer(None, FakeGate(), Options(rest_ssl_config_file=str(file)))
