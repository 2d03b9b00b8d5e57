"""Certificates of the gRPC port."""

from __future__ import annotations

from pathlib import Path

import grpc

from eigenfit_serving.protocol.messages import SSLConfig
from eigenfit_serving.protocol.text import parse_text


def read_credentials(path: str) -> grpc.ServerCredentials:
    """Reads a file with an `SSLConfig`, whose fields hold PEM text.

    Raises:
        ValueError: If it cannot be read, or something is missing.
        OSError: If there is no such file.
    """
    config = parse_text(SSLConfig, Path(path).read_text(encoding="utf-8"), path)
    for field in ("server_key", "server_cert"):
        if not getattr(config, field):
            raise ValueError(f"{path}: {field} is empty.")
    if config.client_verify and not config.custom_ca:
        raise ValueError(
            f"{path}: client_verify needs custom_ca, which signs the certificates of "
            "clients."
        )
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
