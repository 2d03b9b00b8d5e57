"""Converts inputs of other formats, once, to one Parquet file of the run.

Rows can then be read in one way, from any row on, whatever the format of the input.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eigenfit_serving.batch.tables.columns import COLUMNS, normalised
from eigenfit_serving.batch.tables.csv_text import CSVFile
from eigenfit_serving.batch.tables.writing import whole_file
from eigenfit_serving.errors import InputError

_ROWS = 2**16
"""Approximate number of rows in a row group."""


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
    """Writes the rows of files to one Parquet file, atomically.

    Args:
        files: Files in the order of their rows; each has a suffix of `CONVERTED`.
        schema: Schema to write; see `rows_schema`.
        path: File to write.
        drafts: Folder for the incomplete file.
        limit: Number of rows after which to stop, roughly.

    Returns:
        Number of CSV lines that belong to a row begun on an earlier line.

    Raises:
        InputError: If a file cannot be read.
        OutputError: If the file cannot be written.
    """
    waiting: list[pa.RecordBatch] = []
    quoted: list[int] = []
    number = total = 0
    with whole_file(path, drafts) as file, pq.ParquetWriter(file, schema) as writer:
        for batch in _batches(files, quoted):
            waiting.append(normalised(batch, schema))
            number += batch.num_rows
            if number >= _ROWS or total + number >= limit:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting, total, number = [], total + number, 0
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
    """Turns errors of reading in the block into one that names the file.

    Args:
        path: Path of the file.
        argument: Argument that gave it.

    Raises:
        InputError: If the block fails to read.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        is_there = not isinstance(error, OSError)
        remedy = "Write it again" if is_there else "Give another path, or rights"
        raise InputError(
            f"{argument} = {path}: cannot be read ({reason}). {remedy}."
        ) from error
