"""Files that configure the REST side: TLS and the path of the metrics."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

METRICS_PATH = "/monitoring/prometheus/metrics"


def metrics_path(config: Any) -> str | None:
    """Reads from a `MonitoringConfig` where metrics are served; None for nowhere."""
    prometheus = config.prometheus_config
    if not prometheus.enable:
        return None
    return prometheus.path or METRICS_PATH


def tls_context(config: Any) -> ssl.SSLContext:
    """Makes what TLS needs of an `SSLConfig`, whose fields are PEM texts.

    Raises:
        ssl.SSLError: A key or certificate is not one, or they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python loads a key from a file only.
    handle, name = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{config.server_key}\n{config.server_cert}\n")
        context.load_cert_chain(name)
    finally:
        os.unlink(name)
    if config.custom_ca:
        context.load_verify_locations(cadata=config.custom_ca)
    if config.client_verify:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read_message(message_class: Any, path: str) -> Any:
    """Reads a message in protobuf's text format from a file.

    Raises:
        ValueError: It is no such text.
        OSError: It cannot be read.
    """
    from eigenfit_serving.protocol.text import parse_text

    return parse_text(message_class, Path(path).read_text(), path)
