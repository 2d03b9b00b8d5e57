"""A parser of HTTP/1.1 that goes on where another protocol is offered."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from eigenfit_serving.server.rest_messages import Request

MAX_HEADER_BYTES = 64 << 10


class MalformedError(Exception):
    """What is no request of HTTP."""


class Parser:
    """Parses requests.

    httptools stops at the `Upgrade` header of clients that offer HTTP/2, such as
    Java's, and takes their body for another request. It is given the same header
    without the offer then.

    Args:
        on_request: Called when the header of a request is complete.
        on_body: Called with a piece of its body.
        on_end: Called when it is complete, and told whether the connection goes on.

    Attributes:
        is_in_header: Whether the header of a request is incomplete.
        count: Requests that have begun.
    """

    def __init__(
        self,
        on_request: Callable[[Request], None],
        on_body: Callable[[bytes], None],
        on_end: Callable[[bool], None],
    ) -> None:
        self._on_request, self.on_body, self._on_end = on_request, on_body, on_end
        self._parser = httptools.HttpRequestParser(self)
        self._target, self._headers = b"", []
        self._waiting_bytes = self.count = 0
        self.is_in_header = False

    def feed(self, data: bytes) -> bool:
        """Reads on.

        Returns:
            False, once a header has too many bytes without an end.

        Raises:
            MalformedError: It is no HTTP.
        """
        self._waiting_bytes += len(data) if self.is_in_header else 0
        try:
            while data:
                data = self._parse(data)
        except httptools.HttpParserError:
            raise MalformedError from None
        return not self.is_in_header or self._waiting_bytes <= MAX_HEADER_BYTES

    def _parse(self, data: bytes) -> bytes:
        """Parses; gives what is left where another protocol is offered."""
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

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Notes that a request begins."""
        self.is_in_header, self._waiting_bytes = True, 0
        self.count += 1
        self._target, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        """Notes a piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Notes a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Passes the header on, unless it comes again without an offer."""
        if not self._parser.should_upgrade():
            self.is_in_header = False
            method = self._parser.get_method().decode("latin-1")
            request = Request.of(method, self._target, self._headers)
            self._on_request(request)

    def on_message_complete(self) -> None:
        """Passes on that a request is complete."""
        if not self._parser.should_upgrade():
            is_old = self._parser.get_http_version() == "1.0"
            self._on_end(self._parser.should_keep_alive() and not is_old)
