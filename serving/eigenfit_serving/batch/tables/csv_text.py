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
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.batch.tables.arrow import compute
from eigenfit_serving.batch.tables.columns import (
    COLUMNS,
    FAULT,
    LISTS,
    NUMBERS,
    rows_schema,
)
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 2**22
"""Bytes that are parsed at a time; no record may be longer."""

TORN = (
    "a field begins with a quote that does not close it, so that several lines were "
    "taken for one: put quotes at both ends of a list, or at neither"
)

_ENCODING = "utf-8-sig"
_NUMBER = r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"


class CSVFile:
    """A CSV file.

    Args:
        path: Path of the file.

    Attributes:
        names: Names of its columns.
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
        self.names = [name.strip() for name in cells]
        self._read = [name for name in self.names if name in COLUMNS]

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns, as `batches` converts them."""
        import pyarrow as pa

        known = rows_schema(self.names, pa.string())
        kinds = dict(zip(known.names, known.types, strict=True))
        names = [*self.names, FAULT]
        return pa.schema([(name, kinds.get(name, pa.string())) for name in names])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Reads all rows, with a text in the column `FAULT` where one is malformed.

        Sets `quoted_lines` at the end.

        Raises:
            InputError: If a record is longer than `BLOCK`.
        """
        import pyarrow as pa

        faults: dict[int, tuple[str | None, str]] = {}
        at = 0
        try:
            for batch in self._parsed(faults):
                yield (rows := self._with_faults(batch, at, faults))
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

    def _parsed(
        self, faults: dict[int, tuple[str | None, str]]
    ) -> Iterator[pa.RecordBatch]:
        # Yields the rows that can be read, as strings, and an empty batch at the end;
        # notes the others in `faults` by their number.
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        def note(row: Any) -> str:
            message = self._wrong_number(row.actual_columns)
            lines = re.split("[\r\n]", row.text)
            is_torn = len(lines) > 1
            fault = self._id_of(lines[0], is_torn), TORN if is_torn else message
            faults[row.number - 1 - self._skip] = fault
            return "skip"

        kinds = dict.fromkeys(self._read, pa.string())
        with self._path.open("rb") as file:
            source = codecs.EncodedFile(file, "utf-8", _ENCODING, errors="replace")
            try:
                yield from arrow_csv.open_csv(
                    source,
                    read_options=arrow_csv.ReadOptions(
                        use_threads=False,
                        block_size=BLOCK,
                        column_names=self.names,
                        skip_rows=self._skip,
                    ),
                    parse_options=arrow_csv.ParseOptions(
                        delimiter=self._delimiter,
                        newlines_in_values=True,
                        invalid_row_handler=note,
                    ),
                    convert_options=arrow_csv.ConvertOptions(
                        column_types=kinds,
                        include_columns=self._read,
                        strings_can_be_null=True,
                        null_values=[""],
                    ),
                )
            except pa.ArrowInvalid as error:
                if "Empty CSV file" not in str(error):
                    raise
        yield pa.record_batch([pa.nulls(0, k) for k in kinds.values()], names=[*kinds])

    def _with_faults(
        self,
        batch: pa.RecordBatch,
        at: int,
        faults: dict[int, tuple[str | None, str]],
    ) -> pa.RecordBatch:
        # Inserts malformed rows at their places, up to the last row of the batch.
        import pyarrow as pa

        number = batch.num_rows
        places = np.array(sorted(faults), np.int64) - at
        if number:
            places = places[places - np.arange(len(places)) < number]
        own = [faults.pop(at + k) for k in places.tolist()]
        order = np.full(number + len(places), -1)
        good = np.delete(np.arange(len(order)), places)
        order[good] = np.arange(number)
        batch = batch.take(pa.array(order, mask=order < 0)) if len(places) else batch
        ids = batch.column("id")
        texts: list[str | None] = [None] * len(order)
        swallowed = _swallowed(ids, self._delimiter)
        if own or swallowed.size:
            names = ids.to_pylist()
            for k in swallowed.tolist():
                names[k] = self._id_of(re.split("[\r\n]", names[k])[0], True)
                texts[k] = TORN
            for k, (name, text) in zip(places.tolist(), own, strict=True):
                names[k], texts[k] = name, text
            ids = pa.array(names, pa.string())
        columns = {
            name: ids if name == "id" else _typed(batch.column(name), name)
            for name in batch.schema.names
        }
        return pa.record_batch({**columns, FAULT: pa.array(texts, pa.string())})

    def _id_of(self, line: str, is_torn: bool) -> str | None:
        # The id, if it can be told: a list without quotes, or with only one, has split
        # into as many fields as it has numbers.
        delimiter = self._delimiter
        cells = line.split(delimiter)
        if not is_torn:
            cells = next(csv.reader([line], delimiter=delimiter), [])
        at = self.names.index("id")
        more = len(cells) - len(self.names)
        if more > 0 and any(name in LISTS for name in self.names[:at]):
            if any(name in LISTS for name in self.names[at + 1 :]):
                return None
            at += more
        text = cells[at] if at < len(cells) else ""
        return (text.strip('" ') if is_torn else text) or None

    def _wrong_number(self, number: int) -> str:
        wanted = len(self.names)
        counted = f"{number} field" if number == 1 else f"{number} fields"
        text = f"the line has {counted}, the first line has {wanted}"
        if number < wanted:
            return text
        return f"{text}: put lists in quotes, with no blank before the quote"


def _swallowed(ids: pa.Array, delimiter: str) -> np.ndarray:
    # Indices of ids that have swallowed the rest of their line and further lines.
    pattern = f"{re.escape(delimiter)}[^\r\n]*[\r\n]"
    found = compute().match_substring_regex(ids, pattern)
    return np.flatnonzero(found.fill_null(False).to_numpy(zero_copy_only=False))


def _typed(column: pa.Array, name: str) -> pa.Array:
    import pyarrow as pa

    if name in NUMBERS:
        return _numbers(compute().utf8_trim_whitespace(column))
    text = compute().utf8_trim(column, "[](){} \t\r\n")
    empty = compute().equal(text, "")
    lists = compute().split_pattern_regex(
        compute().if_else(empty, None, text), r"\s*[,;\s]\s*"
    )
    values = _numbers(lists.values)
    return pa.ListArray.from_arrays(lists.offsets, values, mask=lists.is_null())


def _numbers(text: pa.Array) -> pa.Array:
    # Texts that are not numbers become NaN, for which rows are refused.
    import pyarrow as pa

    is_number = compute().match_substring_regex(text, _NUMBER)
    text = compute().if_else(compute().invert(is_number), "nan", text)
    return compute().utf8_ltrim(text, "+").cast(pa.float64())
