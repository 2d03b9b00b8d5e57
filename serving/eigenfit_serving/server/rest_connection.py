"""One connection of HTTP/1.1: requests come in order, and so do their replies."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from eigenfit_serving.server.budget import Held
from eigenfit_serving.server.rest_app import RestApp
from eigenfit_serving.server.rest_messages import Reply, Request
from eigenfit_serving.server.rest_parser import (
    MAX_HEADER_BYTES,
    MalformedError,
    Parser,
)
from eigenfit_serving.server.status import Code, RefusedError, ServingError

_KEEP_ALIVE_SECONDS = 75.0
_LINGER_SECONDS = 2.0

# What is read and thrown away of a refused body, before the reply and after it.
_SMALL_BODY = 1 << 20
_LARGE_BODY = 64 << 20

_MAX_WAITING = 16
"""Requests that a client may send before the first of them is answered."""


class _Exchange:
    """A request and, once it is there, its reply."""

    def __init__(self, request: Request | None, reply: Reply | None, held: Held):
        self.request, self.reply, self.held = request, reply, held
        self.needs_body = reply is None
        self.parts: list[bytes] = []
        self.size = 0
        self.is_complete = self.closes = False
        self.stop: Callable[[], None] | None = None


class Connection(asyncio.Protocol):
    """Reads requests, has them answered, and gives up on clients that are too slow.

    Args:
        app: Answers the requests.
        others: All connections that are open; this one adds and removes itself.
    """

    def __init__(self, app: RestApp, others: set[Connection]) -> None:
        self._app, self._others = app, others
        self._loop = asyncio.get_running_loop()
        self._parser = Parser(self._on_request, self._on_body, self._on_end)
        self._exchanges: deque[_Exchange] = deque()
        self._unsent: list[Held] = []
        self._thrown_bytes = 0
        # Until a request has begun, one is awaited as if it had.
        self._reads = "head"
        self._phase = ("", 0)
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._has_ended = self._is_stopping = self._is_late = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait for the first request."""
        self._transport = cast(asyncio.Transport, transport)
        # Whatever is not sent at once shows. (At 0 TLS would stop for good.)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._others.add(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        if self._is_late:
            self._thrown_bytes += len(data)
            if self._thrown_bytes > _LARGE_BODY:
                self._transport.close()
            return
        try:
            is_fitting = self._parser.feed(data)
        except MalformedError:
            self._break_off(400, "Invalid HTTP request received.")
        else:
            if not is_fitting:
                text = f"The headers exceed {MAX_HEADER_BYTES} bytes."
                self._break_off(431, text)
        self._advance()

    def eof_received(self) -> bool:
        """Answers what is complete; the client may still read."""
        self._has_ended = True
        self._drop_incomplete()
        self._advance()
        return bool(self._exchanges) and not self._transport.get_extra_info(
            "ssl_object"
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops what is done for a client that has gone."""
        self._others.discard(self)
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._drop_incomplete()
        for exchange in self._exchanges:
            if exchange.stop is None:
                exchange.held.release()
            else:
                exchange.stop()
        self._exchanges.clear()
        self._release()

    def pause_writing(self) -> None:
        """Watches whether the client takes its answer."""
        self._watch_writing(self._transport.get_write_buffer_size() + 1)

    def resume_writing(self) -> None:
        """Goes on once the client has taken its answer."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._release()
        self._advance()

    # What the server calls when it stops.

    def drain(self) -> None:
        """Closes the connection once all that was asked is answered."""
        self._is_stopping = True
        self._advance()

    def give_up(self, reply: Reply) -> None:
        """Answers what is not answered yet with the same."""
        for exchange in self._exchanges:
            if exchange.stop is not None:
                exchange.stop()
            exchange.stop = None
            exchange.reply = exchange.reply or reply
            exchange.closes = True
        self._advance()

    # What the parser calls.

    def _on_request(self, request: Request) -> None:
        """Decides whether the body is wanted."""
        self._reads = "body"
        exchange = _Exchange(request, None, self._app.hold())
        self._exchanges.append(exchange)
        if request.header_bytes > MAX_HEADER_BYTES:
            text = f"The headers have more than {MAX_HEADER_BYTES} bytes."
            self._refuse(RefusedError(Code.INVALID_ARGUMENT, text, "headers", 431))
            return
        exchange.reply = self._app.open(request)
        exchange.needs_body = exchange.reply is None
        limit, length = self._app.max_body_bytes, request.declared_length
        if exchange.needs_body and limit and length is not None and length > limit:
            self._refuse(_too_large(f"{length} bytes", limit))
            return
        is_awaited = request.headers.get("expect", "").lower() == "100-continue"
        if is_awaited and exchange.needs_body and len(self._exchanges) == 1:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _on_body(self, data: bytes) -> None:
        """Keeps a piece of a body, or throws it away."""
        exchange, limit = self._exchanges[-1], self._app.max_body_bytes
        exchange.size += len(data)
        if not exchange.needs_body:
            return
        try:
            if limit and exchange.size > limit:
                raise _too_large("more bytes", limit)
            exchange.held.grow(len(data))
        except RefusedError as error:
            self._refuse(error)
        else:
            exchange.parts.append(data)

    def _on_end(self, keeps_alive: bool) -> None:
        """Notes that a request is complete."""
        self._reads = ""
        self._exchanges[-1].is_complete = True
        self._exchanges[-1].closes |= not keeps_alive

    # The rest.

    def _refuse(self, error: ServingError) -> None:
        exchange = self._exchanges[-1]
        assert exchange.request is not None
        exchange.reply = self._app.refuse(exchange.request, error)
        exchange.needs_body, exchange.parts = False, []
        exchange.held.release()

    def _break_off(self, status: int, text: str) -> None:
        """Answers what is no request, as the last of this connection."""
        self._drop_incomplete()
        reply = Reply(status, text.encode(), "text/plain")
        exchange = _Exchange(None, reply, self._app.hold())
        exchange.is_complete = exchange.closes = self._is_late = True
        self._exchanges.append(exchange)
        self._reads = ""

    def _drop_incomplete(self) -> None:
        """Forgets a request that will never be complete, unless it has its reply."""
        if not self._exchanges or self._exchanges[-1].is_complete:
            return
        exchange = self._exchanges[-1]
        exchange.is_complete = exchange.closes = True
        if exchange.reply is None:
            self._refuse(ServingError(Code.CANCELLED, "The client has gone."))
            self._exchanges.pop()

    def _advance(self) -> None:
        """Begins the next piece of work, and sends what is ready."""
        while self._exchanges and self._write_timer is None:
            exchange = self._exchanges[0]
            if exchange.reply is not None:
                if not self._can_reply(exchange):
                    break
                self._send(exchange, exchange.reply)
            elif exchange.is_complete and exchange.stop is None:
                self._start(exchange)
            else:
                break
        if not self._exchanges and (self._is_stopping or self._has_ended):
            self._transport.close()
        if len(self._exchanges) > _MAX_WAITING:
            self._transport.pause_reading()
        elif not self._transport.is_closing():
            self._transport.resume_reading()
        self._watch()

    def _start(self, exchange: _Exchange) -> None:
        assert exchange.request is not None
        parts, exchange.parts = exchange.parts, []
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()

        def done(reply: Reply) -> None:
            if exchange.stop is not None:
                exchange.reply, exchange.stop = reply, None
                self._advance()
            if self._transport.is_closing():
                exchange.held.release()

        begun = self._app.start(exchange.request, body, exchange.held, done)
        if isinstance(begun, Reply):
            exchange.reply = begun
        else:
            exchange.stop = begun

    def _can_reply(self, exchange: _Exchange) -> bool:
        """Tells whether a reply goes out before the body was read."""
        if exchange.is_complete or exchange.closes or exchange.request is None:
            return True
        length = exchange.request.declared_length
        return length is None or length > _SMALL_BODY

    def _send(self, exchange: _Exchange, reply: Reply) -> None:
        self._exchanges.popleft()
        lingers = not exchange.is_complete
        headers = self._app.head(exchange.request, reply)
        closes = exchange.closes or lingers or self._is_stopping
        if closes and ("connection", "close") not in headers:
            headers.append(("connection", "close"))
        phrase = HTTPStatus(reply.status).phrase if reply.status != 499 else "Gone"
        lines = [f"HTTP/1.1 {reply.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        is_head = exchange.request is not None and exchange.request.method == "HEAD"
        self._unsent.append(exchange.held)
        self._transport.writelines([head, b"" if is_head else reply.body])
        if self._write_timer is None:
            self._release()
        if ("connection", "close") not in headers:
            return
        self._is_late = True
        for other in self._exchanges:
            other.held.release()
        self._exchanges.clear()
        if lingers:
            # To close at once would reset the connection, and lose the reply.
            self._reads = "linger"
        else:
            self._transport.close()

    def _release(self) -> None:
        unsent, self._unsent = self._unsent, []
        for held in unsent:
            held.release()

    def _watch(self) -> None:
        """Sets the time until which something has to happen."""
        phase = "head" if self._parser.is_in_header else self._reads
        if phase == "body" and self._exchanges[-1].reply is not None:
            phase = "linger"
        elif not phase and not self._exchanges:
            phase = "idle"
        if (phase, self._parser.count) == self._phase:
            return
        self._phase = phase, self._parser.count
        if self._timer is not None:
            self._timer.cancel()
        patience = self._app.patience
        seconds = {
            "head": patience,
            "body": patience,
            "linger": _LINGER_SECONDS,
            "idle": _KEEP_ALIVE_SECONDS,
        }
        if phase and not self._transport.is_closing():
            self._timer = self._loop.call_later(seconds[phase], self._give_up_reading)

    def _give_up_reading(self) -> None:
        if self._phase[0] not in ("body", "linger") or self._reads == "linger":
            self._transport.close()
            return
        if self._exchanges[-1].reply is None:
            text = (
                f"The request body did not arrive within {self._app.patience:g} "
                "seconds (--body_timeout_seconds)."
            )
            self._refuse(
                RefusedError(Code.DEADLINE_EXCEEDED, text, "body_timeout", 408)
            )
        self._exchanges[-1].is_complete = self._exchanges[-1].closes = True
        self._reads = ""
        self._advance()

    def _watch_writing(self, before: int) -> None:
        unsent = self._transport.get_write_buffer_size()
        if unsent >= before:
            self._transport.abort()
            return
        self._write_timer = self._loop.call_later(
            self._app.patience, self._watch_writing, unsent
        )


def _too_large(amount: str, limit: int) -> RefusedError:
    return RefusedError(
        Code.INVALID_ARGUMENT,
        f"The request body has {amount}, over the limit of {limit} bytes "
        "(--max_body_bytes). More go by gRPC, or as a table by `eigenfit batch`.",
        "body_size",
        413,
    )
