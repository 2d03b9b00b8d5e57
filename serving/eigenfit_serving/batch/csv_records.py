"""Where the records of a CSV file begin and end, whatever is wrong with them.

Records end with LF, CR LF or CR; those without a character do not count. A field that
begins with a quote goes on to the quote that closes it, over commas and line breaks;
two quotes in it stand for one. A quote elsewhere is a character as any other. So say
RFC 4180 and Arrow's parser; files that people write say other things too: where a field
is not closed as it should be (by a quote before a comma or the end of the record, at
most `LONGEST` bytes after its first line break), its first quote is a slip. The record
then ends at that line break, and is torn: one row is lost, not all that follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

LONGEST = 2**16
"""Bytes of a field after its first line break."""

_CHUNK = 2**20
_LF, _CR, _QUOTE = b'\n\r"'
_BREAK = re.compile(rb"\r\n|\r|\n")
_BLANKS = re.compile(rb" *")


@dataclass(frozen=True)
class Records:
    """Some records, `n` of them, one after the other.

    Attributes:
        data: Bytes that hold them.
        starts: `[n]`, where in `data` they begin.
        ends: `[n]`, where they end, behind their line breaks.
        torn: `[n]` bool, which have a field that is not closed.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    torn: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: slice | np.ndarray) -> Records:
        """Takes some of them."""
        return Records(self.data, self.starts[rows], self.ends[rows], self.torn[rows])

    def line(self, row: int) -> bytes:
        """Gives one, without its line break."""
        return self.data[self.starts[row] : self.ends[row]].rstrip(b"\r\n")

    def joined(self) -> bytes:
        """Gives all of them, each with a line break at its end."""
        if not len(self):
            return b""
        if np.array_equal(self.starts[1:], self.ends[:-1]):
            text = self.data[self.starts[0] : self.ends[-1]]
        else:
            ends = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
            text = b"".join(self.data[start:end] for start, end in ends)
        # The last one of a file may lack it.
        return text if text.endswith((b"\n", b"\r")) else text + b"\n"


def read_records(file: BinaryIO, delimiter: str) -> Iterator[tuple[int, Records]]:
    """Reads records from where a file is, with bounded memory.

    Args:
        file: To read, from the beginning of a record on.
        delimiter: Of fields, one character.

    Yields:
        The place in the file at which `data` begins, and the next records.
    """
    at, data, is_last = file.tell(), b"", False
    while not is_last:
        # Records longer than a chunk are not read again and again.
        more = file.read(max(_CHUNK, len(data)))
        is_last = not more
        data += more
        records, used = _split(data, delimiter.encode(), is_last)
        if len(records):
            yield at, records
        at += used
        data = data[used:]


def _split(data: bytes, delimiter: bytes, is_last: bool) -> tuple[Records, int]:
    # Records that end in the data, and how many bytes are done with.
    size = len(data)
    if not is_last and data.endswith(b"\r"):
        size -= 1  # An LF may follow.
    starts, ends, is_empty, is_odd = _lines(data, size, delimiter, is_last)
    keep, torn = ~is_empty, np.zeros(len(starts), bool)
    used, reached = int(ends[-1]) if len(ends) else 0, 0
    for k in np.flatnonzero(is_odd).tolist():
        if starts[k] < reached:
            continue
        found = _end(data, int(starts[k]), size, delimiter, is_last)
        if found is None:
            keep[k:] = False
            used = int(starts[k])
            break
        reached, torn[k] = found
        last = int(np.searchsorted(ends, reached))
        keep[k + 1 : last + 1] = False
        ends[k] = reached
    return Records(data, starts, ends, torn)[keep], used


def _lines(
    data: bytes, size: int, delimiter: bytes, is_last: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    # Where lines begin and end, which are empty, and of which the quotes must be looked
    # at: they are not in pairs, or a pair is not a whole field.
    text = np.frombuffer(data, np.uint8, size)
    is_break = text == _LF
    if data.find(b"\r") >= 0:
        is_return = text == _CR
        is_return[:-1] &= ~is_break[1:]
        is_break |= is_return
    ends = np.flatnonzero(is_break) + 1
    if is_last and size and not is_break[-1]:
        ends = np.append(ends, size)
    starts = np.append(0, ends[:-1])[: len(ends)]
    length = ends - starts
    is_empty = (length == 1) & is_break[starts]
    is_empty |= (length == 2) & (text[starts] == _CR)
    quotes = np.flatnonzero(text == _QUOTE) if data.find(b'"') >= 0 else starts[:0]
    before = np.searchsorted(quotes, ends)
    number = np.diff(before, prepend=0)
    is_odd = number % 2 == 1
    line = np.repeat(np.arange(len(ends)), number)
    quotes = quotes[: len(line)]
    nth = np.arange(len(line)) - (before - number)[line]
    opens = nth % 2 == 0
    # What stands before a quote that opens a field, or behind one that closes it.
    beside = text[np.clip(np.where(opens, quotes - 1, quotes + 1), 0, size - 1)]
    is_right = (beside == delimiter[0]) | (beside == _QUOTE)
    is_right |= np.where(opens, quotes == starts[line], quotes + 1 == size)
    is_right |= ~opens & ((beside == _LF) | (beside == _CR))
    is_odd[line[~is_right]] = True
    return starts, ends, is_empty, is_odd


def _end(
    data: bytes, start: int, size: int, delimiter: bytes, is_last: bool
) -> tuple[int, bool] | None:
    # Where a record ends and whether it is torn; None if there is too little data to
    # tell.
    stop = re.compile(re.escape(delimiter) + rb"|\r\n|\r|\n")
    at = start
    while True:
        if data.startswith(b'"', at, size):
            found = _BREAK.search(data, at + 1, size)
            limit = min(found.end() + LONGEST if found else size, size)
            at = _closed(data, at + 1, limit)
            if not is_last and (limit if at < 0 else at) >= size:
                return None
            if at < 0 or not (at == size or stop.match(data, at, size)):
                if found is None and not is_last:
                    return None
                return (found.end() if found else size), True
        found = stop.search(data, at, size)
        if found is None:
            return (size, False) if is_last else None
        at = found.end()
        if found.group() != delimiter:
            return at, False


def _closed(data: bytes, at: int, limit: int) -> int:
    # Behind the quote that closes a field, and blanks; -1 if there is none.
    while (at := data.find(b'"', at, limit)) >= 0:
        if not data.startswith(b'"', at + 1):
            return _BLANKS.match(data, at + 1).end()  # type: ignore[union-attr]
        at += 2
    return -1
