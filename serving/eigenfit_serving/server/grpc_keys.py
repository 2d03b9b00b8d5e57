"""Refuses calls without the API key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from eigenfit_serving.protocol.grpc_api import HEALTH_SERVICE
from eigenfit_serving.server.grpc_calls import make_context
from eigenfit_serving.server.interfaces import Gate
from eigenfit_serving.server.keys import is_key
from eigenfit_serving.server.request_ids import HEADER
from eigenfit_serving.server.status import Code

_BEARER = "bearer "


class KeyInterceptor(grpc.ServerInterceptor):
    """Lets calls pass that carry a key, and those for the health check.

    Args:
        keys: One of them is expected in `x-api-key`, or in `authorization` behind
            `Bearer`.
        gate: Counts what is refused.
    """

    def __init__(self, keys: Sequence[bytes], gate: Gate) -> None:
        self._keys, self._gate = keys, gate

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
        return _refusing(handler, details.method, self._gate)

    def _has_key(self, metadata: Any) -> bool:
        for name, value in metadata or ():
            given = value if isinstance(value, bytes) else value.encode()
            if name == "authorization" and value[: len(_BEARER)].lower() == _BEARER:
                given = given[len(_BEARER) :].strip()
            elif name != "x-api-key":
                continue
            if is_key(given, self._keys):
                return True
        return False


def _refusing(handler: Any, method: str, gate: Gate) -> Any:
    def refuse(_: Any, call: grpc.ServicerContext) -> Any:
        gate.reject("api_key")
        context = make_context("", call)
        context.extra = {"method": method}
        call.set_trailing_metadata(((HEADER, context.request_id),))
        gate.note(context, Code.UNAUTHENTICATED)
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
