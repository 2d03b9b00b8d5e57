"""States and signatures of models as JSON text, laid out as protobuf writes them."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict

from eigenfit_serving.server.interfaces import (
    ModelSource,
    Servable,
    VersionStatus,
    is_ready,
)
from eigenfit_serving.server.status import ServingError


def status_body(versions: list[VersionStatus]) -> bytes:
    """Writes the states of a model's versions."""
    return _text({"model_version_status": [_version(x) for x in versions]})


def metadata_body(servable: Servable) -> bytes:
    """Writes all signatures of a version."""
    signatures = {
        name: MessageToDict(
            servable.signatures[name],
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name in sorted(servable.signatures)
    }
    return _text(
        {
            "model_spec": {
                "name": servable.name,
                "signature_name": "",
                "version": str(servable.version),
            },
            "metadata": {"signature_def": {"signature_def": signatures}},
        }
    )


def models_body(models: ModelSource) -> bytes:
    """Writes all models and the states of their versions."""
    listed = [
        {
            "name": name,
            "model_version_status": [_version(x) for x in _status(models, name)],
        }
        for name in sorted(models.names())
    ]
    return _text({"models": listed})


def readiness(
    models: ModelSource, is_draining: bool, names_models: bool = True
) -> tuple[bool, bytes]:
    """Tells whether every model has a version that is available.

    Args:
        models: All of them.
        is_draining: Whether the server is about to stop.
        names_models: Whether the caller may know which models there are.

    Returns:
        Whether all are ready, and the body that says so.
    """
    available = {name: is_ready(models, name) for name in sorted(models.names())}
    ready = all(available.values()) and not is_draining
    found: dict[str, Any] = {"ready": ready, "draining": is_draining}
    if names_models:
        found["models"] = available
    return ready, _text(found)


def _status(models: ModelSource, name: str) -> list[VersionStatus]:
    try:
        return models.status(name)
    except ServingError:  # Configured, but no version has been seen.
        return []


def _version(status: VersionStatus) -> dict[str, Any]:
    return {
        "version": str(status.version),
        "state": status.state,
        "status": {"error_code": status.code.name, "error_message": status.message},
    }


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
