"""Input files: found, looked at, and read some rows at a time.

Parquet (.parquet, .pq), CSV (.csv, .tsv) and Arrow IPC, files or streams (.arrow,
.feather, .ipc, .arrows). A folder is the files below it, all of one format, in the
order of their paths; names that begin with "." or "_" are left out.

Memory does not grow with files or row groups; but a compressed record batch of Arrow
is read as a whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigenfit_serving.batch.columns import COLUMNS
from eigenfit_serving.batch.csv_text import CSVFile
from eigenfit_serving.batch.parts import Part
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


_BUFFER = 2**20
"""Bytes of a column that are read at a time."""


class AbstractFile(ABC):
    """A file of rows in blocks.

    Args:
        path: Of it.

    Attributes:
        goes_on: Whether `batches` goes on after the part, to the end of the file.
    """

    goes_on = True

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Reads names and types of columns."""

    @abstractmethod
    def blocks(self) -> Iterator[tuple[int, int]]:
        """Lists where blocks begin and how many rows they have."""

    @abstractmethod
    def batches(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Reads from the block of a part on, in batches of at most `size` rows."""


class ParquetFile(AbstractFile):
    """A Parquet file; its blocks are row groups."""

    def schema(self) -> pa.Schema:
        """Reads names and types of columns."""
        import pyarrow.parquet as pq

        return pq.read_schema(self.path)

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Lists row groups and their rows."""
        import pyarrow.parquet as pq

        metadata = pq.read_metadata(self.path)
        for k in range(metadata.num_row_groups):
            yield k, metadata.row_group(k).num_rows

    def batches(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Reads from the row group of a part on."""
        import pyarrow.parquet as pq

        # By default whole column chunks are read, however large a row group is.
        with pq.ParquetFile(self.path, buffer_size=_BUFFER, pre_buffer=False) as file:
            names = [x for x in file.schema_arrow.names if x in COLUMNS]
            groups = list(range(part.block, file.num_row_groups))
            yield from file.iter_batches(
                size, row_groups=groups, columns=names, use_threads=False
            )


class ArrowFile(AbstractFile):
    """An Arrow IPC file or stream; its blocks are record batches."""

    def schema(self) -> pa.Schema:
        """Reads names and types of columns."""
        return self._reader().schema

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Lists record batches and their rows."""
        # One column tells; the others may have to be decompressed.
        for k, batch in enumerate(self._from(0, ("id",))):
            yield k, batch.num_rows

    def batches(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Reads from the record batch of a part on."""
        for batch in self._from(part.block, COLUMNS):
            for k in range(0, batch.num_rows, size):
                yield batch.slice(k, size)

    def _reader(self, fields: Sequence[int] = ()) -> Any:
        import pyarrow as pa

        source = pa.memory_map(str(self.path))
        options = pa.ipc.IpcReadOptions(included_fields=list(fields))
        try:
            return pa.ipc.open_file(source, options=options)
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source, options=options)

    def _from(self, first: int, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        found = self.schema().names
        reader = self._reader([k for k, name in enumerate(found) if name in names])
        if hasattr(reader, "get_batch"):
            for k in range(first, reader.num_record_batches):
                yield reader.get_batch(k)
            return
        for k, batch in enumerate(reader):
            if k >= first:
                yield batch


_KINDS: dict[str, Any] = {
    **dict.fromkeys((".parquet", ".pq"), ParquetFile),
    **dict.fromkeys((".csv", ".tsv"), CSVFile),
    **dict.fromkeys((".arrow", ".feather", ".ipc", ".arrows"), ArrowFile),
}
SUFFIXES = tuple(_KINDS)


def open_file(path: Path) -> Any:
    """Gives the reader of a file, chosen by its suffix."""
    return _KINDS[path.suffix.lower()](path)


def find_files(
    path: Path, argument: str = "INPUT", leave_out: Collection[Path] = ()
) -> list[Path]:
    """Lists the files of an input.

    Args:
        path: Of a file or folder.
        argument: Named in messages.
        leave_out: Files and folders in that folder that do not belong to it.

    Raises:
        InputError: If there are none, or of several formats.
    """
    known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not path.exists():
        raise InputError(
            f"{argument} = {path}: is not there. Give a file that ends in {known}, or "
            f"a folder of such files."
        )
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"{argument} = {path}: the name must end in {known}, which says the "
                f"format."
            )
        return [path]
    others = {other.resolve() for other in leave_out}
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and not any(x[0] in "._" for x in file.relative_to(path).parts)
        and file.is_file()
        and others.isdisjoint([real := file.resolve(), *real.parents])
    )
    if not found:
        raise InputError(f"{argument} = {path}: holds no file that ends in {known}.")
    kinds = {_KINDS[file.suffix.lower()] for file in found}
    if len(kinds) > 1:
        raise InputError(
            f"{argument} = {path}: holds files of several formats "
            f"({found[0].name}, ...). Give a folder of one."
        )
    return found


class Reader:
    """Reads parts, going on in a file where the last part of it ended."""

    def __init__(self) -> None:
        self._at: tuple[str, int] | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._rest: pa.RecordBatch | None = None

    def read(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        """Reads the rows of a part in batches of at most `size`.

        Raises:
            InputError: If a file cannot be read, or has fewer rows than before.
        """
        for piece in part.pieces:
            yield from self._read(piece, size)

    def _read(self, part: Part, size: int) -> Iterator[pa.RecordBatch]:
        path = Path(part.file)
        left = part.rows
        try:
            skip = self._seek(part, size)
            while left:
                batch = self._rest or next(self._batches, None)
                self._rest = None
                if batch is None:
                    break
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                own = batch.slice(skip, left)
                if skip + own.num_rows < batch.num_rows:
                    self._rest = batch.slice(skip + own.num_rows)
                skip = 0
                left -= own.num_rows
                yield own
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from error
        if left:
            raise InputError(
                f"INPUT = {path}: has {left} rows fewer than when the run began. "
                f"Restore it, or begin anew."
            )
        self._at = (part.file, part.first + part.rows)

    def _seek(self, part: Part, size: int) -> int:
        # Rows to be skipped from there.
        went_on = self._at == (part.file, part.first)
        self._at = None
        file = open_file(Path(part.file))
        if went_on and file.goes_on:
            return 0
        self._batches, self._rest = file.batches(part, size), None
        return part.skip


def unreadable(path: Path, error: Exception) -> InputError:
    """Says that a file cannot be read."""
    if isinstance(error, InputError):
        return error
    reason = getattr(error, "strerror", None) or error
    remedy = "Give another path, or rights" if isinstance(error, OSError) else ""
    return InputError(
        f"INPUT = {path}: cannot be read ({str(reason).rstrip('.')}). "
        f"{remedy or 'Write it again'}."
    )
