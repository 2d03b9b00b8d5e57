"""A finished fit as plain arrays."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.fitting.verdicts import Agreement, degrees_of_freedom, family_text
from eigenfit_serving.problem_file.observations.levels import LevelsSection
from eigenfit_serving.problem_file.reading import ProblemFile
from eigenfit_serving.protocol.result_codes import SUCCESSES, Result

if TYPE_CHECKING:
    import eigenfit as ef

_MAX_NAMED = 6  # most outliers that are named

AS_SERVED = "as served"
"""Stands in for the method's name, which a served model does not report."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fit from `s` starts, in NumPy arrays; made by `run_fit`."""

    content: ProblemFile
    method: str  # as in the problem file, "auto" resolved; or AS_SERVED
    max_steps: int
    initial: np.ndarray  # [s, p]
    parameters: np.ndarray  # [s, p] the unknowns
    all_parameters: np.ndarray  # [s, P] fixed and tied ones included
    matrices: dict[str, np.ndarray]  # [s, n, n] by label of the block
    eigenvalues: np.ndarray  # [s, N] block after block
    values: np.ndarray  # [s, m] observed values, compared with the targets
    loss: np.ndarray  # [s]
    num_steps: np.ndarray  # [s] int
    result: np.ndarray  # [s] int, an ef.Result
    result_names: list[str]  # [s]
    result_texts: list[str]  # [s]
    seconds: float
    uncertainty: ef.Uncertainty | None  # at the best start; None for many unknowns
    undetermined: str | None  # combinations the data do not determine there
    distinct: ef.DistinctSolutions | None  # of all starts; None if not looked for
    start_text: str  # how starts were drawn; empty if they were given
    solution: ef.Solution  # for plots

    @property
    def best(self) -> int:
        """Index of the start with the smallest loss, a success among equals."""
        return best_of(self.loss, self.result)

    @property
    def success(self) -> bool:
        """Whether the best start converged or reached a minimum."""
        return Result(int(self.result[self.best])).is_success

    @property
    def converged(self) -> bool:
        """Whether the best start met the targets."""
        return self.result_names[self.best] == "converged"

    @property
    def family_dimension(self) -> int:
        """Dimension of the continuum that the best answer belongs to; 0 for none."""
        return _families(self.distinct, len(self.loss))[self.best]

    @property
    def levels(self) -> dict[str, np.ndarray]:
        """Levels `[s, n]` by label of the block."""
        matrices = self.content.matrices
        ends = np.cumsum([matrix.structure.order for matrix in matrices])
        parts = np.split(self.eigenvalues, ends[:-1], axis=-1)
        return {m.label: part for m, part in zip(matrices, parts, strict=True)}

    @property
    def agreement(self) -> Agreement | None:
        """Chi-square at the best start; None without `sigma` or without success.

        None with a robust loss too, which is no chi-square.
        """
        found, content = self.uncertainty, self.content
        if found is None or not content.has_sigma or not self.success:
            return None
        if content.is_robust:
            return None
        if self.converged and content.fit.tolerance is not None:
            return None  # The fit ended where the loss was small enough, not smallest.
        return Agreement(float(found.chi_square), int(found.degrees_of_freedom))

    @property
    def outliers_text(self) -> str:
        """Which data the robust losses count as wrong; empty if all are linear."""
        content = self.content
        if not content.is_robust or not np.isfinite(self.loss[self.best]):
            return ""
        deviations = np.abs(self.values[self.best] - content.targets)
        deviations *= content.weights**0.5
        names, number = [], 0
        for term in content.terms:
            section = getattr(term.section, "observation", term.section)
            if section.loss != "linear":
                most = 5.0 if section.sigma is not None else 5.0 * section.loss_scale
                own = zip(term.names, deviations[term.part], strict=True)
                names += [name for name, size in own if size > most]
                number += len(term.names)
        text = f"robust loss, {len(names)} of {number} data are outliers"
        shown = ", ".join(names[:_MAX_NAMED]) + ", ..." * (len(names) > _MAX_NAMED)
        return f"{text}: {shown}" if names else text

    @property
    def scatter_text(self) -> str:
        """How far data without standard deviations lie from a least-squares minimum."""
        found, content = self.uncertainty, self.content
        if found is None or content.has_sigma or content.priors:
            return ""
        size = float(found.scatter)
        if self.result_names[self.best] != "minimum" or not np.isfinite(size):
            return ""
        own = [term for term in content.terms if term.section.sigma is None]
        if len({_quantity(term.section) for term in own}) > 1:
            return ""  # Numbers of different quantities have no scatter in common.
        weights = np.concatenate([content.weights[term.part] for term in own])
        unit = "" if (weights == 1).all() else " of weight 1"
        if len(own) < len(content.terms):
            return f"scatter of data without sigma{unit} {size:.3g}"
        freedom = degrees_of_freedom(int(found.degrees_of_freedom))
        return f"scatter of data{unit} {size:.3g}, from {freedom}"


