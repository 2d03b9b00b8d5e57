"""How an input is divided into parts: some rows of a file, or of several small ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

FAN_OUT = 8
"""Pieces of a part that kills workers."""
MOST_FILES = 1024
"""Files of a part."""


@dataclass(frozen=True)
class Part:
    """Consecutive rows.

    Attributes:
        file: Which holds them, or the first of them.
        first: Number of the first row in the whole input.
        rows: Number of rows, in all files.
        block: Row group, record batch or byte where they begin, or before.
        skip: Rows between that and the first one.
        give_up: Whether the rows are only given a code: they killed their workers.
        others: Rows of the next files, each a part of one file.
    """

    file: str
    first: int
    rows: int
    block: int
    skip: int
    give_up: bool = False
    others: tuple[Part, ...] = ()

    @property
    def pieces(self) -> list[Part]:
        """The same rows, each part of one file."""
        rows = self.rows - sum(part.rows for part in self.others)
        return [replace(self, rows=rows, others=()), *self.others]

    @property
    def name(self) -> str:
        """Of the file of its solutions; names sort like rows.

        Example:
            >>> Part("a.parquet", 256, 128, 0, 0).name
            'part-000000000256-000000128.parquet'
        """
        return f"part-{self.first:012d}-{self.rows:09d}.parquet"

    def cut(self, first: int, rows: int) -> Part:
        """Takes some of its rows; `first` counts in the whole input.

        Example:
            >>> part = joined([Part("a", 0, 3, 0, 0), Part("b", 3, 4, 0, 0)], 7)[0]
            >>> [(x.file, x.rows, x.skip) for x in part.cut(2, 3).pieces]
            [('a', 1, 2), ('b', 2, 0)]
        """
        found = []
        for part in self.pieces:
            begin = max(first, part.first)
            number = min(first + rows, part.first + part.rows) - begin
            if number > 0:
                skip = part.skip + begin - part.first
                found.append(replace(part, first=begin, rows=number, skip=skip))
        return replace(found[0], rows=rows, give_up=self.give_up, others=(*found[1:],))

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
        others = tuple(map(Part.from_json, content.pop("others", ())))
        return Part(**content, others=others)


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


def joined(parts: Iterable[Part], rows: int) -> list[Part]:
    """Joins parts of small files.

    Args:
        parts: Each of one file, in the order of their rows.
        rows: Of a part, at most, if several are joined.

    Example:
        >>> files = [Part(name, 2 * k, 2, 0, 0) for k, name in enumerate("abc")]
        >>> [(x.first, x.rows, len(x.pieces)) for x in joined(files, 5)]
        [(0, 4, 2), (4, 2, 1)]
    """
    result: list[Part] = []
    group: list[Part] = []
    total = 0
    for part in parts:
        if group and (total + part.rows > rows or len(group) == MOST_FILES):
            result.append(replace(group[0], rows=total, others=(*group[1:],)))
            group, total = [], 0
        group.append(part)
        total += part.rows
    if group:
        result.append(replace(group[0], rows=total, others=(*group[1:],)))
    return result


def remaining(parts: Iterable[Part], done: dict[int, int]) -> list[Part]:
    """Leaves out what has been done.

    Args:
        parts: Of the whole input.
        done: Number of rows by the first row, of what has been done, perhaps in parts
            of other sizes; these do not overlap.

    Example:
        >>> part = Part("a", 0, 10, 0, 0)
        >>> [(x.first, x.rows) for x in remaining([part], {2: 3, 5: 1})]
        [(0, 2), (6, 4)]
    """
    starts = sorted(done)
    result: list[Part] = []
    place = at = 0
    for part in parts:
        # What is done may go on into the next parts.
        at, end = max(at, part.first), part.first + part.rows
        while place < len(starts) and starts[place] < end:
            if starts[place] > at:
                result.append(part.cut(at, starts[place] - at))
            at = max(at, starts[place] + done[starts[place]])
            place += 1
        if at < end:
            result.append(part.cut(at, end - at))
    return result
