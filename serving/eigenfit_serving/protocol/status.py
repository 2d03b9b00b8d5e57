"""The status codes of the protocol and their HTTP equivalents.

Exception
+-- ServingError        what a caller gets: a code and a text
    +-- RefusedError    refused before the request is examined
"""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """The canonical codes of gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    **dict.fromkeys(Code, 500),
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.UNAUTHENTICATED: 401,
}
"""HTTP status by code, as in TensorFlow Serving (http_server.cc, ToHTTPStatusCode)."""

CODE_OF_HTTP = {status: code for code, status in reversed(HTTP_STATUS.items())} | {
    500: Code.INTERNAL
}
"""Code by HTTP status; the usual one of several."""


class ServingError(Exception):
    """A request that cannot be answered.

    Attributes:
        code: Status code of the protocol.
        message: Text for the caller.
        http_status: HTTP status; that of the code, unless a refusal has another one.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.http_status = HTTP_STATUS[code]


def invalid(message: str) -> ServingError:
    """Makes the error for a wrong request."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """Makes the error for a request for something that does not exist."""
    return ServingError(Code.NOT_FOUND, message)


class RefusedError(ServingError):
    """A request that is refused before it is examined.

    Attributes:
        reason: Label of the refusal in the metrics.
    """

    def __init__(
        self, code: Code, message: str, reason: str, http_status: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.reason = reason
        self.http_status = http_status or self.http_status


def not_served(what: str) -> str:
    """Writes that only TensorFlow's own server has this part of the protocol."""
    return (
        f"{what} is not served here. tensorflow_model_server has it: `eigenfit serve "
        f"--kind binary` or `--kind docker` starts it for the same models."
    )
