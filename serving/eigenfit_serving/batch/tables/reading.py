"""Reads rows by their index from Parquet files, with bounded memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from eigenfit_serving.batch.tables.columns import normalised
from eigenfit_serving.batch.tables.converting import readable
from eigenfit_serving.errors import InputError

_BUFFER = 2**20
"""Bytes of a column that are read at a time."""

Groups = tuple[str, tuple[int, ...]]
"""Path of a file and the number of rows in each of its row groups."""


def groups_of(path: Path) -> Groups:
    """Lists the row groups of a file.

    Raises:
        InputError: If it cannot be read.
    """
    with readable(path):
        return str(path), _sizes(pq.read_metadata(path))


class Reader:
    """Reads rows, without seeking if they follow in the same row group.

    Args:
        files: Files in the order of their rows.
        schema: Schema of the batches; see
            `eigenfit_serving.batch.tables.columns.rows_schema`.
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
        """Reads consecutive rows in batches.

        Args:
            first: Index of the first row in the whole input.
            rows: Number of rows.
            size: Rows per batch; the last one may have fewer.

        Raises:
            InputError: If a file cannot be read, or its number of rows has changed.
        """
        waiting: list[pa.RecordBatch] = []
        have, end = 0, first + rows
        while first < end:
            batch = self._next(first, min(size - have, end - first), size)
            waiting.append(batch)
            first, have = first + batch.num_rows, have + batch.num_rows
            if have == size or first == end:
                joined = pa.Table.from_batches(waiting).combine_chunks()
                yield from joined.to_batches()
                waiting, have = [], 0

    def _next(self, first: int, most: int, size: int) -> pa.RecordBatch:
        # At most `most` rows from `first` on.
        group = bisect_right(self._starts, first) - 1
        with readable(Path(self._groups[group][0][0])):
            if group != self._group or first < self._at:
                self._begin(group, size)
            while self._at + self._batch.num_rows <= first:
                self._at += self._batch.num_rows
                self._batch = next(self._batches)
        return normalised(self._batch.slice(first - self._at, most), self._schema)

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
