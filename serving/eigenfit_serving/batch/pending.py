"""Parts that wait to be done, and what becomes of those whose worker died."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

from eigenfit_serving.batch.parts import Part

TRIES = 2
"""Workers that a part may kill before it is divided."""


class Pending:
    """Parts that wait; safe for several threads.

    A part whose worker died is tried once more by another one. If that dies too, the
    part is divided, and so are its pieces, each as soon as it kills a worker, down to
    the single row: that gets a code without being tried again.

    Args:
        parts: To do.

    Attributes:
        deaths: Workers that died while they had a part.

    Example:
        >>> pending = Pending([Part("a", 0, 2, 0, 0)])
        >>> for _ in range(2):
        ...     pending.lost(pending.take())
        >>> first, second = pending.take(), pending.take()
        >>> pending.done(second)
        >>> pending.lost(first)
        >>> pending.take().give_up
        True
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self._waiting = {part.first: part for part in parts}
        self._taken: set[Part] = set()
        self._tries: dict[Part, int] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self.deaths = 0

    def take(self, after: Part | None = None) -> Part | None:
        """Takes a part; waits while others may still come back.

        Args:
            after: What the worker did last: it goes on in the file where it is.

        Returns:
            The part; None when all is done, or work has been stopped.
        """
        with self._changed:
            while not self._waiting and self._taken and not self._stopped:
                self._changed.wait()
            if self._stopped or not self._waiting:
                return None
            first = after.first + after.rows if after else -1
            if first not in self._waiting:
                first = self._place_to_begin()
            part = self._waiting.pop(first)
            self._taken.add(part)
            return part

    def _place_to_begin(self) -> int:
        # In the longest sequence of parts: its beginning, or its middle if someone
        # works towards it. Reading on is cheaper than skipping rows of a file.
        followed = {part.first + part.rows for part in self._taken}
        runs: list[list[Part]] = []
        end = -1
        for first in sorted(self._waiting):
            part = self._waiting[first]
            if first != end:
                runs.append([])
            runs[-1].append(part)
            end = first + part.rows
        run = max(runs, key=len)
        if run[0].first not in followed:
            return run[0].first
        return run[len(run) // 2].first

    def take_all(self) -> list[Part]:
        """Takes all that wait."""
        with self._changed:
            parts = list(self._waiting.values())
            self._waiting.clear()
            self._taken.update(parts)
            return parts

    def done(self, part: Part) -> None:
        """Notes that a part is done."""
        with self._changed:
            self._taken.discard(part)
            self._changed.notify_all()

    def lost(self, part: Part, deaths: int = 1) -> None:
        """Notes that the worker of a part died, or several, one after the other."""
        with self._changed:
            self.deaths += deaths
            self._taken.discard(part)
            tries = self._tries.pop(part, 0) + deaths
            if tries < TRIES:
                pieces = [part]
            elif part.rows > 1:
                pieces = part.split()
                tries = TRIES - 1
            else:
                pieces = [replace(part, give_up=True)]
            self._tries.update(dict.fromkeys(pieces, tries))
            self._waiting.update({piece.first: piece for piece in pieces})
            self._changed.notify_all()

    def stop(self) -> None:
        """Gives out no more parts."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
