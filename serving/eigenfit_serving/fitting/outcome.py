"""A finished fit as plain arrays."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eigenfit_serving.problem_file.observations.levels import LevelsSection
from eigenfit_serving.problem_file.reading import ProblemFile
from eigenfit_serving.protocol.result_codes import Result

if TYPE_CHECKING:
    import eigenfit as ef
    from eigenfit.reports.phrases import Agreement
    from eigenfit.reports.record import Question, Record

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
    best: int  # index of the start with the smallest loss, a success among equals
    record: Record  # of the best start
    distinct: ef.DistinctSolutions | None  # of all starts; None if not looked for
    solution: ef.Solution  # for plots

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
    def uncertainty(self) -> ef.Uncertainty | None:
        """Errors at the best start; None for many unknowns."""
        return self.record.uncertainty

    @property
    def undetermined(self) -> str | None:
        """Combinations that the data do not determine at the best start."""
        from eigenfit.analysis.undetermined import listed

        return listed(self.record.undetermined) or None

    @property
    def agreement(self) -> Agreement | None:
        """Chi-square at the best start; None without `sigma` or without success."""
        return self.record.agreement


def _start_text(content: ProblemFile, problem: ef.Problem) -> str:
    if content.start.parameters is not None:
        return ""
    where = content.start.describe(content.unknowns, problem)
    text = f"{where}; seed {content.fit.seed}"
    if "start" not in content.model_fields_set:
        text += " (there is no [start] in the file)"
    return text


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
    from eigenfit.reports.phrases import family_text

    problem = solver.problem
    initial = content.initial_parameters(problem=problem)
    max_steps = content.fit.max_steps
    if max_steps is None:
        max_steps = solver.method.default_max_steps
    fit = remote or functools.partial(
        solver.fit, record_every=record_every, progress=progress
    )
    found = _fitted(content, solver, fit, initial, max_steps)
    matrix = found.matrix
    built = matrix if isinstance(matrix, tuple) else (matrix,)
    labels = [entry.label for entry in content.matrices]
    results = [ef.Result(int(code)) for code in np.asarray(found.result)]
    (best,) = found.best
    record = found.record(best)
    distinct = _distinct(solver, content, initial, found, record.uncertainty)
    families = _families(distinct, len(initial))
    texts = [
        " ".join(filter(None, [result.text, family_text(result.name, dimension)]))
        for result, dimension in zip(results, families, strict=True)
    ]
    method = AS_SERVED if remote else name_of(solver.method)
    question = _question(content, record, problem, method)
    return Outcome(
        content=content,
        method=method,
        max_steps=max_steps,
        initial=initial,
        **{key: np.asarray(getattr(found, key)) for key in ARRAYS},
        all_parameters=found.all_parameters,
        matrices={k: np.asarray(A) for k, A in zip(labels, built, strict=True)},
        values=found.calculated,
        result_names=[result.name for result in results],
        result_texts=texts,
        seconds=found.known().seconds,
        best=best,
        record=replace(record, question=question, family=families[best]),
        distinct=distinct,
        solution=found,
    )


def _fitted(
    content: ProblemFile,
    solver: ef.Solver,
    fit: Callable[..., ef.Solution],
    initial: np.ndarray,
    max_steps: int,
) -> ef.Fit:
    """Fits all starts, here or elsewhere."""
    from eigenfit.fits.fit import Fit
    from eigenfit.fits.known import Asked

    targets, tolerance = content.targets, content.fit.tolerance
    began = time.perf_counter()
    solution = fit(initial, targets, tolerance=tolerance, max_steps=max_steps)
    if isinstance(solution, Fit) and solution.asked is not None:
        return solution
    seconds = time.perf_counter() - began
    own = solver.problem, solver.method, solver.compile
    return Fit.of(solution, Asked(*own, initial, targets, tolerance, seconds))


def _question(
    content: ProblemFile, record: Record, problem: ef.Problem, method: str
) -> Question:
    """Returns what was asked in the words of the file."""
    from eigenfit.reports.questions import in_a_line

    counts = len(record.parameters), problem.num_parameters, len(content.targets)
    structures = [matrix.structure for matrix in content.matrices]
    kinds = [structure.kind for structure in structures]
    orders = [structure.order for structure in structures]
    return replace(
        record.question,
        title=content.title,
        problem=in_a_line(kinds, orders, counts),
        method=method,
        start=_start_text(content, problem),
        target_names=tuple(content.target_names),
    )


ARRAYS = ("parameters", "eigenvalues", "loss", "num_steps", "result")
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


_MIN_STEPS = 3  # fewer steps are not worth a picture


def draw(outcome: Outcome, path: Path) -> None:
    """Draws the picture that suits what was observed; needs matplotlib.

    That is the convergence where levels of one matrix without standard deviations are
    the targets, and there was a way to go.

    Args:
        outcome: Result of `run_fit`.
        path: File to write; its suffix sets the format.
    """
    from eigenfit.plots import picture_of

    asked = outcome.record.question
    exact = asked.positions is not None and not asked.has_sigma.any()
    far = outcome.record.num_steps >= _MIN_STEPS
    if exact and far and outcome.solution.history is not None:
        draw_convergence(outcome, path)
    else:
        picture_of(outcome.record).savefig(path)


def draw_convergence(outcome: Outcome, path: Path) -> None:
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
