"""Writes output files: parts, each atomically, which are joined at the end."""

from __future__ import annotations

import contextlib
import errno
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq

from eigenfit_export import versions
from eigenfit_serving.errors import InputError

SUFFIXES = (".parquet", ".pq", ".csv", ".arrow", ".feather", ".ipc")
"""Suffixes of single output files; any other name is a folder of Parquet files."""

_DICTIONARIES = {"text", "message", "worker", "steps", "result", "seconds"}
"""Other columns hardly repeat: encoding them would take as long as the fits."""
_STATISTICS = {"id", "row", "result"}
_COUNTS = b"eigenfit.counts"


class OutputError(InputError):
    """The output cannot be written; the run can be resumed."""


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


@contextlib.contextmanager
def whole_file(path: Path, drafts: Path) -> Iterator[BinaryIO]:
    """Opens a file that replaces `path` when it is complete; see `versions.whole_file`.

    Raises:
        OutputError: If the file cannot be written.
    """
    with writable(path), versions.whole_file(path, drafts) as file:
        yield file


def write_part(table: pa.Table, counts: list[int], path: Path, drafts: Path) -> None:
    """Writes the Parquet file of a part, like `whole_file`.

    Its metadata hold `counts`, the number of input rows by code.
    """
    schema = table.schema.with_metadata({_COUNTS: json.dumps(counts)})
    with whole_file(path, drafts) as file:
        _write([table], schema, ".parquet", file)


def read_counts(path: Path) -> list[int]:
    """Reads the number of rows by code of a part; [] if its file is incomplete."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return json.loads(pq.read_metadata(path).metadata[_COUNTS])
    return []


def assemble(
    parts: Sequence[Path], schema: pa.Schema, path: Path, drafts: Path
) -> None:
    """Joins the Parquet files of parts, in their order, in one like `whole_file`.

    The suffix of `path` sets the format.
    """
    tables = (pq.ParquetFile(part).read().cast(schema) for part in parts)
    with whole_file(path, drafts) as file:
        _write(tables, schema, path.suffix.lower(), file)


def check_ids(kind: pa.DataType, path: Path, suffix: str) -> None:
    """Checks that an output of a suffix, joined from parts, can hold ids of a type.

    Raises:
        InputError: If it cannot; names `path`, the input.
    """
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
    is_bytes = pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)
    if suffix == ".csv" and is_bytes:
        return False  # They can be written as long as they happen to be UTF-8.
    table = pa.table({"id": pa.nulls(1, kind)})
    part = io.BytesIO()
    try:
        _write([table], table.schema, ".parquet", part)
        part.seek(0)
        read = pq.ParquetFile(part).read().cast(table.schema)
        _write([read], table.schema, suffix, io.BytesIO())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


def _write(
    tables: Iterable[pa.Table], schema: pa.Schema, suffix: str, file: Any
) -> None:
    if suffix in (".parquet", ".pq"):
        options: dict[str, Any] = {
            "use_dictionary": [x for x in schema.names if x in _DICTIONARIES],
            "write_statistics": [x for x in schema.names if x in _STATISTICS],
        }
        with pq.ParquetWriter(file, schema, **options) as writer:
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
    if not pa.types.is_list(column.type):
        return column
    compute: Any = pyarrow.compute  # Its functions exist at run time only.
    joined = compute.binary_join(column.cast(pa.list_(pa.string())), ", ")
    return compute.binary_join_element_wise("[", joined, "]", "")
