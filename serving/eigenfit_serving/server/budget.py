"""One budget for the bytes of requests, whichever way they came."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

from eigenfit_serving.protocol.status import Code, RefusedError

_FREE = 64 << 10

_LARGE = 16 << 20

_PARSED = 30
"""Bytes of Python objects for each byte of JSON, at most: those of empty lists."""


class Budget:
    """Bytes of requests that are held at a time, by all connections together.

    Those that were received, those that these inflate to, and what a parser makes of
    them. Nothing is counted of a request up to 64 KiB, so that small ones are taken
    however many large ones are on their way.

    Args:
        limit: 0 for any number.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._held, self._most = limit, 0, 0
        self._lock = threading.Lock()

    def change(self, before: int, after: int) -> None:
        """Notes that a request grew, or was let go.

        Raises:
            RefusedError: There is no room for it.
        """
        more = max(0, after - _FREE) - max(0, before - _FREE)
        with self._lock:
            if self._limit and more > 0 and self._held + more > self._limit:
                raise RefusedError(
                    Code.RESOURCE_EXHAUSTED,
                    f"The server holds {self._held} bytes of requests and takes no "
                    f"more than {self._limit} (--max_pending_body_bytes). Try again "
                    "later.",
                    "pending_bodies",
                    503,
                )
            self._held += more
            self._most = max(self._most, self._held)
            is_over = not self._held and self._most > _LARGE
            if is_over:
                self._most = 0
        if is_over:
            give_back()


class Held:
    """The share of one request in a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._size = budget, 0

    def grow(self, size: int) -> None:
        """Notes that more bytes are held, or fewer.

        Raises:
            RefusedError: There is no room for them.
        """
        # Less goes, if all was let go of when the server stopped.
        after = max(0, self._size + size)
        self._budget.change(self._size, after)
        self._size = after

    @contextlib.contextmanager
    def parsed(self, size: int) -> Iterator[None]:
        """Holds what a parser makes of so many bytes of JSON while the context lasts.

        Raises:
            RefusedError: There is no room for it.
        """
        size *= _PARSED if size > _FREE else 0
        self.grow(size)
        try:
            yield
        finally:
            self.grow(-size)

    def release(self) -> None:
        """Notes that nothing is held any more."""
        self._budget.change(self._size, 0)
        self._size = 0


def give_back() -> None:
    """Has the C library give memory back that it keeps of what is freed in pieces."""
    with contextlib.suppress(OSError, AttributeError):  # of others than glibc
        ctypes.CDLL(None).malloc_trim(0)
