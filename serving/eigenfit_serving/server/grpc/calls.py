"""What all methods of the gRPC services have in common.

Requests are parsed here and not by the gRPC library, which would report a malformed one
as an error of the server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError, EncodeError

from eigenfit_serving.protocol.grpc_api import HEALTH_SERVICE, Method
from eigenfit_serving.protocol.status import Code, ServingError, invalid, not_served
from eigenfit_serving.server.budget import Held
from eigenfit_serving.server.interfaces import REQUEST_ID, RequestContext, request_id
from eigenfit_serving.server.keys import Keys, missing_key
from eigenfit_serving.server.watching.gate import RequestGate

Work = Callable[[Any, RequestContext], Any]
"""Takes a parsed request and its context; returns the answer."""

_log = logging.getLogger(__name__)

_COPIES = 3
"""Copies of a message held at a time: its bytes, the parsed message, and arrays."""

# Characters, as in TensorFlow Serving (grpc_status_util.cc).
_LONGEST_MESSAGE = 1024
_CODES = {Code(code.value[0]): code for code in grpc.StatusCode}
# Clients without a deadline appear to have one in hundreds of years.
_NO_DEADLINE = 1e9


def unary_handler(method: Method, api: str, work: Work, gate: RequestGate) -> Any:
    """Makes the handler of a method; `api` is its name in metrics and logs."""

    def behave(data: bytes, call: grpc.ServicerContext) -> Any:
        context, held = make_context(api, call), Held(gate.budget)
        call.set_trailing_metadata(((REQUEST_ID, context.request_id),))
        try:
            with gate.admit(context):
                held.grow(_COPIES * len(data))
                request = _parse(method.request, data)
                del data
                return work(request, context).SerializeToString()
        except ServingError as error:
            code, message = error.code, error.message
        except EncodeError as error:
            code, message = Code.RESOURCE_EXHAUSTED, f"The answer is too large: {error}"
        except Exception as error:
            _log.exception("A request of %s failed.", method.path)
            code, message = Code.INTERNAL, f"Internal error: {type(error).__name__}"
        finally:
            held.release()
        if len(message) > _LONGEST_MESSAGE:
            message = message[:_LONGEST_MESSAGE] + "...TRUNCATED"
        call.abort(_CODES[code], message)

    return grpc.unary_unary_rpc_method_handler(behave)


def refusals(*names: str) -> dict[str, Any]:
    """Makes handlers, by name, of methods that this server does not have."""

    def refuse(text: str, _: bytes, call: grpc.ServicerContext) -> None:
        call.abort(grpc.StatusCode.UNIMPLEMENTED, text)

    make = grpc.unary_unary_rpc_method_handler
    return {name: make(partial(refuse, not_served(name))) for name in names}


class KeyInterceptor(grpc.ServerInterceptor):
    """Refuses calls without an API key, except those of the health check."""

    def __init__(self, keys: Keys, gate: RequestGate) -> None:
        self._keys, self._gate = keys, gate

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: Any
    ) -> Any:
        """Returns the handler of a call, or one that refuses it."""
        details = handler_call_details
        handler = continuation(details)
        if handler is None or details.method.startswith(f"/{HEALTH_SERVICE}/"):
            return handler
        if self._keys.accept(details.invocation_metadata or ()):
            return handler

        def refuse(_: Any, call: grpc.ServicerContext) -> Any:
            context, error = make_context("", call), missing_key()
            context.extra = {"method": details.method}
            call.set_trailing_metadata(((REQUEST_ID, context.request_id),))
            self._gate.refuse(context, error)
            call.abort(grpc.StatusCode.UNAUTHENTICATED, error.message)

        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(refuse)
        return grpc.unary_unary_rpc_method_handler(refuse)


def make_context(api: str, call: grpc.ServicerContext) -> RequestContext:
    """Makes the context of a call; its end cancels what still runs for it."""
    remaining = call.time_remaining()
    deadline = None
    if remaining is not None and remaining < _NO_DEADLINE:
        deadline = time.monotonic() + max(0.0, remaining)
    given = str(dict(call.invocation_metadata()).get(REQUEST_ID, ""))
    context = RequestContext(api, "GRPC", request_id(given), deadline)
    if not call.add_callback(context.cancel):
        context.cancel()
    return context


def _parse(message_class: Any, data: bytes) -> Any:
    try:
        return message_class.FromString(data)
    except DecodeError:
        name = message_class.DESCRIPTOR.full_name
        raise invalid(f"The request is no {name}: it cannot be parsed.") from None
