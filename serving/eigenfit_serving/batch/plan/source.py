"""The model of a run: an exported one, or a problem file that is exported for it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eigenfit_export.loading.manifest_reader import newest_version
from eigenfit_serving.batch.processes import Process, quiet_environment
from eigenfit_serving.batch.settings import ModelFacts, read_facts
from eigenfit_serving.batch.tables.reading import readable
from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file.reading import ProblemFile, files_of, read_problem

USED = ("serving_default", "fit_from_random")
"""Functions that `Fitter` calls."""
WEIGHTED = ("fit_weighted", "fit_weighted_from_random")
"""Functions that it calls for rows with weights of their own."""


@dataclass(frozen=True)
class Model:
    """An exported model, or a problem file that is to be exported."""

    path: Path  # as given
    problem: ProblemFile | None  # None for an exported model
    facts: ModelFacts | None  # None for a problem file
    digest: str  # SHA-256 of the manifest, or of problem and data files

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
            problem, digest = read_problem(path), hashlib.sha256()
            for file in files_of(path):
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            return Model(path, problem, None, digest.hexdigest())

    def check(self, tolerance: float | None, max_steps: int | None) -> None:
        """Checks settings of a run against the model.

        Raises:
            InputError: If the model cannot meet them.
        """
        known = self.problem.fit if self.problem else self.facts
        dtype = known.dtype if known else None
        with np.errstate(under="ignore"):
            if tolerance is not None and np.asarray(tolerance, dtype) == 0:
                raise InputError(
                    f"tolerance = {tolerance}: is zero in {dtype}, in which the model "
                    f"computes. Give a larger one."
                )
        limit = self.facts.max_steps_limit if self.facts else np.inf
        if max_steps is not None and max_steps > limit:
            raise InputError(
                f"max_steps = {max_steps}: the model makes at most {limit}. Give no "
                f"more, or the problem file in its place."
            )

    def exported(
        self, folder: Path, weighted: bool, max_steps: int | None, threads: int
    ) -> ModelFacts:
        """Returns the facts of the model, after exporting a problem file.

        That is done in a process of its own, whose end frees the memory. A model that
        is in the folder is kept. `weighted` is for rows with weights of their own;
        without a limit of steps that of the method is allowed.

        Raises:
            InputError: If the export fails.
        """
        if self.facts is not None:
            return self.facts
        if newest_version(folder):
            return read_facts(folder)
        problem, only = self.path.absolute(), (*USED, *WEIGHTED) if weighted else USED
        with tempfile.TemporaryDirectory() as logs:
            process = Process(Path(logs, "log"), quiet_environment(threads))
            try:
                process.submit(_export, problem, folder, only, max_steps or 0).result()
            except Exception as error:
                words = " ".join(str(error).split()) or repr(error)
                raise InputError(f"{problem}: cannot be exported: {words}") from None
            finally:
                process.kill()
        return read_facts(folder)


def _export(problem: Path, folder: Path, only: Sequence[str], max_steps: int) -> None:
    import eigenfit_export

    content = read_problem(problem)
    eigenfit_export.export_solver(
        solver := content.solver(),
        folder,
        max_steps_limit=max(solver.method.default_max_steps, max_steps),
        warmup_batches=(),
        start=content.start.build(content.unknowns),
        only=only,
    )
