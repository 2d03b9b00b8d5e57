"""CSV files: lists of numbers as text, `"[1.0, 2.0]"` or `1.0 2.0`.

The first record has the names. Columns are separated by commas, semicolons or tabs. A
record that is not as long as the first one, or has a quote that is not closed, becomes
a malformed row. Ids are texts. See `eigenfit_serving.batch.csv_records` for quotes and
line breaks.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.batch.arrow import compute
from eigenfit_serving.batch.columns import COLUMNS, FAULT, LISTS, NUMBERS
from eigenfit_serving.batch.csv_records import Records, read_records
from eigenfit_serving.batch.parts import Part

if TYPE_CHECKING:
    import pyarrow as pa

_RECORDS = 1024
"""Of a block."""

_FIRST, _LARGEST = 2**20, 2**26
"""Bytes of the first line and of a batch, about."""

_NUMBER = r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"

TORN = (
    "a field in this line begins with a quote but does not end with one: put quotes at "
    "both ends of a list, or at neither"
)


class CSVFile:
    """A CSV file; its blocks are bytes where parts begin.

    Args:
        path: Of it.

    Raises:
        ValueError: If the first record has no names.
    """

    goes_on = False

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            line = file.readline(_FIRST)
            self._delimiter = _delimiter(line)
            # Some editors begin a file with a byte order mark.
            file.seek(len(codecs.BOM_UTF8) if line.startswith(codecs.BOM_UTF8) else 0)
            at, records = next(read_records(file, self._delimiter), (0, None))
        self._begin, self._names = 0, []
        if records:
            if records.torn[0]:
                raise ValueError("a quote in its first line is not closed")
            self._begin = at + int(records.ends[0])
            names = fields(_text(records.line(0)), self._delimiter)
            self._names = [name.strip() for name in names]

    def schema(self) -> pa.Schema:
        """Gives names and types of columns, which are those that they must have."""
        import pyarrow as pa

        return pa.schema([(name, _type_of(name)) for name in self._names])

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Lists where each so many records begin, and their number."""
        starts: list[int] = []
        total = 0
        for at, records in self._records(self._begin):
            starts += (at + records.starts[-total % _RECORDS :: _RECORDS]).tolist()
            total += len(records)
        for k, start in enumerate(starts):
            yield start, min(_RECORDS, total - k * _RECORDS)

    def batches(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Reads from the byte of a part on."""
        left = part.skip + part.rows
        waiting: list[Records] = []
        rows = length = 0
        for _, records in self._records(part.block):
            while len(records) and left:
                own = records[: min(size - rows, left)]
                records = records[len(own) :]
                waiting.append(own)
                left -= len(own)
                rows += len(own)
                length += int(own.ends[-1] - own.starts[0])
                if rows == size or length > _LARGEST:
                    yield self._parsed(waiting)
                    waiting, rows, length = [], 0, 0
            if not left:
                break
        if waiting:
            yield self._parsed(waiting)

    def _records(self, start: int) -> Iterator[tuple[int, Records]]:
        with self.path.open("rb") as file:
            file.seek(start)
            yield from read_records(file, self._delimiter)

    def _parsed(self, pieces: list[Records]) -> pa.RecordBatch:
        import pyarrow as pa

        names = [name for name in self._names if name in COLUMNS]
        torn = np.concatenate([records.torn for records in pieces])
        whole = [x[~x.torn] if x.torn.any() else x for x in pieces]
        columns, wrong = self._columns(names, b"".join(x.joined() for x in whole))
        faults: dict[int, str] = dict.fromkeys(np.flatnonzero(torn).tolist(), TORN)
        places = np.flatnonzero(~torn)
        for row, number in wrong.items():
            faults[int(places[row])] = self._wrong_number(number)
        if faults:
            columns = self._with_bad(names, columns, faults, pieces)
        arrays = [_typed(x, name) for x, name in zip(columns, names, strict=True)]
        texts = pa.nulls(len(torn), pa.string())
        if faults:
            texts = pa.array([faults.get(k) for k in range(len(torn))], pa.string())
        return pa.record_batch([*arrays, texts], names=[*names, FAULT])

    def _columns(
        self, names: list[str], text: bytes
    ) -> tuple[list[pa.Array], dict[int, int]]:
        # Columns of the records that have the right number of fields; of the others,
        # which they are and their number of fields.
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        wrong: dict[int, int] = {}

        def keep(row: Any) -> str:
            wrong[row.number - 1] = row.actual_columns
            return "skip"

        try:
            text.decode()
        except UnicodeDecodeError:  # Arrow would refuse the whole text.
            text = _text(text).encode()
        if not text:
            return [pa.nulls(0, pa.string()) for _ in names], wrong
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=self._names
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                invalid_row_handler=keep,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=names,
                check_utf8=False,
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        return [table[name].combine_chunks() for name in names], wrong

    def _with_bad(
        self,
        names: list[str],
        columns: list[pa.Array],
        faults: dict[int, str],
        pieces: list[Records],
    ) -> list[pa.Array]:
        # Puts malformed rows back in their places, empty but for the id.
        import pyarrow as pa

        ends = np.cumsum([len(records) for records in pieces])
        order = np.full(ends[-1], -1)
        good = np.setdiff1d(np.arange(len(order)), list(faults))
        order[good] = np.arange(len(good))
        index = pa.array(order, mask=order < 0)
        result = [column.take(index) for column in columns]
        at = names.index("id")
        ids = result[at].to_pylist()
        for row in faults:
            piece = int(np.searchsorted(ends, row, side="right"))
            records, k = pieces[piece], row - int(ends[piece])
            ids[row] = self._id_of(_text(records.line(k)), bool(records.torn[k]))
        result[at] = pa.array(ids, pa.string())
        return result

    def _id_of(self, line: str, torn: bool) -> str | None:
        # As far as it can be told: fields of lists that have no quotes, or only one,
        # are as many as there are numbers.
        cells = line.split(self._delimiter) if torn else fields(line, self._delimiter)
        at = self._names.index("id")
        more = len(cells) - len(self._names)
        if more > 0 and any(name in LISTS for name in self._names[:at]):
            if any(name in LISTS for name in self._names[at + 1 :]):
                return None
            at += more
        text = cells[at] if at < len(cells) else ""
        return (text.strip('" ') if torn else text) or None

    def _wrong_number(self, number: int) -> str:
        wanted = len(self._names)
        text = f"the line has {_counted(number)}, the first line has {wanted}"
        if number < wanted:
            return text
        return f"{text}: put lists in quotes, with no blank before the quote"


def fields(line: str, delimiter: str) -> list[str]:
    """Divides a record, as Arrow does.

    Args:
        line: Without its line break.
        delimiter: One character.

    Example:
        >>> fields('a,"1, ""2"" 3",b "c" d', ",")
        ['a', '1, "2" 3', 'b "c" d']
    """
    mark = re.escape(delimiter)
    found = re.findall(rf'(?:^|{mark})("(?:[^"]|"")*"|)([^{mark}]*)', line)
    return [quoted[1:-1].replace('""', '"') + rest for quoted, rest in found]


def _delimiter(line: bytes) -> str:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16, must be UTF-8")
    line = line.replace(b"\r", b"\n").lstrip(b"\n").partition(b"\n")[0]
    return max(",;\t", key=_text(line).count)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


def _counted(number: int) -> str:
    return f"{number} field" if number == 1 else f"{number} fields"


def _type_of(name: str) -> pa.DataType:
    import pyarrow as pa

    if name in LISTS:
        return pa.list_(pa.float64())
    return pa.float64() if name in NUMBERS else pa.string()


def _typed(column: pa.Array, name: str) -> pa.Array:
    import pyarrow as pa

    if name in NUMBERS:
        return _numbers(compute().utf8_trim_whitespace(column))
    if name not in LISTS:
        return column
    text = compute().utf8_trim(column, "[](){} \t\r\n")
    empty = compute().equal(text, "")
    lists = compute().split_pattern_regex(
        compute().if_else(empty, None, text), r"\s*[,;\s]\s*"
    )
    values = _numbers(lists.values)
    return pa.ListArray.from_arrays(lists.offsets, values, mask=lists.is_null())


def _numbers(text: pa.Array) -> pa.Array:
    # What is no number becomes NaN, which rows are refused for.
    import pyarrow as pa

    is_number = compute().match_substring_regex(text, _NUMBER)
    text = compute().if_else(compute().invert(is_number), "nan", text)
    return compute().utf8_ltrim(text, "+").cast(pa.float64())
