"""CSV files: lists of numbers as text, `"[1.0, 2.0]"` or `1.0 2.0`.

The first line has the names. Columns are separated by commas, semicolons or tabs. A
record with more or fewer fields than the first line becomes a malformed row. A field
that begins with a quote extends to the closing quote, across commas and line breaks:
if that is missing, the lines that it swallows become one malformed row. Ids are
strings.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute

from eigenfit_serving.batch.tables.columns import (
    COLUMNS,
    FAULT,
    LISTS,
    NUMBERS,
    rows_schema,
)
from eigenfit_serving.errors import InputError

BLOCK = 2**22
"""Characters that are converted at a time; no record may be longer."""
csv.field_size_limit(BLOCK)  # By default it is 2**17.

TORN = (
    "a field begins with a quote that does not close it, so that several lines were "
    "taken for one: put quotes at both ends of a list, or at neither"
)

_NUMBER = r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"

compute: Any = pyarrow.compute  # Its functions exist at run time only.


class CSVFile:
    """A CSV file.

    Attributes:
        schema: Names and types of the columns, as `batches` converts them.
        quoted_lines: Lines that belong to a row begun on an earlier one, of those read.

    Raises:
        ValueError: If the file is UTF-16, or a quote in its first line is not closed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.quoted_lines = path, 0
        with path.open("rb") as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise ValueError("it is UTF-16, must be UTF-8")
        with self._opened() as text:
            line = next((line for line in text if line.strip("\r\n")), "")
        self._delimiter = max(",;\t", key=line.count)
        if line.count('"') % 2:
            raise ValueError("a quote in its first line is not closed")
        cells = next(csv.reader([line], delimiter=self._delimiter), [])
        self._names = [name.strip() for name in cells]
        names = [*self._names, FAULT]
        known = rows_schema(names, pa.string())
        kinds = dict(zip(known.names, known.types, strict=True))
        self.schema = pa.schema([(x, kinds.get(x, pa.string())) for x in names])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Reads all rows, with a text in the column `FAULT` where one is malformed.

        Raises:
            InputError: If a record is longer than `BLOCK`.
        """
        rows: list[list[str]] = []
        wanted, at, size = len(self._names), self._names.index("id"), 0
        # An id that has swallowed the rest of its line and further lines.
        torn = re.compile(f"{self._delimiter}[^\r\n]*[\r\n]")
        for cells, length in self._records():
            is_good = len(cells) == wanted and not torn.search(cells[at])
            rows.append([*cells, ""] if is_good else self._malformed(cells))
            size += length
            if size >= BLOCK:
                yield self._batch(rows)
                rows, size = [], 0
        if rows:
            yield self._batch(rows)

    def _opened(self) -> TextIO:
        # Some editors begin a file with a byte order mark.
        return self._path.open(encoding="utf-8-sig", errors="replace", newline="")

    def _records(self) -> Iterator[tuple[list[str], int]]:
        # The fields of each record after the first, and its length.
        number, length = -1, 0

        def lines() -> Iterator[str]:
            nonlocal length
            for line in text:
                length += len(line)
                if length > BLOCK:
                    raise InputError(
                        f"INPUT = {self._path}: a record after row {number} is longer "
                        f"than {BLOCK:,} bytes: a field there begins with a quote that "
                        f"does not close it. Close it, or leave it out."
                    )
                self.quoted_lines += bool(line.strip("\r\n"))
                yield line

        with self._opened() as text:
            for cells in csv.reader(lines(), delimiter=self._delimiter):
                if cells:
                    if number >= 0:
                        yield cells, length
                    number += 1
                    self.quoted_lines -= 1
                length = 0

    def _malformed(self, cells: list[str]) -> list[str]:
        # A row with no more than its id, if it can be told, and what is wrong with it.
        found, wanted = len(cells), len(self._names)
        noun = "field" if found == 1 else "fields"
        fault = f"the line has {found} {noun}, the first line has {wanted}"
        if found > wanted:
            fault += ": put lists in quotes, with no blank before the quote"
        first, *others = re.split("[\r\n]", self._delimiter.join(cells))
        if others:
            fault = TORN
            cells = [cell.strip('" ') for cell in first.split(self._delimiter)]
        # A list without quotes, or with only one, has split into as many fields as it
        # has numbers.
        at = own = self._names.index("id")
        if len(cells) > wanted and any(name in LISTS for name in self._names[:at]):
            is_last = not any(name in LISTS for name in self._names[at + 1 :])
            own = at + len(cells) - wanted if is_last else len(cells)
        row = [*[""] * wanted, fault]
        row[at] = cells[own] if own < len(cells) else ""
        return row

    def _batch(self, rows: list[list[str]]) -> pa.RecordBatch:
        columns = zip([*self._names, FAULT], zip(*rows, strict=True), strict=True)
        known = (*COLUMNS, FAULT)
        return pa.record_batch({k: _typed(x, k) for k, x in columns if k in known})


def _typed(cells: Sequence[str], name: str) -> pa.Array:
    column = pa.array(cells, pa.string())
    column = compute.if_else(compute.equal(column, ""), None, column)
    if name in ("id", FAULT):
        return column
    if name in NUMBERS:
        return _numbers(compute.utf8_trim_whitespace(column))
    text = compute.utf8_trim(column, "[](){} \t\r\n")
    text = compute.if_else(compute.equal(text, ""), None, text)
    lists = compute.split_pattern_regex(text, r"\s*[,;\s]\s*")
    values = _numbers(lists.values)
    return pa.ListArray.from_arrays(lists.offsets, values, mask=lists.is_null())


def _numbers(text: pa.Array) -> pa.Array:
    # Texts that are not numbers become NaN, for which rows are refused.
    is_number = compute.match_substring_regex(text, _NUMBER)
    text = compute.if_else(is_number, compute.utf8_ltrim(text, "+"), "nan")
    return text.cast(pa.float64())
