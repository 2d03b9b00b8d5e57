"""How an input is divided into parts, each some rows of one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FAN_OUT = 8
"""Pieces of a part that kills workers."""


@dataclass(frozen=True)
class Part:
    """Consecutive rows of one file.

    Attributes:
        file: Which holds them.
        first: Number of the first row in the whole input.
        rows: Number of rows.
        block: Row group, record batch or byte where they begin, or before.
        skip: Rows between that and the first one.
        give_up: Whether the rows are only given a code: they killed their workers.
    """

    file: str
    first: int
    rows: int
    block: int
    skip: int
    give_up: bool = False

    @property
    def name(self) -> str:
        """Of the file of its solutions; names sort like rows.

        Example:
            >>> Part("a.parquet", 256, 128, 0, 0).name
            'part-000000000256-000000128.parquet'
        """
        return f"part-{self.first:012d}-{self.rows:09d}.parquet"

    def cut(self, first: int, rows: int) -> Part:
        """Takes some of its rows; `first` counts in the whole input."""
        skip = self.skip + first - self.first
        return replace(self, first=first, rows=rows, skip=skip)

    def split(self) -> list[Part]:
        """Divides it, to find out which row kills workers.

        Example:
            >>> [x.rows for x in Part("a.parquet", 0, 20, 0, 0).split()]
            [3, 3, 3, 3, 3, 3, 2]
        """
        size = -(-self.rows // FAN_OUT)
        end = self.first + self.rows
        starts = range(self.first, end, size)
        return [self.cut(k, min(size, end - k)) for k in starts]

    @staticmethod
    def from_json(content: dict[str, Any]) -> Part:
        """Makes a part of what `dataclasses.asdict` gave, sent through JSON."""
        return Part(**content)


def parts_of(
    file: Path, blocks: Iterable[tuple[int, int]], rows: int, first: int, end: int
) -> Iterator[Part]:
    """Divides a file.

    Args:
        file: To divide.
        blocks: Where each block begins, as `Part.block` says it, and its rows.
        rows: Of a part.
        first: Number of the file's first row in the whole input.
        end: Number of the row before which the work ends.

    Example:
        >>> found = parts_of(Path("a"), [(0, 5), (1, 1), (2, 6)], 4, 100, 111)
        >>> [(x.first, x.rows, x.block, x.skip) for x in found]
        [(100, 4, 0, 0), (104, 4, 0, 4), (108, 3, 2, 2)]
    """
    # In the file: rows before the block, and where the next part begins.
    before, at = 0, 0
    pending = None
    size = 0
    for block, count in blocks:
        while at < before + count:
            if pending is None:
                pending = Part(str(file), first + at, 0, block, at - before)
                size = min(rows, end - pending.first)
                if size <= 0:
                    return
            taken = min(size, before + count - at)
            size -= taken
            at += taken
            pending = replace(pending, rows=pending.rows + taken)
            if size == 0:
                yield pending
                pending = None
        before += count
    if pending is not None:
        yield pending


def remaining(parts: Iterable[Part], done: dict[int, int]) -> list[Part]:
    """Leaves out what has been done.

    Args:
        parts: Of the whole input.
        done: Number of rows by the first row, of what has been done.

    Example:
        >>> part = Part("a", 0, 10, 0, 0)
        >>> [(x.first, x.rows) for x in remaining([part], {2: 3, 5: 1})]
        [(0, 2), (6, 4)]
    """
    starts = sorted(done)
    result: list[Part] = []
    place = 0
    for part in parts:
        at, end = part.first, part.first + part.rows
        while place < len(starts) and starts[place] < end:
            if starts[place] > at:
                result.append(part.cut(at, starts[place] - at))
            at = max(at, starts[place] + done[starts[place]])
            place += 1
        if at < end:
            result.append(part.cut(at, end - at))
    return result
