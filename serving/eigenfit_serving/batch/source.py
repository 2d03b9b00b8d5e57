"""What a run is given: a model or a problem file, and a table."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.batch.columns import check_columns
from eigenfit_serving.batch.model import ModelFacts, export_problem, read_facts
from eigenfit_serving.batch.parts import Part, joined, parts_of
from eigenfit_serving.batch.reading import Reader, find_files, open_file, unreadable
from eigenfit_serving.batch.values import distinct_weights
from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file import ProblemFile, read_problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WEIGHTS = 64
"""Sets of weights, for each of which a model is exported."""

_SCAN = 65536


@dataclass(frozen=True)
class Model:
    """A model that is there, or a problem of which one is to be made.

    Attributes:
        path: As it was given.
        problem: The problem file; None for an exported model.
        facts: Of an exported model.
        digest: Of what it is.
    """

    path: Path
    problem: ProblemFile | None
    facts: ModelFacts | None
    digest: str

    @staticmethod
    def of(path: Path) -> Model:
        """Reads a problem file, or the manifest of a model.

        Raises:
            InputError: If it is neither, or cannot be read.
        """
        try:
            return Model._of(path)
        except OSError as error:
            raise InputError(
                f"MODEL_OR_PROBLEM = {path}: cannot be read "
                f"({error.strerror or error}). Give another path, or rights."
            ) from error

    @staticmethod
    def _of(path: Path) -> Model:
        if path.is_dir():
            facts = read_facts(path)
            return Model(path, None, facts, facts.digest)
        if path.suffix.lower() != ".toml" and path.exists():
            raise InputError(
                f"MODEL_OR_PROBLEM = {path}: is neither the folder of an exported "
                f"model nor a problem file (.toml)."
            )
        problem = read_problem(path)
        return Model(path, problem, None, _digest(path))

    def check(self, tolerance: float | None, max_steps: int | None) -> None:
        """Checks settings of a run against the model.

        Raises:
            InputError: If it cannot have them.
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
        self,
        folder: Path,
        weights: list[tuple[float, ...]],
        max_steps: int | None,
        threads: int,
    ) -> tuple[ModelFacts, list[Path]]:
        """Gives the model for each set of weights, exported where it is not there.

        Args:
            folder: For models made of a problem.
            weights: Beside those of the problem.
            max_steps: That a model made of a problem must allow.
            threads: Of TensorFlow, for the export.
        """
        if self.facts is not None:
            return self.facts, [self.facts.folder]
        sets = [list(x) for x in weights]
        found = export_problem(self.path.absolute(), folder, sets, max_steps, threads)
        return read_facts(found[0]), found


@dataclass(frozen=True)
class Table:
    """The files of an input, whose columns are right.

    Attributes:
        path: As it was given.
        files: In the order of their rows.
        id_type: Of the ids.
        has_weights: Whether rows may have weights of their own.
    """

    path: Path
    files: tuple[Path, ...]
    id_type: pa.DataType
    has_weights: bool

    @staticmethod
    def of(path: Path, *, weights: bool, leave_out: Collection[Path] = ()) -> Table:
        """Finds files and checks their columns.

        Args:
            path: Of a file or folder.
            weights: Whether rows may have weights of their own.
            leave_out: Files and folders in that folder that are no input.

        Raises:
            InputError: If there are none, one cannot be read, or columns are missing,
                of a wrong type, or of several.
        """
        try:
            found = find_files(path, leave_out=leave_out)
        except OSError as error:
            raise unreadable(path, error) from error
        files = tuple(file.absolute() for file in found)
        id_type, has_weights = None, False
        for file in files:
            try:
                schema = open_file(file).schema()
            except (OSError, ValueError) as error:
                raise unreadable(file, error) from error
            own = check_columns(schema, file, weights=weights)
            has_weights |= "weights" in schema.names
            if id_type is None:
                id_type = own
            elif own != id_type:
                raise InputError(
                    f"INPUT = {file}: column id is {own}, but {id_type} in "
                    f"{files[0].name}. Write all files alike."
                )
        return Table(path, files, id_type, has_weights)

    def agreement(self) -> list[list[Any]]:
        """Gives what tells that a file is still the same."""
        found = []
        for file in self.files:
            status = file.stat()
            found.append([str(file), status.st_size, status.st_mtime_ns])
        return found

    def blocks(self) -> list[list[tuple[int, int]]]:
        """Lists the blocks of each file; see `AbstractFile.blocks`.

        Raises:
            InputError: If a file cannot be read.
        """
        result = []
        for file in self.files:
            try:
                result.append(list(open_file(file).blocks()))
            except (OSError, ValueError) as error:
                raise unreadable(file, error) from error
        return result

    def parts(
        self, blocks: list[list[tuple[int, int]]], rows: int, end: int
    ) -> list[Part]:
        """Divides the input.

        Args:
            blocks: Of each file.
            rows: Of a part.
            end: Number of the row before which the work ends.
        """
        result: list[Part] = []
        first = 0
        for file, own in zip(self.files, blocks, strict=True):
            result += parts_of(file, own, rows, first, end)
            first += sum(count for _, count in own)
        return joined(result, rows)

    def weights(self, parts: list[Part], m: int) -> list[tuple[float, ...]]:
        """Lists the sets of weights of all rows.

        Args:
            parts: All rows.
            m: Number of targets.

        Raises:
            InputError: If there are too many.
        """
        found: set[tuple[float, ...]] = set()
        for batch in self._batches(parts):
            found |= distinct_weights(batch, m)
            if len(found) > MOST_WEIGHTS:
                raise InputError(
                    f"INPUT = {self.path}: column weights has more than {MOST_WEIGHTS} "
                    f"different sets, for each of which a model is exported. Scale "
                    f"problems instead, or group them in several runs."
                )
        return sorted(found)

    def _batches(self, parts: list[Part]) -> Iterator[pa.RecordBatch]:
        reader = Reader()
        for part in parts:
            for batch in reader.read(part, _SCAN):
                if "weights" in batch.schema.names:
                    yield batch


def _digest(path: Path) -> str:
    # Of a problem file that has been read without error, and of the data files that it
    # names.
    content = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    found = hashlib.sha256()
    for file in [path, *(path.parent / name for name in sorted(_data_files(content)))]:
        found.update(_digest_of_file(file))
    return found.hexdigest()


def _data_files(content: Any) -> set[str]:
    # Tables `{file = "K.npy", ...}`, wherever they are.
    if isinstance(content, list):
        return set().union(*map(_data_files, content))
    if not isinstance(content, dict):
        return set()
    own = content.get("file")
    found = {own} if isinstance(own, str) else set()
    return found.union(*map(_data_files, content.values()))


def _digest_of_file(path: Path) -> bytes:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            found.update(chunk)
    return found.digest()
