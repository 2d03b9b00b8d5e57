"""Requests and replies as the handlers of HTTP see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eigenfit_serving.server.json_answers import error_body
from eigenfit_serving.server.request_ids import HEADER, request_id
from eigenfit_serving.server.status import HTTP_STATUS, Code, ServingError

JSON = "application/json"

_REASONS = {404: "Not Found", 501: "Not Implemented"}


@dataclass(frozen=True)
class Request:
    """What the first lines of a request say.

    Attributes:
        method: In upper case.
        path: As sent, without the query.
        target: As sent: path, and `?` with the query if there is one.
        headers: By name in lower case; of repeated ones the last.
        request_id: As the caller gave it, or a new one.
        header_bytes: Of all headers.
    """

    method: str
    path: str
    target: str
    headers: Mapping[str, str]
    request_id: str
    header_bytes: int = 0

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Request:
        """Reads the scope of ASGI."""
        path = scope["raw_path"].decode("utf-8", "replace")
        query = scope["query_string"].decode("utf-8", "replace")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        return cls(
            method=scope["method"],
            path=path,
            target=f"{path}?{query}" if query else path,
            headers=headers,
            request_id=request_id(headers.get(HEADER, "")),
            header_bytes=sum(len(x) + len(y) for x, y in scope["headers"]),
        )

    @property
    def declared_length(self) -> int | None:
        """Length of the body by its header; None if it is not told."""
        text = self.headers.get("content-length", "")
        if text.isascii() and text.isdigit() and len(text) < 20:
            return int(text)
        return None if "transfer-encoding" in self.headers else 0


@dataclass(frozen=True)
class Reply:
    """What goes back.

    Attributes:
        status: Of HTTP.
        body: Bytes of the answer.
        content_type: Empty for none.
        headers: More of them.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = field(default=())


_CODES = {
    401: Code.UNAUTHENTICATED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.INVALID_ARGUMENT,
    431: Code.INVALID_ARGUMENT,
    503: Code.RESOURCE_EXHAUSTED,
}


class RefusedError(ServingError):
    """A request that is refused before anyone looks at what it asks.

    Attributes:
        status: Of HTTP, which the code would not give.
        reason: For the metrics.
    """

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(_CODES[status], message)
        self.status = status
        self.reason = reason


def code_of(status: int) -> Code:
    """Gives the code of a reply that was made without one, for the log."""
    if status == 500:
        return Code.INTERNAL
    return next((code for code, x in HTTP_STATUS.items() if x == status), Code.UNKNOWN)


def failure(error: ServingError) -> Reply:
    """Makes the reply for an error of the protocol."""
    return Reply(HTTP_STATUS[error.code], error_body(error.message))


def html_page(status: int) -> Reply:
    """Makes the page that the library under TensorFlow Serving sends by itself."""
    reason = _REASONS[status]
    text = (
        f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n"
        f"<H1>{reason}</H1>\n</BODY></HTML>\n"
    )
    return Reply(
        status, text.encode("ascii"), "text/html", headers=(("connection", "close"),)
    )
