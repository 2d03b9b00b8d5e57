"""How the rows of an input are divided into parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


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
