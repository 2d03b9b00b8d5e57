"""Requests and replies as the handlers of HTTP see them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from eigenfit_serving.protocol.status import ServingError
from eigenfit_serving.server.interfaces import REQUEST_ID, request_id


@dataclass(frozen=True)
class Request:
    """The request line and headers of a request.

    Attributes:
        method: Method in upper case.
        target: Path, and `?` with the query if there is one, as sent.
        headers: Headers by name in lower case; the last of repeated ones.
        request_id: Id that the caller gave, or a new one.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    request_id: str

    @classmethod
    def of(
        cls, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> Request:
        """Makes a request of what the parser found."""
        texts = [(x.decode("latin-1"), y.decode("latin-1")) for x, y in headers]
        found = {name.lower(): value for name, value in texts}
        return cls(
            method,
            target.partition(b"#")[0].decode("utf-8", "replace").removesuffix("?"),
            found,
            request_id(found.get(REQUEST_ID, "")),
        )

    @property
    def path(self) -> str:
        """The target without the query."""
        return self.target.partition("?")[0]

    @property
    def declared_length(self) -> int | None:
        """Length of the body by its header; None if it is not declared."""
        text = self.headers.get("content-length", "")
        if text.isascii() and text.isdigit() and len(text) < 20:
            return int(text)
        return None if "transfer-encoding" in self.headers else 0


@dataclass(frozen=True)
class Reply:
    """The reply to a request.

    Attributes:
        status: Status code of HTTP.
        body: Bytes of the answer.
        content_type: Type of the body; empty for no such header.
        headers: Names and values of further headers.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def failure(error: ServingError) -> Reply:
    """Makes the reply for an error."""
    text = json.dumps(error.message, ensure_ascii=False)
    body = f'{{\n    "error": {text}\n}}'.encode("utf-8", "replace")
    challenge = (("www-authenticate", "Bearer"),) * (error.http_status == 401)
    return Reply(error.http_status, body, headers=challenge)


def html_page(status: int) -> Reply:
    """Makes the page that the library under TensorFlow Serving sends by itself."""
    reason = HTTPStatus(status).phrase
    text = (
        f"<HTML><HEAD>\n<TITLE>{status} {reason}</TITLE>\n</HEAD><BODY>\n"
        f"<H1>{reason}</H1>\n</BODY></HTML>\n"
    )
    return Reply(status, text.encode(), "text/html", (("connection", "close"),))
