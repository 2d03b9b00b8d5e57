"""Writes output files: parts, each atomically, which are joined at the end."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from eigenfit_serving.batch.tables.arrow import compute
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".pq", ".csv", ".arrow", ".feather", ".ipc")
"""Suffixes of single output files; any other name is a folder of Parquet files."""

_DICTIONARIES = ["text", "message", "worker", "steps", "result", "seconds"]
_STATISTICS = ["id", "row", "result"]
_COUNTS = b"eigenfit.counts"


class OutputError(InputError):
    """The output cannot be written; the run can be resumed."""


@contextlib.contextmanager
def whole_file(path: Path, draft: Path) -> Iterator[BinaryIO]:
    """Opens a file that gets its name once it is complete and synced to disk.

    Args:
        path: File to write; replaced if it exists.
        draft: Temporary name of the file, on the same disk.

    Raises:
        OutputError: If the file cannot be written.
    """
    with writable(path):
        try:
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
            _sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def write_part(table: pa.Table, counts: list[int], path: Path, drafts: Path) -> None:
    """Writes the Parquet file of a part.

    Args:
        table: Rows of the part.
        counts: Number of input rows by code, stored in the file's metadata.
        path: File to write; replaced if it exists.
        drafts: Folder on the same disk, for the incomplete file.

    Raises:
        OutputError: If the file cannot be written.
    """
    table = table.replace_schema_metadata({_COUNTS: json.dumps(counts)})
    with whole_file(path, drafts / f"{path.name}.{os.getpid()}") as file:
        _write_parquet(table, file)


def read_counts(path: Path) -> list[int]:
    """Reads the number of rows by code of a part; [] if its file is incomplete."""
    import pyarrow.parquet as pq

    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads(pq.read_metadata(path).metadata[_COUNTS])
    return []


def assemble(parts: Sequence[Path], schema: pa.Schema, path: Path, draft: Path) -> None:
    """Joins parts in one file, which is written atomically.

    Args:
        parts: Parquet files, in the order of their rows.
        schema: Schema of their rows.
        path: File to write; its suffix sets the format.
        draft: Temporary name of the file, on the same disk.

    Raises:
        OutputError: If the file cannot be written.
    """
    import pyarrow.parquet as pq

    tables = (pq.ParquetFile(part).read().cast(schema) for part in parts)
    with whole_file(path, draft) as file:
        _write(tables, schema, path.suffix.lower(), file)


def check_ids(kind: pa.DataType, path: Path, output: Path, is_file: bool) -> None:
    """Checks that the output can hold the ids.

    Args:
        kind: Type of the ids, as they are written.
        path: Path of the input, for messages.
        output: Path of the output.
        is_file: Whether that is a file, not a folder of Parquet files.

    Raises:
        InputError: If it cannot.
    """
    suffix = output.suffix.lower() if is_file else ".parquet"
    if _can_hold(kind, suffix):
        return
    format_, remedy = "Parquet, of which all parts of an output are made,", ""
    if _can_hold(kind, ".parquet"):
        format_ = f"a {suffix} file"
        remedy = ", or give an OUTPUT that ends in .parquet"
    raise InputError(
        f"INPUT = {path}: column id is {kind}, which {format_} cannot hold. Make the "
        f"ids numbers or texts{remedy}."
    )


def _can_hold(kind: pa.DataType, suffix: str) -> bool:
    # Whether a column of a type can be written to a file, and read from parts.
    import pyarrow as pa
    import pyarrow.parquet as pq

    if suffix == ".csv" and (
        pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)
    ):
        return False  # They can be written as long as they happen to be UTF-8.
    table = pa.table({"id": pa.nulls(1, kind)})
    part = io.BytesIO()
    try:
        _write_parquet(table, part)
        part.seek(0)
        read = pq.ParquetFile(part).read().cast(table.schema)
        _write([read], table.schema, suffix, io.BytesIO())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Turns file system errors in the block into one that names path and remedy.

    Raises:
        OutputError: If the block raises an OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = (
            "Give a shorter name."
            if error.errno == errno.ENAMETOOLONG
            else "Make room or give rights, and go on with --resume: nothing that is "
            "done is lost."
        )
        raise OutputError(
            f"OUTPUT = {path}: cannot be written ({error.strerror or error}). {remedy}"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a power failure."""
    if os.name == "nt":
        return  # Windows cannot open folders.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_parquet(table: pa.Table, file: Any) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file, **_options(table.schema))


def _options(schema: pa.Schema) -> dict[str, Any]:
    return {
        "compression": "snappy",
        # Other columns hardly repeat: encoding them would take as long as the fits.
        "use_dictionary": [x for x in _DICTIONARIES if x in schema.names],
        "write_statistics": [x for x in _STATISTICS if x in schema.names],
    }


def _write(
    tables: Iterable[pa.Table], schema: pa.Schema, suffix: str, file: Any
) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    if suffix in (".parquet", ".pq"):
        with pq.ParquetWriter(file, schema, **_options(schema)) as writer:
            for table in tables:
                writer.write_table(table)
        return
    # An Arrow file may not replace a dictionary, and each part has its own.
    kinds = [x.value_type if pa.types.is_dictionary(x) else x for x in schema.types]
    make: Any = pa.ipc.new_file
    if suffix == ".csv":
        make = pyarrow.csv.CSVWriter
        kinds = [pa.string() if pa.types.is_list(x) else x for x in kinds]
    plain = pa.schema(list(zip(schema.names, kinds, strict=True)))
    with make(file, plain) as writer:
        for table in tables:
            if suffix == ".csv":
                columns = [_as_text(column) for column in table.columns]
                table = pa.table(columns, names=schema.names)
            writer.write_table(table.cast(plain))


def _as_text(column: pa.ChunkedArray) -> Any:
    # Lists become text such as "[1.0, 2.0]".
    import pyarrow as pa

    if not pa.types.is_list(column.type):
        return column
    texts = column.cast(pa.list_(pa.string()))
    joined = compute().binary_join(texts, ", ")
    return compute().binary_join_element_wise("[", joined, "]", "")
