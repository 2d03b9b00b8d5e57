import shutil
import ssl

import grpc
import pytest
from tests.serving.client.fakes import FakeTransport
from tests.serving.client.served import grpc_served, http_served

import eigenfit_serving
from eigenfit_serving.client import Client, ConnectionFailed, Tls
from eigenfit_serving.client.address import parse_address

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificates"
)


def test_grpc_with_a_certificate_on_both_sides(certificates):
    read = {path.stem: path.read_bytes() for path in certificates.iterdir()}
    credentials = grpc.ssl_server_credentials(
        [(read["server-key"], read["server"])], read["client"], True
    )
    own = Tls(
        ca=certificates / "server.pem",
        cert=certificates / "client.pem",
        key=certificates / "client-key.pem",
    )
    stranger = Tls(ca=certificates / "server.pem")
    with grpc_served(FakeTransport(), credentials=credentials) as (_, port):
        url = f"grpcs://localhost:{port}"
        with Client(url, "diagonal", tls=own) as client:
            assert client.fit([0, 0], [1, 2]).converged
        for tls in (stranger, None):
            with (
                Client(url, "diagonal", tls=tls, retries=0) as client,
                pytest.raises(ConnectionFailed),
            ):
                client.status()


def test_https(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        certificates / "server.pem", certificates / "server-key.pem"
    )
    with http_served(FakeTransport()) as (server, port):
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://localhost:{port}"
        with Client(url, tls=Tls(ca=certificates / "server.pem")) as client:
            assert client.fit([0, 0], [1, 2]).converged
        with (
            Client(url, retries=0) as client,
            pytest.raises(ConnectionFailed, match="certificate"),
        ):
            client.status()


@pytest.mark.parametrize(
    ("url", "target", "shown"),
    [
        ("grpc://a:1", "a:1", "grpcs://a:1"),
        ("grpcs://a", "a:8500", "grpcs://a:8500"),
        ("http://a:1/b/", "https://a:1/b", "https://a:1/b"),
        ("https://a", "https://a", "https://a"),
        ("unix:/a", "unix:/a", "unix:/a"),
    ],
)
def test_certificates_are_never_ignored(url, target, shown):
    found = parse_address(url, has_tls=True)
    assert (found.secure, found.target, found.shown) == (True, target, shown)


def test_a_plain_url_with_certificates_is_encrypted(certificates):
    read = {path.stem: path.read_bytes() for path in certificates.iterdir()}
    credentials = grpc.ssl_server_credentials([(read["server-key"], read["server"])])
    tls = Tls(ca=certificates / "server.pem")
    with (
        grpc_served(FakeTransport(), credentials=credentials) as (_, port),
        Client(f"grpc://localhost:{port}", "diagonal", tls=tls) as client,
    ):
        assert client.fit([0, 0], [1, 2]).converged
    with (
        grpc_served(FakeTransport()) as (_, port),
        Client(f"grpc://localhost:{port}", "diagonal", tls=tls, retries=0) as client,
        pytest.raises(ConnectionFailed),
    ):
        client.status()


@pytest.mark.slow  # a server for it alone
def test_a_server_that_wants_certificates(certificates, models):
    tls = Tls(
        ca=certificates / "server.pem",
        cert=certificates / "client.pem",
        key=certificates / "client-key.pem",
    )
    with eigenfit_serving.serve(
        models,
        kind="embedded",
        port=0,
        rest_port=0,
        tls_cert=certificates / "server.pem",
        tls_key=certificates / "server-key.pem",
        tls_ca=certificates / "client.pem",
        timeout=120,
    ) as server:
        for url in (server.grpc_url, server.rest_url):
            with Client(url, "joint", tls=tls) as client:
                assert client.status()
            with (
                Client(url, "joint", tls=Tls(ca=tls.ca), retries=0) as client,
                pytest.raises(ConnectionFailed),
            ):
                client.status()


def test_half_a_pair_is_refused(certificates):
    with pytest.raises(ValueError, match="both `cert` and `key`"):
        Tls(cert=certificates / "client.pem")
