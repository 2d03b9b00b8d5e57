"""Reads rows by their index from Parquet files, with bounded memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from eigenfit_serving.batch.tables.columns import normalised
from eigenfit_serving.batch.tables.converting import readable
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

_BUFFER = 2**20
"""Bytes of a column that are read at a time."""


class Reader:
    """Reads rows, without seeking if they follow in the same row group.

    Args:
        files: Path and number of rows of each file, in the order of the rows.
        schema: Schema of the batches; see
            `eigenfit_serving.batch.tables.columns.rows_schema`.
    """

    def __init__(self, files: Sequence[tuple[str, int]], schema: pa.Schema) -> None:
        self._files, self._schema = files, schema
        self._starts = [0, *accumulate(rows for _, rows in files)]
        self._at, self._file = 0, -1
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None

    def read(self, first: int, rows: int, size: int) -> Iterator[pa.RecordBatch]:
        """Reads consecutive rows in batches.

        Args:
            first: Index of the first row in the whole input.
            rows: Number of rows.
            size: Rows per batch; the last one may have fewer.

        Raises:
            InputError: If a file cannot be read, or its number of rows has changed.
        """
        import pyarrow as pa

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
        number = bisect_right(self._starts, first) - 1
        with readable(Path(self._files[number][0])):
            if number != self._file or first < self._at or self._may_jump(first):
                self._begin(number, first, size)
            batch = self._rest or next(self._batches)
            while self._at + batch.num_rows <= first:
                self._at += batch.num_rows
                batch = next(self._batches)
        own = batch.slice(first - self._at, most)
        self._rest = batch.slice(first - self._at + own.num_rows)
        self._at = first + own.num_rows
        return normalised(own, self._schema)

    def _begin(self, number: int, first: int, size: int) -> None:
        # Opens a file at the row group that holds the row `first`.
        import pyarrow.parquet as pq

        path, rows = self._files[number]
        # By default whole column chunks are read, however large a row group is.
        file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
        if file.metadata.num_rows != rows:
            raise InputError(
                f"INPUT = {path}: has {file.metadata.num_rows} rows, but had {rows} "
                f"when the run began. Restore it, or begin anew."
            )
        groups = range(file.num_row_groups)
        sizes = [file.metadata.row_group(k).num_rows for k in groups]
        self._groups = [self._starts[number] + x for x in accumulate(sizes, initial=0)]
        group = bisect_right(self._groups, first) - 1
        self._file, self._at, self._rest = number, self._groups[group], None
        self._batches = file.iter_batches(
            size,
            row_groups=list(groups[group:]),
            columns=[x for x in file.schema_arrow.names if x in self._schema.names],
            use_threads=False,
        )

    def _may_jump(self, first: int) -> bool:
        # Whether `first` lies in a later row group, so that rows can be skipped.
        here, there = (bisect_right(self._groups, x) for x in (self._at, first))
        return there > here
