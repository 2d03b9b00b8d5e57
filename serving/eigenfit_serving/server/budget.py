"""One budget for the bytes of requests, over gRPC and REST alike."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

from eigenfit_serving.protocol.status import Code, RefusedError

_FREE = 64 << 10

_LARGE = 16 << 20

_PARSED = 30
"""Most bytes of Python objects for a byte of JSON, as empty lists take."""


class Budget:
    """Limits the bytes of requests held at a time, by all connections together.

    Counts the bytes received, those that they inflate to, and what a parser makes of
    them. The first 64 KiB of a request are free, so that small ones are accepted
    however many large ones are in progress. A limit of 0 is none.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._held, self._most = limit, 0, 0
        self._lock = threading.Lock()

    def change(self, before: int, after: int) -> None:
        """Records that the bytes of a request grew, or were released.

        Raises:
            RefusedError: If there is no room for it.
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
        """Records that `size` more bytes are held; see `Budget.change`."""
        # Less is released if all was released when the server stopped.
        after = max(0, self._size + size)
        self._budget.change(self._size, after)
        self._size = after

    @contextlib.contextmanager
    def parsed(self, size: int) -> Iterator[None]:
        """Reserves, in the context, what a parser makes of so many bytes of JSON."""
        size *= _PARSED if size > _FREE else 0
        self.grow(size)
        try:
            yield
        finally:
            self.grow(-size)

    def release(self) -> None:
        """Releases all that is held."""
        self._budget.change(self._size, 0)
        self._size = 0


def give_back() -> None:
    """Makes the C library return freed memory that it keeps to the system."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
