"""Exports a problem file in a process of its own, whose end frees the memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from eigenfit_export.loading.manifest_reader import newest_version
from eigenfit_serving.batch.processes import Process, quiet_environment
from eigenfit_serving.errors import InputError
from eigenfit_serving.problem_file.reading import read_problem

USED = ("serving_default", "fit_from_random")
"""Functions that `Fitter` calls."""
WEIGHTED = ("fit_weighted", "fit_weighted_from_random")
"""Functions that it calls for rows with weights of their own."""


def export_problem(
    problem: Path, folder: Path, weighted: bool, max_steps: int | None, threads: int
) -> None:
    """Exports a problem file.

    Args:
        problem: The problem file, which has been read without error.
        folder: Folder of the model; a model that is there already is kept.
        weighted: Whether rows may have weights of their own.
        max_steps: Step limit to allow; None for the method's default.
        threads: Threads of linear algebra libraries.

    Raises:
        InputError: If the export fails.
    """
    if newest_version(folder):
        return
    only = (*USED, *WEIGHTED) if weighted else USED
    with tempfile.TemporaryDirectory() as logs:
        process = Process(Path(logs, "log"), quiet_environment(threads, gpu=None))
        try:
            process.submit(_export, problem, folder, only, max_steps or 0).result()
        except Exception as error:
            words = " ".join(str(error).split()) or process.last_words()
            raise InputError(f"{problem}: cannot be exported: {words}") from None
        finally:
            process.kill()


def _export(problem: Path, folder: Path, only: Sequence[str], max_steps: int) -> None:
    import eigenfit_export

    content = read_problem(problem)
    solver = content.solver()
    eigenfit_export.export_solver(
        solver,
        folder,
        max_steps_limit=max(solver.method.default_max_steps, max_steps),
        warmup_batches=(),
        start=content.start.build(content.unknowns),
        only=only,
    )
