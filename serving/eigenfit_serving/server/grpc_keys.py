"""Refuses calls without the API key."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from eigenfit_serving.protocol.grpc_api import HEALTH_SERVICE
from eigenfit_serving.server.interfaces import Gate

_BEARER = "bearer "


def read_key(path: str) -> bytes:
    """Reads an API key: the first word of a file.

    Raises:
        ValueError: If there is none.
    """
    words = Path(path).read_bytes().split()
    if not words:
        raise ValueError(f"{path}: holds no API key.")
    return words[0]


class KeyInterceptor(grpc.ServerInterceptor):
    """Lets calls pass that carry the key, and those for the health check.

    Args:
        key: What is expected in `x-api-key`, or in `authorization` behind `Bearer`.
        gate: Counts what is refused.
    """

    def __init__(self, key: bytes, gate: Gate) -> None:
        self._key, self._gate = key, gate

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: Any
    ) -> Any:
        """Finds the handler of a call."""
        details = handler_call_details
        handler = continuation(details)
        if details.method.startswith(f"/{HEALTH_SERVICE}/"):
            return handler
        if handler is None or self._has_key(details.invocation_metadata):
            return handler
        return _refusing(handler, self._gate)

    def _has_key(self, metadata: Any) -> bool:
        for name, value in metadata or ():
            given = value if isinstance(value, bytes) else value.encode()
            if name == "authorization" and value[: len(_BEARER)].lower() == _BEARER:
                given = given[len(_BEARER) :].strip()
            elif name != "x-api-key":
                continue
            if hmac.compare_digest(given, self._key):
                return True
        return False


def _refusing(handler: Any, gate: Gate) -> Any:
    def refuse(_: Any, call: grpc.ServicerContext) -> Any:
        gate.reject("api_key")
        call.abort(
            grpc.StatusCode.UNAUTHENTICATED,
            "The API key is missing or wrong: send it as `x-api-key` or "
            "`authorization: Bearer`.",
        )

    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)