def _quantity(section: Any) -> str:
    # What an observation is a number of: the same for all in the unit of levels.
    section = getattr(section, "observation", section)  # of a free shift
    own = section.kind in ("frequencies", "mode-shapes", "mac")
    return section.kind if own else "levels"


def _start_text(content: ProblemFile, problem: ef.Problem) -> str:
    if content.start.parameters is not None:
        return ""
    where = content.start.describe(content.unknowns, problem)
    text = f"{where}; seed {content.fit.seed}"
    if "start" not in content.model_fields_set:
        text += " (there is no [start] in the file)"
    return text


def best_of(loss: np.ndarray, result: np.ndarray) -> int:
    """Returns the index of the smallest loss; NaN counts as the largest.

    Among losses that agree to six digits, that of a success comes first.

    Example:
        >>> best_of(np.array([2.0, 1.0, 1.0 + 1e-9]), np.array([6, 3, 6]))
        2
    """
    loss = np.where(np.isnan(loss), np.inf, loss)
    proper = np.isin(result, SUCCESSES) & (loss <= loss.min() * (1 + 1e-6))
    return int(np.lexsort([loss, ~proper])[0])


def run_fit(
    content: ProblemFile,
    solver: ef.Solver,
    *,
    record_every: int = 0,
    progress: Callable[[ef.Progress], None] | None = None,
    remote: Callable[..., ef.Solution] | None = None,
) -> Outcome:
    """Fits all starts of a problem file in one batch.

    Args:
        content: Problem file to fit.
        solver: Solver made by `content.solver()`.
        record_every: Steps between snapshots, as in `Solver.fit`.
        progress: Called between chunks, as in `Solver.fit`.
        remote: Called in place of `Solver.fit`, to fit elsewhere.

    Returns:
        The outcome, whether it is a success or not.
    """
    import eigenfit as ef
    from eigenfit.methods import name_of

    problem = solver.problem
    initial = content.initial_parameters(problem=problem)
    max_steps = content.fit.max_steps
    if max_steps is None:
        max_steps = solver.method.default_max_steps
    fit = remote or functools.partial(
        solver.fit, record_every=record_every, progress=progress
    )
    began = time.perf_counter()
    solution = fit(
        initial,
        content.targets,
        tolerance=content.fit.tolerance,
        max_steps=max_steps,
    )
    seconds = time.perf_counter() - began
    arrays = {key: np.asarray(getattr(solution, key)) for key in ARRAYS}
    matrix = solution.matrix
    built = matrix if isinstance(matrix, tuple) else (matrix,)
    labels = [entry.label for entry in content.matrices]
    results = [ef.Result(int(code)) for code in arrays["result"]]
    parameters = solution.parameters
    targets = np.broadcast_to(content.targets, [len(initial), len(content.targets)])
    targets = targets.astype(initial.dtype)
    uncertainty, undetermined = _determined(problem, content, arrays)
    distinct = _distinct(solver, content, initial, solution, uncertainty)
    families = _families(distinct, len(initial))
    texts = [
        " ".join(filter(None, [result.text, family_text(result.name, dimension)]))
        for result, dimension in zip(results, families, strict=True)
    ]
    return Outcome(
        content=content,
        method=AS_SERVED if remote else name_of(solver.method),
        max_steps=max_steps,
        initial=initial,
        **arrays,
        all_parameters=np.asarray(problem.expand(parameters)),
        matrices={k: np.asarray(A) for k, A in zip(labels, built, strict=True)},
        values=np.asarray(problem.values(parameters, targets)),
        result_names=[result.name for result in results],
        result_texts=texts,
        seconds=seconds,
        uncertainty=uncertainty,
        undetermined=undetermined,
        distinct=distinct,
        start_text=_start_text(content, problem),
        solution=solution,
    )


