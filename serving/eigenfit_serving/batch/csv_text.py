"""CSV files: lists of numbers as text, `"[1.0, 2.0]"` or `1.0 2.0`.

The first line has the names. Columns are separated by commas, semicolons or tabs. A
line that is not as long as the first one becomes a malformed row. Ids are texts; no
field may hold a line break.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.batch.arrow import compute
from eigenfit_serving.batch.columns import COLUMNS, LISTS, NUMBERS
from eigenfit_serving.batch.parts import Part

if TYPE_CHECKING:
    import pyarrow as pa

_LINES = 1024
"""Of a block."""

_NUMBER = r"^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"


class CSVFile:
    """A CSV file; its blocks are bytes where parts begin.

    Args:
        path: Of it.
    """

    goes_on = False

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            line = file.readline()
        self._begin = len(line)
        text = line.decode("utf-8-sig", errors="replace").rstrip("\r\n")
        self._delimiter = max(",;\t", key=text.count)
        self._names = next(csv.reader([text], delimiter=self._delimiter), [])
        self._names = [name.strip() for name in self._names]

    def schema(self) -> pa.Schema:
        """Gives names and types of columns, which are those that they must have."""
        import pyarrow as pa

        return pa.schema([(name, _type_of(name)) for name in self._names])

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Lists where each so many lines begin, and their number.

        Empty lines do not count.
        """
        start = at = self._begin
        count = 0
        with self.path.open("rb") as file:
            file.seek(self._begin)
            for line in file:
                at += len(line)
                count += bool(line.rstrip(b"\r\n"))
                if count == _LINES:
                    yield start, count
                    start, count = at, 0
        if count:
            yield start, count

    def batches(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Reads from the byte of a part on."""
        with self.path.open("rb") as file:
            file.seek(part.block)
            left = part.skip + part.rows
            while left > 0:
                lines = _filled_lines(file, min(left, size))
                if not lines:
                    return
                left -= len(lines)
                yield self._parsed(lines)

    def _parsed(self, lines: list[bytes]) -> pa.RecordBatch:
        import pyarrow as pa
        from pyarrow import csv as arrow_csv

        bad: list[Any] = []

        def keep(row: Any) -> str:
            bad.append(row)
            return "skip"

        data = b"".join(lines)
        names = [name for name in self._names if name in COLUMNS]
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=self._names
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter, invalid_row_handler=keep
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=names,
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        columns = [_decoded(table[name].combine_chunks()) for name in names]
        if bad:
            columns = self._with_bad(names, columns, bad, len(lines))
        arrays = [_typed(x, name) for x, name in zip(columns, names, strict=True)]
        return pa.record_batch(arrays, names=names)

    def _with_bad(
        self, names: list[str], columns: list[pa.Array], bad: list[Any], number: int
    ) -> list[pa.Array]:
        # Puts rows of a wrong number of fields back in their places, empty but for
        # the id.
        import pyarrow as pa

        places = np.array([row.number - 1 for row in bad])
        order = np.full(number, -1)
        good = np.setdiff1d(np.arange(number), places)
        order[good] = np.arange(len(good))
        index = pa.array(order, mask=order < 0)
        result = [column.take(index) for column in columns]
        at = self._names.index("id")
        ids = result[names.index("id")].to_pylist()
        for row in bad:
            cells = next(csv.reader([row.text], delimiter=self._delimiter), [])
            ids[row.number - 1] = cells[at] if at < len(cells) else None
        result[names.index("id")] = pa.array(ids, pa.string())
        return result


def _filled_lines(file: Any, number: int) -> list[bytes]:
    lines = []
    while len(lines) < number and (line := file.readline()):
        if line.rstrip(b"\r\n"):
            lines.append(line if line.endswith(b"\n") else line + b"\n")
    return lines


def _type_of(name: str) -> pa.DataType:
    import pyarrow as pa

    if name in LISTS:
        return pa.list_(pa.float64())
    return pa.float64() if name in NUMBERS else pa.string()


def _decoded(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:  # not UTF-8
        texts = [x and x.decode("utf-8", "replace") for x in column.to_pylist()]
        return pa.array(texts, pa.string())


def _typed(column: pa.Array, name: str) -> pa.Array:
    import pyarrow as pa

    if name in NUMBERS:
        return _numbers(compute().utf8_trim_whitespace(column))
    if name not in LISTS:
        return column
    text = compute().utf8_trim(column, "[](){} \t")
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
