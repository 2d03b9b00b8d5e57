"""CSV files: lists of numbers as text, `"[1.0, 2.0]"` or `1.0 2.0`.

The first line has the names. Columns are separated by commas, semicolons or tabs. A
record with more or fewer fields than the first line becomes a malformed row. A field
that begins with a quote extends to the closing quote, across commas and line breaks:
if that is missing, the lines that it swallows become one malformed row. Ids are
strings.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from eigenfit_serving.batch.tables.columns import (
    COLUMNS,
    FAULT,
    LISTS,
    NUMBERS,
    rows_schema,
)
from eigenfit_serving.errors import InputError

BLOCK = 2**22
"""Bytes that are parsed at a time; no record may be longer."""

TORN = (
    "a field begins with a quote that does not close it, so that several lines were "
    "taken for one: put quotes at both ends of a list, or at neither"
)

_ENCODING = "utf-8-sig"
_NUMBER = r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"

compute: Any = pyarrow.compute  # Its functions exist at run time only.


class CSVFile:
    """A CSV file.

    Attributes:
        schema: Names and types of the columns, as `batches` converts them.
        quoted_lines: Lines that belong to a row begun on an earlier one.

    Raises:
        ValueError: If the file is UTF-16, or a quote in its first line is not closed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.quoted_lines = path, 0
        with path.open("rb") as file:
            if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
                raise ValueError("it is UTF-16, must be UTF-8")
        self._skip, line = next(self._lines(), (0, ""))
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

        Sets `quoted_lines` at the end.

        Raises:
            InputError: If a record is longer than `BLOCK`.
        """
        malformed: dict[int, dict[str, Any]] = {}
        at = 0
        try:
            for batch in self._parsed(malformed):
                for rows in self._with_malformed(batch, at, malformed):
                    yield rows
                    at += rows.num_rows
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
            raise InputError(
                f"INPUT = {self._path}: a record after row {at} is longer than "
                f"{BLOCK:,} bytes: a field there begins with a quote that does not "
                f"close it. Close it, or leave it out."
            ) from None
        self.quoted_lines = sum(1 for _ in self._lines()) - 1 - at

    def _lines(self) -> Iterator[tuple[int, str]]:
        # Lines that are not empty, with their numbers from 1 on. Some editors begin
        # a file with a byte order mark.
        with self._path.open(encoding=_ENCODING, errors="replace") as text:
            for number, line in enumerate(text, 1):
                if line := line.rstrip("\n"):
                    yield number, line

    def _parsed(self, malformed: dict[int, dict[str, Any]]) -> Iterator[pa.RecordBatch]:
        # Yields the rows that can be read, as strings, and an empty batch at the end;
        # notes the others by their number.
        def note(row: Any) -> str:
            found, wanted = row.actual_columns, row.expected_columns
            fault = f"the line has {found} fields, the first line has {wanted}"
            if found == 1:
                fault = fault.replace("fields", "field")
            if found > wanted:
                fault += ": put lists in quotes, with no blank before the quote"
            malformed[row.number - 1 - self._skip] = self._malformed(row.text, fault)
            return "skip"

        names = [x for x in self._names if x in COLUMNS]
        kinds = dict.fromkeys(names, pa.string())
        with self._path.open("rb") as file:
            source = codecs.EncodedFile(file, "utf-8", _ENCODING, errors="replace")
            try:
                yield from pyarrow.csv.open_csv(
                    source,
                    read_options=pyarrow.csv.ReadOptions(
                        use_threads=False,
                        block_size=BLOCK,
                        column_names=self._names,
                        skip_rows=self._skip,
                    ),
                    parse_options=pyarrow.csv.ParseOptions(
                        delimiter=self._delimiter,
                        newlines_in_values=True,
                        invalid_row_handler=note,
                    ),
                    convert_options=pyarrow.csv.ConvertOptions(
                        column_types=kinds,
                        include_columns=names,
                        strings_can_be_null=True,
                        null_values=[""],
                    ),
                )
            except pa.ArrowInvalid as error:
                if "Empty CSV file" not in str(error):
                    raise
        yield pa.record_batch([pa.nulls(0, pa.string())] * len(names), names=names)

    def _with_malformed(
        self, batch: pa.RecordBatch, at: int, malformed: dict[int, dict[str, Any]]
    ) -> list[pa.RecordBatch]:
        # Inserts malformed rows at their places, up to the last row of the batch.
        number, ids = batch.num_rows, batch.column("id")
        columns = {x: _typed(batch.column(x), x) for x in batch.schema.names}
        good = pa.record_batch({**columns, FAULT: pa.nulls(number, pa.string())})
        # Ids that have swallowed the rest of their line and further lines.
        pattern = f"{re.escape(self._delimiter)}[^\r\n]*[\r\n]"
        torn = compute.match_substring_regex(ids, pattern).fill_null(False)
        bad = [self._malformed(x, TORN) for x in ids.filter(torn).to_pylist()]
        order, first = np.arange(number), number + len(bad)
        order[torn.to_numpy(zero_copy_only=False)] = np.arange(number, first)
        numbers = np.array(sorted(malformed), np.int64)
        before = numbers - at - np.arange(len(numbers))
        if number:
            before = before[before < number]
        bad += [malformed.pop(k) for k in numbers[: len(before)].tolist()]
        if not bad:
            return [good]
        order = np.insert(order, before, np.arange(first, number + len(bad)))
        rows = pa.RecordBatch.from_pylist(bad, schema=good.schema)
        whole = pa.Table.from_batches([good, rows]).take(pa.array(order))
        return whole.combine_chunks().to_batches()

    def _malformed(self, text: str, fault: str) -> dict[str, Any]:
        # A row that takes up several lines is a torn one.
        lines = re.split("[\r\n]", text)
        is_torn = len(lines) > 1
        name = self._id_of(lines[0], is_torn)
        return {"id": name, FAULT: TORN if is_torn else fault}

    def _id_of(self, line: str, is_torn: bool) -> str | None:
        # The id, if it can be told: a list without quotes, or with only one, has split
        # into as many fields as it has numbers.
        cells = line.split(self._delimiter)
        if not is_torn:
            cells = next(csv.reader([line], delimiter=self._delimiter), [])
        at = self._names.index("id")
        more = len(cells) - len(self._names)
        if more > 0 and any(name in LISTS for name in self._names[:at]):
            if any(name in LISTS for name in self._names[at + 1 :]):
                return None
            at += more
        text = cells[at] if at < len(cells) else ""
        return (text.strip('" ') if is_torn else text) or None


def _typed(column: pa.Array, name: str) -> pa.Array:
    if name == "id":
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
