"""The inputs of a run: a model or a problem file, and a table."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.batch.model import ModelFacts, read_facts
from eigenfit_serving.batch.plan.exporting import export_problem
from eigenfit_serving.batch.plan.places import Places
from eigenfit_serving.batch.tables.columns import check_columns, rows_schema
from eigenfit_serving.batch.tables.converting import CONVERTED, convert, readable
from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file.reading import ProblemFile, read_problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Model:
    """An exported model, or a problem file that is to be exported.

    Attributes:
        path: Its path, as given.
        problem: The problem file; None for an exported model.
        facts: Facts of an exported model; None for a problem file.
        digest: SHA-256 of the manifest, or of problem and data files.
    """

    path: Path
    problem: ProblemFile | None
    facts: ModelFacts | None
    digest: str

    @staticmethod
    def of(path: Path) -> Model:
        """Reads a problem file, or the manifest of a model.

        Raises:
            InputError: If the path is neither, or cannot be read.
        """
        with readable(path, "MODEL_OR_PROBLEM"):
            if path.is_dir():
                facts = read_facts(path)
                return Model(path, None, facts, facts.digest)
            if path.suffix.lower() != ".toml" and path.exists():
                raise InputError(
                    f"MODEL_OR_PROBLEM = {path}: is neither the folder of an exported "
                    f"model nor a problem file (.toml)."
                )
            return Model(path, read_problem(path), None, _digest(path))

    def check(self, tolerance: float | None, max_steps: int | None) -> None:
        """Checks settings of a run against the model.

        Raises:
            InputError: If the model cannot meet them.
        """
        dtype = self.facts.dtype if self.facts else None
        if self.problem is not None:
            dtype = self.problem.fit.dtype
        with np.errstate(under="ignore"):
            if tolerance is not None and np.asarray(tolerance, dtype) == 0:
                raise InputError(
                    f"tolerance = {tolerance}: is zero in {dtype}, in which the model "
                    f"computes. Give a larger one."
                )
        limit = self.facts.max_steps_limit if self.facts else None
        if limit is not None and max_steps is not None and max_steps > limit:
            raise InputError(
                f"max_steps = {max_steps}: the model makes at most {limit}. Give no "
                f"more, or the problem file in its place."
            )

    def exported(
        self, folder: Path, weighted: bool, max_steps: int | None, threads: int
    ) -> ModelFacts:
        """Returns the facts of the model, after exporting a problem file.

        Args:
            folder: Folder for the model of a problem file.
            weighted: Whether rows may have weights of their own.
            max_steps: Step limit that the model of a problem file must allow.
            threads: Number of threads of the export.
        """
        if self.facts is not None:
            return self.facts
        export_problem(self.path.absolute(), folder, weighted, max_steps, threads)
        return read_facts(folder)


@dataclass(frozen=True)
class Table:
    """The files of an input, whose columns have been checked.

    Attributes:
        path: Its path, as given.
        files: Files in the order of their rows, all of one format.
        schema: Schema of all rows; see
            `eigenfit_serving.batch.tables.columns.rows_schema`.
    """

    path: Path
    files: tuple[Path, ...]
    schema: pa.Schema

    @staticmethod
    def of(path: Path, *, weights: bool, leave_out: Collection[Path] = ()) -> Table:
        """Finds files and checks their columns.

        Args:
            path: Path of a file or folder.
            weights: Whether rows may have weights of their own.
            leave_out: Files and folders in that folder to ignore.

        Raises:
            InputError: If there are no files, one cannot be read, or columns are
                missing, of a wrong type, or of different types in different files.
        """
        with readable(path):
            found = find_files(path, leave_out)
        files = tuple(file.absolute() for file in found)
        id_type, names = None, set[str]()
        for file in files:
            with readable(file):
                schema = _schema_of(file)
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
        found = []
        for file in self.files:
            status = file.stat()
            found.append([str(file), status.st_size, status.st_mtime_ns])
        return found

    def rows(
        self, places: Places, limit: int | None, say: Callable[[str], None]
    ) -> tuple[tuple[str, int], ...]:
        """Lists Parquet files of the rows, with the number of rows in each.

        Args:
            places: Where files of other formats are converted to.
            limit: Number of rows to convert, at least; all if None.
            say: Called with warnings for the user.

        Raises:
            InputError: If a file cannot be read, or the converted one not written.
        """
        import pyarrow.parquet as pq

        files = self.files
        if files[0].suffix.lower() in CONVERTED:
            if not places.rows.exists():
                draft = places.drafts / places.rows.name
                quoted = convert(files, self.schema, places.rows, draft, limit)
                if quoted:
                    say(
                        f"INPUT = {self.path}: {quoted:,} lines are inside of fields "
                        f"that are in quotes. If rows are missing, a quote is not "
                        f"closed."
                    )
            files = (places.rows,)
        result = []
        for file in files:
            with readable(file):
                result.append((str(file), pq.read_metadata(file).num_rows))
        return tuple(result)


def find_files(path: Path, leave_out: Collection[Path] = ()) -> list[Path]:
    """Lists the files of an input.

    Formats are Parquet (.parquet, .pq), CSV (.csv, .tsv) and Arrow IPC, files or
    streams (.arrow, .feather, .ipc, .arrows). A folder stands for the files below it,
    all of one format, sorted by path; names that begin with "." or "_" are skipped.

    Args:
        path: Path of a file or folder.
        leave_out: Files and folders in that folder to ignore.

    Raises:
        InputError: If there are no files, or files of several formats.
    """
    suffixes = (*_PARQUET, *CONVERTED)
    known = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
    if not path.exists():
        raise InputError(
            f"INPUT = {path}: is not there. Give a file that ends in {known}, or a "
            f"folder of such files."
        )
    if not path.is_dir():
        if path.suffix.lower() not in suffixes:
            raise InputError(
                f"INPUT = {path}: the name must end in {known}, which says the format."
            )
        return [path]
    others = {other.resolve() for other in leave_out}
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in suffixes
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


def _schema_of(path: Path) -> pa.Schema:
    import pyarrow.parquet as pq

    kind = CONVERTED.get(path.suffix.lower())
    return kind(path).schema if kind else pq.read_schema(path)


def _digest(path: Path) -> str:
    # Covers a problem file that has been read without error, and the data files that
    # it names.
    content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    found = hashlib.sha256()
    for file in [path, *(path.parent / name for name in sorted(_data_files(content)))]:
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def _data_files(content: Any) -> set[str]:
    # Files of tables `{file = "K.npy", ...}`, at any depth.
    if isinstance(content, list):
        return set().union(*map(_data_files, content))
    if not isinstance(content, dict):
        return set()
    own = content.get("file")
    found = {own} if isinstance(own, str) else set()
    return found.union(*map(_data_files, content.values()))
