import shutil
import ssl

import grpc
import pytest
from tests.serving.client.fakes import FakeTransport
from tests.serving.client.served import grpc_served, http_served

from eigenfit_serving.client import Client, ConnectionFailed, Tls

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


def test_half_a_pair_is_refused(certificates):
    with pytest.raises(ValueError, match="both `cert` and `key`"):
        Tls(cert=certificates / "client.pem")
