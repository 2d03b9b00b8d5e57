"""Which parts are left to do, and which are tried again after a worker died."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from eigenfit_serving.batch.plan.parts import Part, cut

FAN_OUT = 8
"""Pieces that a part is divided into if it kills workers."""
TRIES = 2
"""Workers that a part may kill before it is divided."""


class Pending:
    """A queue of the parts to do.

    A part whose worker died is tried once more by another. If that dies too, the part
    is divided, and so are its pieces, each as soon as it kills a worker, down to the
    single row, which gets a code without being tried again.

    Attributes:
        waiting: Parts that wait, the next one first.
        deaths: Number of workers that died while they had a part.

    Example:
        >>> pending = Pending([Part(0, 2)])
        >>> for _ in range(2):
        ...     pending.lost(pending.waiting.popleft())
        >>> pending.lost(pending.waiting.popleft())
        >>> list(pending.waiting), pending.deaths
        ([Part(first=0, rows=1, give_up=True), Part(first=1, rows=1, give_up=False)], 3)
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self.waiting = deque(parts)
        self.deaths = 0
        self._tries: dict[Part, int] = {}

    def lost(self, part: Part, deaths: int = 1) -> None:
        """Records that the worker of a part died, or several in succession."""
        self.deaths += deaths
        tries = self._tries.pop(part, 0) + deaths
        if tries < TRIES:
            pieces = [part]
        elif part.rows > 1:
            size, tries = -(-part.rows // FAN_OUT), TRIES - 1
            pieces = list(cut(part.first, part.first + part.rows, size))
        else:
            pieces = [replace(part, give_up=True)]
        self._tries.update(dict.fromkeys(pieces, tries))
        self.waiting.extendleft(reversed(pieces))
