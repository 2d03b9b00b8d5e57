"""Models made of a problem file, in a process of its own that returns its memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eigenfit_export.manifest_reader import newest_version
from eigenfit_serving.batch.processes import Process, quiet_environment
from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file import ProblemFile, read_problem

USED = ("serving_default", "fit_from_random")
"""Functions that `Fitter` calls."""

Weights = Sequence[float] | None


def export_problem(
    problem: Path,
    folder: Path,
    weights: Sequence[Weights],
    max_steps: int | None,
    threads: int,
) -> list[Path]:
    """Exports a problem file.

    Args:
        problem: The problem file, which has been read without error.
        folder: Gets a model `0`, `1`, ... for each of the weights; those that are there
            already are kept.
        weights: Sets of weights `[m]`; None for those of the file.
        max_steps: That the models must allow; None for the default of the method.
        threads: Of TensorFlow.

    Returns:
        The folders of the models.

    Raises:
        InputError: If it fails.
    """
    wanted = {folder / str(k): own for k, own in enumerate(weights)}
    missing = {path: own for path, own in wanted.items() if not newest_version(path)}
    if missing:
        with tempfile.TemporaryDirectory() as logs:
            process = Process(Path(logs, "log"), quiet_environment(threads, gpu=None))
            try:
                process.submit(_export, problem, missing, max_steps or 0).result()
            except Exception as error:
                words = " ".join(str(error).split()) or process.last_words()
                raise InputError(f"{problem}: cannot be exported: {words}") from None
            finally:
                process.kill()
    return [path for path in map(newest_version, wanted) if path]


def _export(problem: Path, wanted: dict[Path, Weights], max_steps: int) -> None:
    import eigenfit_export

    for folder, weights in wanted.items():
        content = read_problem(problem)
        if weights is not None:
            set_weights(content, np.array(weights))
        solver = content.solver()
        eigenfit_export.export_solver(
            solver,
            folder,
            max_steps_limit=max(solver.method.default_max_steps, max_steps),
            warmup_batches=(),
            start=content.start.build(content.unknowns),
            only=USED,
        )


def set_weights(content: ProblemFile, weights: np.ndarray) -> None:
    """Replaces the weights of all observations of a problem.

    Args:
        content: Is changed.
        weights: `[m]`, in the order of its targets.
    """
    for term in content.terms:
        section = getattr(term.section, "observation", term.section)
        # Sections are frozen for everyone else.
        vars(section).update(weights=weights[term.part], sigma=None)
