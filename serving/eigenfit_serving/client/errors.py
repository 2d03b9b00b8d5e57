"""The errors of a client.

RuntimeError
+-- ClientError
    +-- ServerError             the server's answer: a code and a text
    |   +-- InvalidRequest      the request is wrong: shapes, names, dtypes
    |   +-- NotFound            no such model, version, label or signature
    |   +-- AccessDenied        the API key or the certificate is missing or wrong
    |   +-- Overloaded          too many requests, or one that is too large for now
    |   +-- DeadlineExceeded    the timeout expired first
    |   +-- Unavailable         try again: draining, a full queue, no model yet
    |   |   +-- ConnectionFailed    there was no answer at all
    |   +-- Unsupported         the server has no such call
    |   +-- ServerFault         the server itself failed
    +-- BadReply                the reply does not follow the protocol
    +-- FitError                `Solution.raise_for_result`: members did not converge

Misuse that is detected before anything is sent raises ValueError or TypeError.
"""

from __future__ import annotations

from eigenfit_serving.protocol.status import CODE_OF_HTTP, Code


class ClientError(RuntimeError):
    """Anything that the client raises once a call is under way."""


class BadReply(ClientError):  # noqa: N818
    """The reply does not follow the protocol: another kind of server, or a proxy."""


class FitError(ClientError):
    """Members of a fit did not converge."""


class ServerError(ClientError):
    """The server's answer, or its absence.

    Attributes:
        code: Status code of gRPC, also if the call went over REST.
        message: Text of the server.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{message} ({code.name})" if message else code.name)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ServerError], tuple[Code, str]]:
        return type(self), (self.code, self.message)


class InvalidRequest(ServerError):  # noqa: N818
    """The request is wrong: shapes, names, dtypes."""


class NotFound(ServerError):  # noqa: N818
    """There is no such model, version, label or signature."""


class AccessDenied(ServerError):  # noqa: N818
    """The API key or the certificate is missing or wrong."""


class Overloaded(ServerError):  # noqa: N818
    """Too many requests, or one that is too large for now."""


class DeadlineExceeded(ServerError):  # noqa: N818
    """The timeout expired before the answer came."""


class Unavailable(ServerError):  # noqa: N818
    """The server cannot answer now, even after retries; a later call may succeed."""


class ConnectionFailed(Unavailable):
    """There was no answer at all."""


class Unsupported(ServerError):  # noqa: N818
    """The server has no such call."""


class ServerFault(ServerError):  # noqa: N818
    """The server itself failed."""


_CLASSES: dict[Code, type[ServerError]] = {
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.FAILED_PRECONDITION: InvalidRequest,
    Code.OUT_OF_RANGE: InvalidRequest,
    Code.NOT_FOUND: NotFound,
    Code.UNAUTHENTICATED: AccessDenied,
    Code.PERMISSION_DENIED: AccessDenied,
    Code.RESOURCE_EXHAUSTED: Overloaded,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.UNAVAILABLE: Unavailable,
    Code.UNIMPLEMENTED: Unsupported,
}

_FROM_HTTP = {
    **CODE_OF_HTTP,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.INVALID_ARGUMENT,
    502: Code.UNAVAILABLE,
}


def error_of(code: Code, message: str) -> ServerError:
    """Makes the error for a status code of gRPC.

    Example:
        >>> error_of(Code.NOT_FOUND, "Servable not found")
        NotFound('Servable not found (NOT_FOUND)')
    """
    return _CLASSES.get(code, ServerFault)(code, message)


def error_of_http(status: int, message: str) -> ServerError:
    """Makes the error for an HTTP status.

    Example:
        >>> error_of_http(503, "draining").code.name
        'UNAVAILABLE'
    """
    fallback = Code.INVALID_ARGUMENT if 400 <= status < 500 else Code.UNKNOWN
    return error_of(_FROM_HTTP.get(status, fallback), message)
