"""Refuses calls without the API key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from eigenfit_serving.protocol.grpc_api import HEALTH_SERVICE
from eigenfit_serving.server.gate import RequestGate
from eigenfit_serving.server.grpc_calls import make_context
from eigenfit_serving.server.keys import MISSING, Keys
from eigenfit_serving.server.request_ids import HEADER
from eigenfit_serving.server.status import Code


class KeyInterceptor(grpc.ServerInterceptor):
    """Lets calls pass that carry a key, and those for the health check.

    Args:
        keys: One of them is expected in `x-api-key`, or in `authorization` behind
            `Bearer`.
        gate: Counts what is refused.
    """

    def __init__(self, keys: Keys, gate: RequestGate) -> None:
        self._keys, self._gate = keys, gate

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: Any
    ) -> Any:
        """Finds the handler of a call."""
        details = handler_call_details
        handler = continuation(details)
        if details.method.startswith(f"/{HEALTH_SERVICE}/"):
            return handler
        if handler is None or self._keys.accept(details.invocation_metadata or ()):
            return handler
        return _refusing(handler, details.method, self._gate)


def _refusing(handler: Any, method: str, gate: RequestGate) -> Any:
    def refuse(_: Any, call: grpc.ServicerContext) -> Any:
        gate.reject("api_key")
        context = make_context("", call)
        context.extra = {"method": method}
        call.set_trailing_metadata(((HEADER, context.request_id),))
        gate.note(context, Code.UNAUTHENTICATED)
        call.abort(grpc.StatusCode.UNAUTHENTICATED, MISSING)

    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)
