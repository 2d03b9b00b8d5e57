"""The input table of a run: its files, their columns, and their rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eigenfit_serving.batch.plan.run_folder import Places
from eigenfit_serving.batch.tables.columns import check_columns, rows_schema
from eigenfit_serving.batch.tables.reading import (
    CONVERTED,
    Groups,
    convert,
    groups_of,
    readable,
)
from eigenfit_serving.errors import InputError

SUFFIXES = (".parquet", ".pq", *CONVERTED)


@dataclass(frozen=True)
class Table:
    """The files of an input, whose columns have been checked."""

    path: Path  # as given
    files: tuple[Path, ...]  # in the order of their rows, all of one format
    schema: pa.Schema  # of all rows; see `tables.columns.rows_schema`

    @staticmethod
    def of(path: Path, *, weights: bool, leave_out: Collection[Path] = ()) -> Table:
        """Finds files and checks their columns; see `find_files`, `check_columns`.

        Raises:
            InputError: If there are no files, one cannot be read, or columns are
                missing, of a wrong type, or of different types in different files.
        """
        with readable(path):
            files = tuple(file.absolute() for file in find_files(path, leave_out))
        id_type, names = None, set[str]()
        for file in files:
            with readable(file):
                kind = CONVERTED.get(file.suffix.lower())
                schema = kind(file).schema if kind else pq.read_schema(file)
            own = check_columns(schema, file, weights=weights)
            names.update(schema.names)
            id_type = id_type or own
            if own != id_type:
                raise InputError(
                    f"INPUT = {file}: column id is {own}, but {id_type} in "
                    f"{files[0].name}. Write all files alike."
                )
        return Table(path, files, rows_schema(names, id_type))

    @property
    def id_type(self) -> pa.DataType:
        """The type of the ids."""
        return self.schema.field("id").type

    def agreement(self) -> list[list[Any]]:
        """Returns path, size and time of change of each file."""
        found = ((file, file.stat()) for file in self.files)
        return [[str(file), x.st_size, x.st_mtime_ns] for file, x in found]

    def rows(
        self, places: Places, limit: int | None, say: Callable[[str], None]
    ) -> tuple[Groups, ...]:
        """Lists Parquet files of the rows, after converting those of other formats.

        At least `limit` rows are converted. `say` is called with warnings.

        Raises:
            InputError: If a file cannot be read, or the converted one not written.
        """
        if self.files[0].suffix.lower() not in CONVERTED:
            return tuple(map(groups_of, self.files))
        if not places.rows.exists():
            limit = limit or sys.maxsize
            quoted = convert(self.files, self.schema, places.rows, places.drafts, limit)
            if quoted:
                say(
                    f"INPUT = {self.path}: {quoted:,} lines are inside of fields that "
                    f"are in quotes. If rows are missing, a quote is not closed."
                )
        return (groups_of(places.rows),)


def find_files(path: Path, leave_out: Collection[Path] = ()) -> list[Path]:
    """Lists the files of an input.

    Formats are Parquet (.parquet, .pq), CSV (.csv, .tsv) and Arrow IPC, files or
    streams (.arrow, .feather, .ipc, .arrows). A folder stands for the files below it,
    all of one format, sorted by path; names that begin with "." or "_" are skipped, and
    what is in `leave_out`.

    Raises:
        InputError: If there are no files, or files of several formats.
    """
    known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
    if not path.exists():
        raise InputError(
            f"INPUT = {path}: is not there. Give a file that ends in {known}, or a "
            f"folder of such files."
        )
    if not path.is_dir():
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"INPUT = {path}: the name must end in {known}, which says the format."
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
        raise InputError(f"INPUT = {path}: holds no file that ends in {known}.")
    if len({CONVERTED.get(file.suffix.lower()) for file in found}) > 1:
        raise InputError(
            f"INPUT = {path}: holds files of several formats ({found[0].name}, ...). "
            f"Give a folder of one."
        )
    return found
