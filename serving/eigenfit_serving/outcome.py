"""A finished fit as plain arrays, and the result files made of it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.problem_file import ProblemFile

if TYPE_CHECKING:
    import eigenfit as ef

METHOD_NAMES = {
    "Adam": "adam",
    "Alternating": "alternating",
    "ClusterNewton": "cluster-newton",
    "GaussNewton": "gauss-newton",
    "IsospectralProjection": "isospectral-projection",
    "LBFGS": "lbfgs",
    "LevenbergMarquardt": "levenberg-marquardt",
    "LiftAndProject": "lift-and-project",
    "LoewnerNewton": "loewner-newton",
    "Newton": "newton",
}


@dataclass(frozen=True)
class Outcome:
    """What a fit of `s` starts gave, in NumPy; made by `run_fit`."""

    problem: ProblemFile
    method: str  # as in the problem file, "auto" resolved
    max_steps: int
    initial: np.ndarray  # [s, p]
    parameters: np.ndarray  # [s, p]
    matrix: np.ndarray  # [s, n, n]
    eigenvalues: np.ndarray  # [s, n]
    loss: np.ndarray  # [s]
    num_steps: np.ndarray  # [s] int
    result: np.ndarray  # [s] int, an ef.Result
    result_names: list[str]  # [s]
    result_texts: list[str]  # [s]
    seconds: float
    solution: ef.Solution  # for plots

    @property
    def best(self) -> int:
        """Index of the start with the smallest loss."""
        return int(np.argmin(np.where(np.isnan(self.loss), np.inf, self.loss)))

    @property
    def converged(self) -> bool:
        """Whether the best start converged."""
        return self.result_names[self.best] == "converged"


def run_fit(
    problem: ProblemFile,
    solver: ef.Solver,
    *,
    record_every: int = 0,
    progress: Callable[[ef.Progress], None] | None = None,
) -> Outcome:
    """Fits all starts of a problem file in one batch.

    Args:
        problem: What to fit.
        solver: Made by `problem.solver()`.
        record_every: Steps between snapshots, as in `Solver.fit`.
        progress: Called between chunks, as in `Solver.fit`.

    Returns:
        The outcome, whether it converged or not.
    """
    import eigenfit as ef

    initial = problem.initial_parameters()
    max_steps = problem.fit.max_steps
    if max_steps is None:
        max_steps = solver.method.default_max_steps
    began = time.perf_counter()
    solution = solver.fit(
        initial,
        problem.targets,
        tolerance=problem.fit.tolerance,
        max_steps=max_steps,
        record_every=record_every,
        progress=progress,
    )
    arrays = {key: np.asarray(getattr(solution, key)) for key in _ARRAYS}
    results = [ef.Result(int(code)) for code in arrays["result"]]
    kind = type(solver.method).__name__
    return Outcome(
        problem=problem,
        method=str(METHOD_NAMES.get(kind, kind)),
        max_steps=max_steps,
        initial=initial,
        **arrays,
        result_names=[result.name for result in results],
        result_texts=[result.text for result in results],
        seconds=time.perf_counter() - began,
        solution=solution,
    )


_ARRAYS = ("parameters", "matrix", "eigenvalues", "loss", "num_steps", "result")


def as_document(outcome: Outcome) -> dict[str, Any]:
    """Arranges an outcome for `result.json`: nested dicts, lists and numbers only."""
    observation = outcome.problem.observation
    weights = observation.weights
    return {
        "schema": 1,
        "title": outcome.problem.title,
        "targets": outcome.problem.targets.tolist(),
        "observation": {
            "kind": observation.kind,
            "indices": observation.indices,
            "weights": None if weights is None else weights.tolist(),
        },
        "converged": outcome.converged,
        "best": outcome.best,
        "solutions": [
            {
                "initial": outcome.initial[start].tolist(),
                "parameters": outcome.parameters[start].tolist(),
                "matrix": outcome.matrix[start].tolist(),
                "eigenvalues": outcome.eigenvalues[start].tolist(),
                "loss": outcome.loss[start].item(),
                "num_steps": outcome.num_steps[start].item(),
                "result": outcome.result_names[start],
                "text": outcome.result_texts[start],
            }
            for start in range(len(outcome.loss))
        ],
        "seconds": round(outcome.seconds, 3),
        "settings": settings_of(outcome),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


_PACKAGES = ("eigenfit", "tensorflow", "numpy")


def settings_of(outcome: Outcome) -> dict[str, Any]:
    """The settings that were used, defaults and "auto" filled in."""
    fit = outcome.problem.fit
    structure, start = outcome.problem.structure, outcome.problem.start
    options = getattr(fit, outcome.method.replace("-", "_"), None)
    random = start.parameters is None
    return {
        "structure": {
            "kind": structure.kind,
            "order": structure.order,
            "num_parameters": structure.num_parameters,
        },
        "start": {"kind": "uniform", "low": start.low, "high": start.high}
        if random
        else {"kind": "given"},
        "method": outcome.method,
        "method_options": options.model_dump() if options else {},
        "tolerance": fit.tolerance,
        "max_steps": outcome.max_steps,
        "starts": len(outcome.loss),
        "seed": fit.seed if random else None,
        "dtype": fit.dtype,
    }


def write_json(outcome: Outcome, path: Path) -> None:
    """Writes `result.json`: strict JSON, with null for NaN and infinity."""
    text = json.dumps(
        _without_nan(as_document(outcome)),
        allow_nan=False,
        ensure_ascii=False,
        indent=1,
    )
    path.write_text(text + "\n", encoding="utf-8")


def write_npz(outcome: Outcome, path: Path) -> None:
    """Writes the arrays of the outcome, `[s, ...]`, and the rest as JSON in `meta`."""
    document = as_document(outcome)
    del document["solutions"]
    with path.open("wb") as file:
        np.savez(
            file,
            targets=outcome.problem.targets,
            initial=outcome.initial,
            best=outcome.best,
            result_name=np.array(outcome.result_names),
            meta=json.dumps(document),
            **{key: getattr(outcome, key) for key in _ARRAYS},
        )


WRITERS = {".json": write_json, ".npz": write_npz}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
