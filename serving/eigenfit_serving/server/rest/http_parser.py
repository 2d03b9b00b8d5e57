"""A parser of HTTP/1.1 that continues where another protocol is offered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import httptools

from eigenfit_serving.server.rest.messages import Request

MAX_HEADER_BYTES = 64 << 10


class MalformedError(Exception):
    """A request that is not HTTP, or has too long a header, and its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class End:
    """The end of a request, and whether the connection may stay open."""

    keeps_alive: bool


class Parser:
    """Parses requests.

    httptools stops at the `Upgrade` header of clients that offer HTTP/2, such as
    Java's, and takes their body for another request. It is then given the same header
    without the offer.

    Attributes:
        events: What was found and is not taken yet: for each request its header,
            pieces of its body, and its end.
        is_in_header: Whether the header of a request is incomplete.
    """

    def __init__(self) -> None:
        self.events: deque[Request | bytes | End] = deque()
        self.is_in_header = False
        self.on_body = self.events.append
        self._parser = httptools.HttpRequestParser(self)
        self._target, self._headers, self._header_bytes = b"", [], 0

    def feed(self, data: bytes) -> None:
        """Parses more data.

        Raises:
            MalformedError: If it is not HTTP that can be answered.
        """
        self._header_bytes += len(data) if self.is_in_header else 0
        try:
            while data:
                data = self._parse(data)
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError:
            raise MalformedError(400, "Invalid HTTP request received.") from None
        if self.is_in_header:
            self._check_header()

    def _parse(self, data: bytes) -> bytes:
        """Parses; returns what is left where another protocol is offered."""
        parser = self._parser
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            method, version = parser.get_method(), parser.get_http_version().encode()
            if not parser.should_upgrade() or method == b"CONNECT":
                raise httptools.HttpParserError("no tunnels") from None
            lines = [b"%b %b HTTP/%b" % (method, self._target, version)]
            for name, value in self._headers:
                if name.lower() not in (b"upgrade", b"http2-settings"):
                    lines.append(b"%b: %b" % (name, value))
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(b"\r\n".join([*lines, b"", b""]))
            return data[stop.args[0] :]
        return b""

    def _check_header(self) -> None:
        if self._header_bytes > MAX_HEADER_BYTES:
            text = f"The headers exceed {MAX_HEADER_BYTES} bytes."
            raise MalformedError(431, text)

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Begins a request."""
        self.is_in_header = True
        self._target, self._headers, self._header_bytes = b"", [], 0

    def on_url(self, url: bytes) -> None:
        """Adds a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Reports the header, unless it will be parsed again without an offer."""
        if not self._parser.should_upgrade():
            self.is_in_header = False
            self._header_bytes = sum(len(n) + len(x) for n, x in self._headers)
            self._check_header()
            method = self._parser.get_method().decode("latin-1")
            self.events.append(Request.of(method, self._target, self._headers))

    def on_message_complete(self) -> None:
        """Reports the end of a request."""
        if not self._parser.should_upgrade():
            is_old = self._parser.get_http_version() == "1.0"
            self.events.append(End(self._parser.should_keep_alive() and not is_old))
