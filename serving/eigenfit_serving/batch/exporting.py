"""A process that exports a problem file: `python -m eigenfit_serving.batch.exporting`.

The request comes as JSON on stdin; see `eigenfit_serving.batch.model.export_problem`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from eigenfit_serving.problem_file import ProblemFile, read_problem

USED = ("serving_default", "fit_from_random")
"""Functions that `Fitter` calls."""


def main() -> None:
    """Exports one model for each set of weights."""
    request = json.load(sys.stdin)
    for folder, weights in zip(request["folders"], request["weights"], strict=True):
        content = read_problem(request["problem"])
        if weights is not None:
            set_weights(content, np.array(weights))
        if not any(Path(folder).glob("[0-9]*")):
            import eigenfit_export

            solver = content.solver()
            limit = max(solver.method.default_max_steps, request["max_steps"])
            eigenfit_export.export_solver(
                solver,
                folder,
                max_steps_limit=limit,
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


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(" ".join(str(error).split()))
