"""How the rows of an input are divided into parts, and which are tried again."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

FAN_OUT = 8
"""Pieces that a part is divided into if it kills workers."""
TRIES = 2
"""Workers that a part may kill before it is divided."""


@dataclass(frozen=True)
class Part:
    """Consecutive rows whose solutions form one file."""

    first: int  # index of its first row in the whole input
    rows: int  # number of rows
    give_up: bool = False  # whether to give them a code unsolved: they killed workers

    @property
    def name(self) -> str:
        """Name of the file of its solutions; names sort like rows."""
        return f"part-{self.first:012d}-{self.rows:09d}.parquet"

    @staticmethod
    def named(name: str) -> Part | None:
        """Returns the part whose file has this name; None if it is no such name.

        Example:
            >>> Part(256, 128).name
            'part-000000000256-000000128.parquet'
            >>> Part.named(Part(256, 128).name), Part.named("part-1.csv")
            (Part(first=256, rows=128, give_up=False), None)
        """
        found = re.fullmatch(r"part-(\d{12,})-(\d{9,})\.parquet", name)
        return Part(int(found[1]), int(found[2])) if found else None


def remaining(total: int, size: int, done: Mapping[int, int]) -> Iterator[Part]:
    """Divides the rows that are not done, of a total, into parts of a size.

    Parts begin at multiples of it, and after parts done. `done` has the number of rows
    of these, by their first row; they may have other sizes, and do not overlap.

    Example:
        >>> [(x.first, x.rows) for x in remaining(20, 8, {2: 3, 5: 1})]
        [(0, 2), (6, 2), (8, 8), (16, 4)]
    """
    at = 0
    for first, rows in [*sorted(done.items()), (total, 0)]:
        yield from cut(at, min(first, total), size)
        at = first + rows


def cut(first: int, end: int, size: int) -> Iterator[Part]:
    """Divides rows into parts that begin at multiples of a size, but for the first."""
    while first < end:
        following = min(first - first % size + size, end)
        yield Part(first, following - first)
        first = following


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
