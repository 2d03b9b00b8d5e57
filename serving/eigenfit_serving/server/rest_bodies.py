"""Reads bodies of requests, and stops where they grow too large or too slowly."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from eigenfit_serving.server.rest_messages import RefusedError, Request

Receive = Callable[[], Awaitable[dict[str, Any]]]

_CHUNK = 1 << 20

_FREE = 64 << 10

_LINGER_SECONDS = 2.0

_PARSED = 30
"""Bytes of Python objects for each byte of JSON, at most: those of empty lists."""


class ClientGoneError(Exception):
    """The client closed the connection before its request was complete."""


class Budget:
    """Bytes of bodies that are held at a time, by all connections together.

    Those that were received, those that these inflate to, and what a parser makes of
    them. Nothing is counted of a body up to 64 KiB, so that small requests are taken
    however many large ones are on their way.

    Args:
        limit: 0 for any number.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._lock = threading.Lock()

    def change(self, before: int, after: int) -> None:
        """Notes that a body grew, or was let go.

        Raises:
            RefusedError: There is no room for it.
        """
        more = max(0, after - _FREE) - max(0, before - _FREE)
        with self._lock:
            is_full = self._limit and more > 0 and self._held + more > self._limit
            if not is_full:
                self._held += more
        if is_full:
            raise RefusedError(
                503,
                f"The server holds {self._held} bytes of request bodies and takes no "
                f"more than {self._limit} (--max_pending_body_bytes). Try again later.",
                "pending_bodies",
            )


class Body:
    """The body of one request.

    Attributes:
        is_complete: Whether all of it has been read.
    """

    def __init__(self, request: Request, receive: Receive, budget: Budget) -> None:
        self._receive, self._budget, self._held = receive, budget, 0
        self._length = request.declared_length
        self.is_complete = self._length == 0
        self._is_late = False

    async def read(self, limit: int, seconds: float) -> bytes:
        """Reads all of it.

        Args:
            limit: Bytes that it may have; 0 for any number.
            seconds: Time that it may take.

        Raises:
            RefusedError: It has more, or takes longer.
            ClientGoneError: The connection ended.
        """
        if limit and self._length is not None and self._length > limit:
            raise _too_large(f"{self._length} bytes", limit)
        try:
            return await asyncio.wait_for(self._read(limit), seconds)
        except asyncio.TimeoutError:
            self._is_late = True
            raise RefusedError(
                408,
                f"The request body did not arrive within {seconds:g} seconds "
                "(--body_timeout_seconds).",
                "body_timeout",
            ) from None

    async def _read(self, limit: int) -> bytes:
        parts, size = [], 0
        while not self.is_complete:
            part = await self._next()
            size += len(part)
            if limit and size > limit:
                raise _too_large("more bytes", limit)
            self.grow(len(part))
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        self.is_complete = not message.get("more_body", False)
        return message.get("body", b"")

    def grow(self, size: int) -> None:
        """Notes that more bytes are held for it, or fewer.

        Raises:
            RefusedError: There is no room for them.
        """
        self._budget.change(self._held, self._held + size)
        self._held += size

    @contextlib.contextmanager
    def parsed(self, size: int) -> Iterator[None]:
        """Holds what a parser makes of so many bytes while the context lasts.

        Raises:
            RefusedError: There is no room for it.
        """
        size *= _PARSED if size > _FREE else 0
        self.grow(size)
        try:
            yield
        finally:
            # Less, if all was let go of when the server stopped.
            self.grow(-min(size, self._held))

    def release(self) -> None:
        """Notes that what was read is no longer held."""
        self._budget.change(self._held, 0)
        self._held = 0

    async def discard(self, limit: int) -> None:
        """Throws away what still comes, so that the client gets to read its answer.

        Args:
            limit: Bytes after which the client is given up; so it is when it is slow.
        """

        async def drain() -> None:
            size = 0
            while not self.is_complete and size <= limit:
                size += len(await self._next())

        if self._is_late:
            return
        try:
            await asyncio.wait_for(drain(), _LINGER_SECONDS)
        except (asyncio.TimeoutError, ClientGoneError):
            self._is_late = True


def inflate(body: bytes, limit: int, grow: Callable[[int], None]) -> bytes:
    """Decompresses gzip; what is not gzip becomes nothing, as in TensorFlow Serving.

    Args:
        body: Compressed.
        limit: Bytes that may come of it; 0 for any number.
        grow: Called with the number of bytes before they are kept.

    Raises:
        RefusedError: There would be more.
    """
    stream = zlib.decompressobj(wbits=31)
    parts, size = [], 0
    data = body
    try:
        while data and not stream.eof:
            part = stream.decompress(data, _CHUNK)
            size += len(part)
            if limit and size > limit:
                raise RefusedError(
                    413,
                    f"The request body inflates to more than the limit of {limit} "
                    "bytes (--max_body_bytes).",
                    "inflated_size",
                )
            grow(len(part))
            parts.append(part)
            data = stream.unconsumed_tail
    except zlib.error:
        return b""
    return b"".join(parts) if stream.eof and not stream.unused_data else b""


def _too_large(amount: str, limit: int) -> RefusedError:
    return RefusedError(
        413,
        f"The request body has {amount}, over the limit of {limit} bytes "
        "(--max_body_bytes). More go by gRPC, or as a table by `eigenfit batch`.",
        "body_size",
    )
