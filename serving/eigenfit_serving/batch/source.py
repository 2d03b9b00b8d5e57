"""What a run is given: a model or a problem file, and a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigenfit_serving.batch.columns import check_columns
from eigenfit_serving.batch.model import ModelFacts, export_problem, read_facts
from eigenfit_serving.batch.parts import Part, parts_of
from eigenfit_serving.batch.reading import Reader, find_files, open_file, unreadable
from eigenfit_serving.batch.values import distinct_weights
from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file import ProblemFile, read_problem

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
            InputError: If it is neither.
        """
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

    def exported(
        self, folder: Path, weights: list[tuple[float, ...]], threads: int
    ) -> tuple[ModelFacts, list[Path]]:
        """Gives the model for each set of weights, exported where it is not there.

        Args:
            folder: For models made of a problem.
            weights: Beside those of the problem.
            threads: Of TensorFlow, for the export.
        """
        if self.facts is not None:
            return self.facts, [self.facts.folder]
        sets = [list(x) for x in weights]
        found = export_problem(self.path.absolute(), folder, sets, threads)
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
    def of(path: Path, *, weights: bool) -> Table:
        """Finds files and checks their columns.

        Args:
            path: Of a file or folder.
            weights: Whether rows may have weights of their own.

        Raises:
            InputError: If there are none, one cannot be read, or columns are missing,
                of a wrong type, or of several.
        """
        files = tuple(file.absolute() for file in find_files(path))
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
        return result

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
    return hashlib.sha256(path.read_bytes()).hexdigest()
