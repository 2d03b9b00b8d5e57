"""One connection of HTTP/1.1: requests come in order, and so do their replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

from eigenfit_serving.protocol.status import Code, RefusedError, ServingError
from eigenfit_serving.server.budget import Held
from eigenfit_serving.server.rest.app import RestApp
from eigenfit_serving.server.rest.http_parser import End, MalformedError, Parser
from eigenfit_serving.server.rest.messages import Reply, Request

_KEEP_ALIVE_SECONDS = 75.0
_LINGER_SECONDS = 2.0

# Most bytes of a refused body that are read and discarded: before the reply, after it.
_SMALL_BODY = 1 << 20
_LARGE_BODY = 64 << 20

_EARLY_BYTES = 1 << 18
"""Bytes of further requests that are read before the first is answered."""

_TOO_LATE = 408

_CLOSE = ("connection", "close")


class Connection(asyncio.Protocol):
    """Reads requests, sends the replies, and gives up on clients that are too slow.

    A coroutine does this, one request after the other; the transport wakes it. `others`
    are all connections that are open; this one adds and removes itself.
    """

    def __init__(self, app: RestApp, others: set[Connection]) -> None:
        self._app, self._others = app, others
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._end: End | None = None
        self._fault: MalformedError | None = None
        self._given_up: Reply | None = None
        self._changed = self._loop.create_future()
        self._thrown_bytes = self._early_bytes = 0
        self._is_late = False  # What comes now is discarded.
        self._is_busy = self._is_running = self._is_stopping = False
        self._has_ended = self._is_full = False

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins to wait for the first request."""
        self._transport = cast(asyncio.Transport, transport)
        # So that `pause_writing` shows any unsent byte. (At 0 TLS would stop for good.)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._others.add(self)
        self._task = self._loop.create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Parses data, or discards it if it comes too late."""
        if self._is_late:
            self._thrown_bytes += len(data)
            if self._thrown_bytes > _LARGE_BODY:
                self._transport.close()
            return
        try:
            self._parser.feed(data)
        except MalformedError as error:
            self._fault, self._is_late = error, True
        if self._is_running or self._is_full:
            self._early_bytes += len(data)
            if self._early_bytes > _EARLY_BYTES:
                self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Lets complete requests be answered, since the client may still read."""
        self._has_ended = True
        self._wake()
        is_asked = self._is_busy or bool(self._parser.events)
        return is_asked and not self._transport.get_extra_info("ssl_object")

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops work for a client that has gone."""
        self._others.discard(self)
        self._task.cancel()

    def pause_writing(self) -> None:
        """Records that the client does not take all of its answer at once."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Continues once the client has taken its answer."""
        self._is_full = False
        self._wake()

    # What the server calls when it stops.

    def drain(self) -> None:
        """Closes the connection once the request in progress is answered."""
        self._is_stopping = True
        if not self._is_busy and not self._parser.events:
            self._transport.close()

    def give_up(self, reply: Reply) -> None:
        """Sends this reply to what is not answered yet."""
        self._given_up = reply
        self._task.cancel()

    # Internals.

    async def _serve(self) -> None:
        patience, goes_on = self._app.patience, True
        try:
            while goes_on:
                request = await self._next(patience)
                assert isinstance(request, Request)
                self._is_busy, self._end, held = True, None, Held(self._app.budget)
                try:
                    goes_on = await self._answer(request, held)
                finally:
                    if not self._is_running:
                        held.release()
                self._is_busy = False
                if goes_on:
                    self._early_bytes = 0
                    self._transport.resume_reading()
                    await self._wait(self._has_begun, _KEEP_ALIVE_SECONDS)
        except MalformedError as error:
            reply = Reply(error.status, str(error).encode(), "text/plain", (_CLOSE,))
            await self._send(None, reply)
        except (EOFError, TimeoutError):
            pass
        finally:
            self._transport.close()

    async def _answer(self, request: Request, held: Held) -> bool:
        """Answers a request; tells whether another one may follow."""
        found, has_time = self._app.open(request), True
        if isinstance(found, Reply):
            reply = found
        else:
            try:
                body = await self._body(request, held)
                self._is_running = True
                reply = await self._app.run(request, found, body, held)
                self._is_running = False
            except RefusedError as error:
                reply = self._app.refuse(request, error)
                has_time = error.http_status != _TOO_LATE
                held.release()
            except (EOFError, MalformedError, asyncio.CancelledError):
                if self._given_up is None:
                    if not self._is_running:
                        gone = ServingError(Code.CANCELLED, "The client has gone.")
                        self._app.refuse(request, gone)
                    raise
                reply = self._given_up
        length = request.declared_length
        is_small = length is not None and length <= _SMALL_BODY
        with contextlib.suppress(EOFError, MalformedError, TimeoutError):
            # What is left of a small body is read, so that the connection can stay.
            while self._end is None:
                await self._next(_LINGER_SECONDS if is_small and has_time else 0.0)
        goes_on = await self._send(request, reply)
        if self._end is None and has_time:
            # To close at once would reset the connection, and lose the reply.
            self._is_late = True
            self._transport.resume_reading()
            await self._wait(lambda: self._has_ended, _LINGER_SECONDS)
        return goes_on

    async def _body(self, request: Request, held: Held) -> bytes:
        """Reads the body of a request.

        Raises:
            RefusedError: If it is too large, or comes too slowly.
            EOFError: If it does not come.
        """
        limit, length = self._app.max_body_bytes, request.declared_length
        if limit and length is not None and length > limit:
            raise _too_large(f"{length} bytes", limit)
        if request.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        parts, size, until = [], 0, self._loop.time() + self._app.patience
        while self._end is None:
            try:
                part = await self._next(until - self._loop.time())
            except TimeoutError:
                text = (
                    f"The request body did not arrive within {self._app.patience:g} "
                    "seconds (--body_timeout_seconds)."
                )
                code = Code.DEADLINE_EXCEEDED
                raise RefusedError(code, text, "body_timeout", _TOO_LATE) from None
            if isinstance(part, bytes):
                size += len(part)
                if limit and size > limit:
                    raise _too_large("more bytes", limit)
                held.grow(len(part))
                parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _send(self, request: Request | None, reply: Reply) -> bool:
        """Sends a reply; tells whether the connection stays open."""
        headers = self._app.head(request, reply)
        closes = self._end is None or not self._end.keeps_alive or self._is_stopping
        if closes and _CLOSE not in headers:
            headers.append(_CLOSE)
        phrase = HTTPStatus(reply.status).phrase if reply.status != 499 else "Gone"
        lines = [f"HTTP/1.1 {reply.status} {phrase}", *map(": ".join, headers), "", ""]
        is_head = request is not None and request.method == "HEAD"
        head = "\r\n".join(lines).encode("latin-1")
        self._transport.writelines([head, b"" if is_head else reply.body])
        while self._is_full:
            unsent = self._transport.get_write_buffer_size()
            try:
                await self._wait(lambda: not self._is_full, self._app.patience)
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= unsent:
                    self._transport.abort()
                    raise
        return _CLOSE not in headers

    async def _next(self, seconds: float) -> Request | bytes | End:
        """Takes the next event of the parser.

        Raises:
            TimeoutError: If it does not come in time.
            EOFError: If nothing comes any more.
            MalformedError: If it is not HTTP.
        """
        events = self._parser.events
        if not events:
            self._transport.resume_reading()
            await self._wait(self._is_awake, seconds)
        if not events:
            raise self._fault or EOFError
        event = events.popleft()
        if isinstance(event, End):
            self._end = event
        return event

    def _is_awake(self) -> bool:
        is_over = self._has_ended or self._fault is not None
        return bool(self._parser.events or is_over)

    def _has_begun(self) -> bool:
        return self._parser.is_in_header or self._is_awake()

    async def _wait(self, is_there: Callable[[], bool], seconds: float) -> None:
        """Waits until a condition holds.

        Raises:
            TimeoutError: If it does not in time.
        """
        until = self._loop.time() + seconds
        while not is_there():
            if self._loop.time() >= until:
                raise TimeoutError
            self._changed = self._loop.create_future()
            timer = self._loop.call_at(until, self._wake)
            try:
                await self._changed
            finally:
                timer.cancel()

    def _wake(self) -> None:
        if not self._changed.done():
            self._changed.set_result(None)


def _too_large(amount: str, limit: int) -> RefusedError:
    return RefusedError(
        Code.INVALID_ARGUMENT,
        f"The request body has {amount}, over the limit of {limit} bytes "
        "(--max_body_bytes). More go by gRPC, or as a table by `eigenfit batch`.",
        "body_size",
        413,
    )
