"""Certificates of both ports."""

from __future__ import annotations

import os
import ssl
import tempfile
from typing import Any

import grpc

from eigenfit_serving.protocol.messages import SSLConfig
from eigenfit_serving.protocol.status import invalid
from eigenfit_serving.server.config_files import read_message


def read_credentials(path: str) -> grpc.ServerCredentials:
    """Makes gRPC's credentials from a file with an `SSLConfig`.

    Raises:
        ServingError: If it cannot be read, or something is missing.
    """
    config = _read(path)
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )


def read_context(path: str) -> ssl.SSLContext:
    """Makes the TLS context of REST from a file with an `SSLConfig`.

    Raises:
        ServingError: If it cannot be read, or key and certificate are no pair.
    """
    config = _read(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python loads keys only from files.
    handle, name = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{config.server_key}\n{config.server_cert}\n")
        context.load_cert_chain(name)
        if config.custom_ca:
            context.load_verify_locations(cadata=config.custom_ca)
    except ssl.SSLError as error:
        raise invalid(f"{path}: {error}") from error
    finally:
        os.unlink(name)
    if config.client_verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _read(path: str) -> Any:
    """Reads an `SSLConfig`, whose fields hold PEM text."""
    config = read_message(SSLConfig, path)
    for field in ("server_key", "server_cert"):
        if not getattr(config, field):
            raise invalid(f"{path}: {field} is empty.")
    if config.client_verify and not config.custom_ca:
        text = "client_verify needs custom_ca, which signs certificates of clients."
        raise invalid(f"{path}: {text}")
    return config