ARRAYS = ("parameters", "eigenvalues", "loss", "num_steps", "result")
_MAX_UNKNOWNS = 300  # more would take longer to examine than to fit


def _determined(
    problem: ef.Problem, content: ProblemFile, arrays: dict[str, np.ndarray]
) -> tuple[ef.Uncertainty | None, str | None]:
    """Returns uncertainty and undetermined combinations at the best start."""
    import eigenfit as ef
    from eigenfit.analysis.undetermined import listed

    x = arrays["parameters"][best_of(arrays["loss"], arrays["result"])]
    if len(x) > _MAX_UNKNOWNS or not np.isfinite(arrays["loss"]).any():
        return None, None
    targets = content.targets.astype(x.dtype)
    uncertainty = ef.uncertainty(problem, x, targets)
    return uncertainty, listed(uncertainty.undetermined()) or None


_MAX_COMPARISONS = 2e9  # most multiplications to spend on telling solutions apart


def _distinct(
    solver: ef.Solver,
    content: ProblemFile,
    initial: np.ndarray,
    solution: ef.Solution,
    uncertainty: ef.Uncertainty | None,
) -> ef.DistinctSolutions | None:
    """Finds the distinct solutions of several starts, or of one if it may be open."""
    import eigenfit as ef

    problem, number = solver.problem, len(initial)
    p = problem.num_parameters
    is_open = p > problem.num_data
    if uncertainty is not None:
        is_open = bool(uncertainty.num_undetermined)
    work = number**2 * p * (len(content.targets) + len(content.priors))
    if work > _MAX_COMPARISONS or not (number > 1 or is_open):
        return None
    found = ef.distinct_solutions(solver, solution, content.targets, starts=initial)
    # If no fit reached a solution, there is nothing to report.
    arrived = (Result.converged, Result.minimum, Result.stationary)
    return found if np.isin(found.result, arrived).any() else None


def _families(distinct: ef.DistinctSolutions | None, number: int) -> list[int]:
    """Returns the dimension of the continuum of each start's answer, 0 for none."""
    if distinct is None:
        return [0] * number
    # A start that led to no solution has the label -1.
    dimensions = np.append(distinct.family_dimension, 0)
    return dimensions[distinct.labels].tolist()


def draw(outcome: Outcome, path: Path) -> None:
    """Draws the convergence of a fit with history; needs matplotlib.

    Args:
        outcome: Result of `run_fit` with `record_every`.
        path: File to write; its suffix sets the format.
    """
    from eigenfit.plots import plot_convergence

    content = outcome.content
    indices, targets = _observed_levels(content)
    plot_convergence(
        outcome.solution,
        targets,
        indices=indices,
        tolerance=content.fit.tolerance,
        title=content.title,
        path=path,
    )


def _observed_levels(content: ProblemFile) -> tuple[list[int], list[float]]:
    # Levels with targets, by their index over all blocks, and these targets.
    indices: list[int] = []
    targets: list[float] = []
    first = 0
    for matrix in content.matrices:
        order = matrix.structure.order
        for term in content.terms:
            if term.matrix is matrix and isinstance(term.section, LevelsSection):
                own = first + term.section.positions(order)
                indices += own.tolist()
                targets += content.targets[term.part].tolist()
        first += order
    return indices, targets
