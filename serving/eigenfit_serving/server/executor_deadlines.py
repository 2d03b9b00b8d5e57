"""Calls functions at given times, on one thread for all."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

# How long the thread outlives its last deadline.
_IDLE_SECONDS = 10.0


class _Entry:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback


class Deadlines:
    """A queue of functions to call at their times.

    What is taken back stays in the queue until its time: that needs no search, and a
    deadline is rarely more than half a minute away.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._wakes_at = float("inf")
        self._thread: threading.Thread | None = None

    def watch(self, when: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Calls a function at a time, unless it is taken back before.

        Args:
            when: In seconds of `time.monotonic`.
            callback: Must be quick.

        Returns:
            A function that takes it back.
        """
        entry = _Entry(callback)
        with self._changed:
            heapq.heappush(self._queue, (when, next(self._order), entry))
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="deadlines", daemon=True
                )
                self._thread.start()
            elif when < self._wakes_at:
                self._changed.notify()

        def take_back() -> None:
            entry.callback = None

        return take_back

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._wait():
                    return
                _, _, entry = heapq.heappop(self._queue)
                callback = entry.callback
            if callback is not None:
                callback()

    def _wait(self) -> bool:
        """Waits until something is due; False if the thread is to end."""
        while True:
            while self._queue and self._queue[0][2].callback is None:
                heapq.heappop(self._queue)
            now = time.monotonic()
            idle = not self._queue
            self._wakes_at = now + _IDLE_SECONDS if idle else self._queue[0][0]
            if not idle and self._wakes_at <= now:
                return True
            was_told = self._changed.wait(
                min(self._wakes_at - now, threading.TIMEOUT_MAX)
            )
            if idle and not was_told and not self._queue:
                self._thread = None
                return False


DEADLINES = Deadlines()
"""Of this process."""
