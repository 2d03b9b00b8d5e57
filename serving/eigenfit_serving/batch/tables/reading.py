"""Reads the rows of tables by their index, whatever their format.

Inputs of other formats are converted, once, to one Parquet file of the run. From
Parquet files rows are read in one way, from any row on, with bounded memory.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eigenfit_serving.batch.tables.columns import COLUMNS, normalised
from eigenfit_serving.batch.tables.csv_text import CSVFile
from eigenfit_serving.batch.tables.writing import whole_file
from eigenfit_serving.errors import InputError

_ROWS = 2**16
"""Approximate number of rows in a row group that we write."""
_BUFFER = 2**20
"""Bytes of a column that are read at a time."""

Groups = tuple[str, tuple[int, ...]]
"""Path of a Parquet file and the number of rows in each of its row groups."""


class ArrowFile:
    """An Arrow IPC file or stream, with the interface of `CSVFile`."""

    quoted_lines = 0

    def __init__(self, path: Path) -> None:
        self._path = path
        self.schema: pa.Schema = self._reader().schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Reads all rows."""
        names = self.schema.names
        reader = self._reader([k for k, name in enumerate(names) if name in COLUMNS])
        if hasattr(reader, "get_batch"):
            yield from map(reader.get_batch, range(reader.num_record_batches))
        else:
            yield from reader

    def _reader(self, fields: Sequence[int] = ()) -> Any:
        source = pa.memory_map(str(self._path))
        options = pa.ipc.IpcReadOptions(included_fields=list(fields))
        try:
            return pa.ipc.open_file(source, options=options)
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source, options=options)


CONVERTED: dict[str, type[CSVFile] | type[ArrowFile]] = {
    **dict.fromkeys((".csv", ".tsv"), CSVFile),
    **dict.fromkeys((".arrow", ".feather", ".ipc", ".arrows"), ArrowFile),
}
"""Readers of other formats, by suffix."""


def convert(
    files: Sequence[Path], schema: pa.Schema, path: Path, drafts: Path, limit: int
) -> int:
    """Writes the rows of files, about `limit` of them, to one like `whole_file`.

    Files have a suffix of `CONVERTED`, and the schema is one of `rows_schema`.

    Returns:
        Number of CSV lines that belong to a row begun on an earlier line.

    Raises:
        InputError: If a file cannot be read.
    """
    waiting: list[pa.RecordBatch] = []
    quoted: list[int] = []
    total = written = 0
    with whole_file(path, drafts) as file, pq.ParquetWriter(file, schema) as writer:
        for batch in _batches(files, quoted):
            waiting.append(normalised(batch, schema))
            total += batch.num_rows
            if total - written >= _ROWS:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting, written = [], total
            if total >= limit:
                break
        writer.write_table(pa.Table.from_batches(waiting, schema))
    return sum(quoted)


def _batches(files: Sequence[Path], quoted: list[int]) -> Iterator[pa.RecordBatch]:
    for path in files:
        with readable(path):
            reader = CONVERTED[path.suffix.lower()](path)
            for batch in reader.batches():
                for k in range(0, batch.num_rows, _ROWS):
                    yield batch.slice(k, _ROWS)
            quoted.append(reader.quoted_lines)


@contextlib.contextmanager
def readable(path: Path, argument: str = "INPUT") -> Iterator[None]:
    """Turns errors of reading in the block into one that names argument and file.

    Raises:
        InputError: If the block fails to read.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        is_access = isinstance(error, OSError)
        remedy = "Give another path, or rights" if is_access else "Write it again"
        raise InputError(
            f"{argument} = {path}: cannot be read ({reason}). {remedy}."
        ) from error


def groups_of(path: Path) -> Groups:
    """Lists the row groups of a file; see `readable` for errors."""
    with readable(path):
        return str(path), _sizes(pq.read_metadata(path))


class Reader:
    """Reads rows of files, in a schema of `rows_schema`.

    It does not seek if they follow in the same row group.
    """

    def __init__(self, files: Sequence[Groups], schema: pa.Schema) -> None:
        self._files, self._schema = files, schema
        self._groups = [(file, k) for file in files for k in range(len(file[1]))]
        self._starts = [
            *accumulate((file[1][k] for file, k in self._groups), initial=0)
        ]
        self._path, self._file, self._group = "", None, -1
        # The batch at hand, the index of its first row, and those that follow.
        self._batch, self._at = pa.record_batch({}), 0
        self._batches: Iterator[pa.RecordBatch] = iter(())

    def read(self, first: int, rows: int, size: int) -> Iterator[pa.RecordBatch]:
        """Reads a number of rows, from the row `first` of the whole input on.

        All batches but the last one have `size` rows.

        Raises:
            InputError: If a file cannot be read, or its number of rows has changed.
        """
        end = first + rows
        for k in range(first, end, size):
            slices = self._slices(k, min(k + size, end), size)
            yield from pa.Table.from_batches(slices).combine_chunks().to_batches()

    def _slices(self, first: int, end: int, size: int) -> Iterator[pa.RecordBatch]:
        # Rows up to `end`, in pieces; of files, `size` are read at a time.
        while first < end:
            group = bisect_right(self._starts, first) - 1
            with readable(Path(self._groups[group][0][0])):
                if group != self._group or first < self._at:
                    self._begin(group, size)
                while self._at + self._batch.num_rows <= first:
                    self._at += self._batch.num_rows
                    self._batch = next(self._batches)
            batch = self._batch.slice(first - self._at, end - first)
            yield normalised(batch, self._schema)
            first += batch.num_rows

    def _begin(self, group: int, size: int) -> None:
        (path, sizes), number = self._groups[group]
        if self._file is None or path != self._path:
            # By default whole column chunks are read, however large a row group is.
            file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            if _sizes(file.metadata) != sizes:
                raise InputError(
                    f"INPUT = {path}: has {file.metadata.num_rows} rows, but had "
                    f"{sum(sizes)} when the run began, or other row groups. Restore "
                    f"it, or begin anew."
                )
            self._path, self._file = path, file
        names = self._file.schema_arrow.names
        self._group, self._at = group, self._starts[group]
        self._batch = pa.record_batch({})
        self._batches = self._file.iter_batches(
            size,
            row_groups=[number],
            columns=[x for x in names if x in self._schema.names],
            use_threads=False,
        )


def _sizes(metadata: pq.FileMetaData) -> tuple[int, ...]:
    numbers = range(metadata.num_row_groups)
    return tuple(metadata.row_group(k).num_rows for k in numbers)
