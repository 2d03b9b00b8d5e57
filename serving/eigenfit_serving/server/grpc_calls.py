"""What all methods of the gRPC services have in common.

Requests are parsed here and not by the gRPC library, which would report a malformed one
as an error of the server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError, EncodeError

from eigenfit_serving.protocol.grpc_api import Method
from eigenfit_serving.server.budget import Budget, Held
from eigenfit_serving.server.gate import RequestGate
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.request_ids import HEADER, request_id
from eigenfit_serving.server.status import (
    Code,
    RefusedError,
    ServingError,
    invalid,
    not_served,
)

Work = Callable[[Any, RequestContext], Any]
"""Answers a request."""

_log = logging.getLogger(__name__)

_COPIES = 3
"""Of a message: its bytes, what is parsed of them, and arrays."""

_LONGEST_MESSAGE = 1024
_TRUNCATED = "...TRUNCATED"
_CODES = {Code(code.value[0]): code for code in grpc.StatusCode}
# What a client without a deadline seems to have: hundreds of years.
_NO_DEADLINE = 1e9


def unary_handler(
    method: Method, api: str, work: Work, gate: RequestGate, budget: Budget
) -> Any:
    """Makes a handler of a method.

    Args:
        method: Gives the classes of the messages.
        api: For metrics and logs.
        work: Answers the request.
        gate: Lets it in.
        budget: Of memory.
    """

    def answer(data: bytes, context: RequestContext, held: Held) -> bytes:
        with gate.admit(context):
            held.grow(_COPIES * len(data))
            request = parse(method.request, data)
            del data
            return work(request, context).SerializeToString()

    def behave(data: bytes, call: grpc.ServicerContext) -> Any:
        context, held = make_context(api, call), Held(budget)
        call.set_trailing_metadata(((HEADER, context.request_id),))
        try:
            return answer(data, context, held)
        except ServingError as error:
            code, message = error.code, error.message
            if isinstance(error, RefusedError):
                gate.reject(error.reason)
        except EncodeError as error:
            code, message = Code.RESOURCE_EXHAUSTED, f"The answer is too large: {error}"
        except Exception as error:
            _log.exception("A request of %s failed.", method.path)
            code, message = Code.INTERNAL, f"Internal error: {type(error).__name__}"
        finally:
            held.release()
        call.abort(_CODES[code], truncated(message))

    return grpc.unary_unary_rpc_method_handler(behave)


def refusals(*names: str) -> dict[str, Any]:
    """Makes handlers, by name, of methods that this server does not have."""

    def refuse(name: str) -> Any:
        def behave(data: bytes, call: grpc.ServicerContext) -> Any:
            del data
            call.abort(grpc.StatusCode.UNIMPLEMENTED, not_served(name))

        return grpc.unary_unary_rpc_method_handler(behave)

    return {name: refuse(name) for name in names}


def make_context(api: str, call: grpc.ServicerContext) -> RequestContext:
    """Collects what accompanies a call; its end cancels what still runs for it."""
    remaining = call.time_remaining()
    deadline = None
    if remaining is not None and remaining < _NO_DEADLINE:
        deadline = time.monotonic() + max(0.0, remaining)
    given = ""
    for key, value in call.invocation_metadata():
        if key == HEADER:
            given = str(value)
    context = RequestContext(api, "GRPC", request_id(given), deadline)
    if not call.add_callback(context.cancel):
        context.cancel()
    return context


def parse(message_class: Any, data: bytes) -> Any:
    """Reads a message.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    try:
        return message_class.FromString(data)
    except DecodeError:
        name = message_class.DESCRIPTOR.full_name
        raise invalid(f"The request is no {name}: it cannot be parsed.") from None


def truncated(message: str) -> str:
    """Cuts a message as TensorFlow Serving does (grpc_status_util.cc)."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return message[:_LONGEST_MESSAGE] + _TRUNCATED
