"""The distinct solutions that a batch of fits of the same targets found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from eigenfit.fitting.solver import Solver
from eigenfit.problem.arguments import parameters_of, targets_of
from eigenfit.problem.problem import Problem
from eigenfit.results import SUCCESSES, Result, Solution
from eigenfit.searches.distinct import Freedom, clusters, column_norms, freedom_of
from eigenfit.searches.refinement import Refinement
from eigenfit.tensors.types import TensorLike

Symmetries = Callable[[np.ndarray], Any] | Literal["auto", False] | None

_SAME_LOSS = 1e-4
"""Relative difference of residuals within one continuum."""


class DistinctSolutions(NamedTuple):
    """The s distinct solutions of k fits, in NumPy."""

    parameters: np.ndarray  # [s, p] canonical, best first
    eigenvalues: np.ndarray  # [s, N], ascending
    loss: np.ndarray  # [s]
    result: np.ndarray  # [s] a Result
    counts: np.ndarray  # [s] members that led there
    family_dimension: np.ndarray  # [s] of the continuum it stands for; 0: isolated
    copies: np.ndarray  # [s] number that differ by signs only, itself included
    labels: np.ndarray  # [k] the row of each member, -1 for none


def distinct_solutions(
    solver: Solver,
    solution: Solution,
    targets: TensorLike,
    *,
    starts: TensorLike | None = None,
    rtol: float = 1e-4,
    symmetries: Symmetries = "auto",
) -> DistinctSolutions:
    """Groups fits of the same targets by where they ended.

    See `eigenfit.multistart` for when two end points are the same solution, and for
    the order of solutions.

    Args:
        solver: The solver that made the fits.
        solution: Solution of k members, `[k, ...]`.
        targets: `[m]`, the targets of all members.
        starts: `[k, p]`, where they began; a continuum is represented by the member
            nearest to its start, or by the smallest one if starts are not given.
        rtol: Relative distance up to which solutions are the same.
        symmetries: As for `eigenfit.multistart`.

    Returns:
        The distinct solutions; empty if no member has a finite loss.

    Raises:
        ValueError: If a shape does not fit, or `symmetries` or a declared period
            changes the spectrum.

    Example:
        >>> from eigenfit import Additive
        >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
        >>> fits = solver.fit([[1.0, 3.0], [1.1, 3.2], [3.0, 1.0]], [1.0, 4.0])
        >>> distinct_solutions(solver, fits, [1.0, 4.0]).counts
        array([2, 1])
    """
    problem = solver.problem
    target = np.asarray(targets_of(problem, targets))
    codes = np.asarray(solution.result)
    if codes.ndim != 1 or target.ndim != 1:
        raise ValueError(
            f"`solution` must be of one batch [k] of fits of one vector of targets, "
            f"got shapes {list(codes.shape)} and {list(target.shape)}."
        )
    loss = np.asarray(solution.loss)
    r = np.asarray(solution.parameters)
    member, proper = _counted(problem, solution)
    if not len(member):
        return _nothing(solution)
    codes = codes[member]
    met = codes == Result.converged
    close = Refinement(problem, target, r[member])
    x, levels, residual = close.polish(r[member])
    order = np.lexsort([residual, ~met])
    member, codes, met = member[order], codes[order], met[order]
    x, levels, residual = x[order], levels[order], residual[order]
    points = close.points(x, met)
    freedom = freedom_of(problem, _scales(points.jacobian))
    if symmetries is False:
        freedom = freedom._replace(generators=freedom.generators[:0])
    images = _canonical(solver, freedom, symmetries, close, (x, levels, residual))
    if (images != x).any():
        points = close.points(images, met)
    label, leaders = clusters(points, freedom, rtol)
    if not proper:
        leaders = leaders[:1]
        label = np.where(label == 0, 0, -1)
    chosen = points._replace(
        parameters=images[leaders],
        jacobian=points.jacobian[leaders],
        residual=residual[leaders],
        met=met[leaders],
    )
    away = images if starts is None else x - np.asarray(starts, np.float64)[member]
    away = np.linalg.norm(away * column_norms(points.jacobian).max(axis=0), axis=1)
    label, leaders, dimension = _joined(
        label, leaders, close.family_dimensions(chosen), met, residual, away
    )
    counts = np.bincount(label[label >= 0], minlength=len(leaders))
    rows = _ordered(images[leaders], residual[leaders], met[leaders], counts, freedom)
    place = np.full(len(rows) + 1, -1)
    place[rows] = np.arange(len(rows))
    labels = np.full(len(loss), -1)
    labels[member] = place[label]
    leaders = leaders[rows]
    final = np.minimum(loss[member[leaders]], (residual[leaders] * close.unit) ** 2)
    return DistinctSolutions(
        parameters=images[leaders],
        eigenvalues=levels[leaders],
        loss=final.astype(loss.dtype),
        result=codes[leaders],
        counts=counts[rows],
        family_dimension=dimension[rows],
        copies=freedom.num_copies(images[leaders]),
        labels=labels,
    )


def _counted(problem: Problem, solution: Solution) -> tuple[np.ndarray, bool]:
    # Members whose end points are solutions, or if there is none all usable ones; and
    # whether there is one.
    codes = np.asarray(solution.result)
    usable = np.isfinite(np.asarray(solution.loss))
    usable &= np.isfinite(np.asarray(solution.parameters)).all(axis=1)
    proper = usable & np.isin(codes, SUCCESSES)
    if not problem.is_least_squares:
        # For least squares such a point is a saddle.
        proper |= usable & (codes == Result.stationary)
    return np.flatnonzero(proper if proper.any() else usable), bool(proper.any())


def describe(
    result: np.ndarray, family_dimension: np.ndarray, copies: np.ndarray
) -> list[str]:
    """Describes solutions in words.

    Args:
        result: `[s]`, codes of `Result`.
        family_dimension: `[s]`, dimension of the continuum of each; 0 if isolated.
        copies: `[s]`, number of solutions that differ by signs only.

    Example:
        >>> describe(np.array([0]), np.array([2]), np.array([1]))
        ['targets met; one of a continuum of 2 dimensions']
    """
    texts = []
    for code, dimension, number in zip(result, family_dimension, copies, strict=True):
        text = _WORDS[Result(int(code))]
        if dimension:
            many = "s" if dimension > 1 else ""
            text += f"; one of a continuum of {dimension} dimension{many}"
        elif number > 1:
            text += f"; {number} copies by signs"
        texts.append(text)
    return texts


_WORDS = {
    Result.converged: "targets met",
    Result.minimum: "least-squares minimum",
    Result.stationary: "stationary point that misses the targets",
    Result.max_steps: "where a fit ended at its limit of steps",
    Result.stalled: "where a fit stalled",
    Result.nonfinite: "where a fit left the domain",
    Result.invalid_input: "input that was not fitted",
}


def _scales(J: np.ndarray) -> np.ndarray:
    columns = column_norms(J).max(axis=0, initial=0)
    return np.where(columns > 0, columns, 1.0)


def _joined(
    label: np.ndarray,
    leaders: np.ndarray,
    dimension: np.ndarray,
    met: np.ndarray,
    residual: np.ndarray,
    away: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Groups of one continuum become one, led by the member that went least far. All
    # points of a continuum have the same loss.
    kinds: dict[tuple[int, int], int] = {}
    losses: list[float] = []
    new = np.empty(len(leaders), int)
    rows: list[int] = []
    for i, leader in enumerate(leaders):
        own, level = float(residual[leader]), -1
        if not met[leader]:
            alike = [k for k, x in enumerate(losses) if abs(own - x) <= _SAME_LOSS * x]
            level = alike[0] if alike else len(losses)
            losses += [] if alike else [own]
        key = (int(dimension[i]), level)
        if key[0] and key in kinds:
            new[i] = kinds[key]
            continue
        new[i] = len(rows)
        kinds[key] = new[i]
        rows.append(i)
    label = np.where(label >= 0, new[label], -1)
    chosen = leaders[rows].copy()
    for i, row in enumerate(rows):
        if dimension[row]:
            own = np.flatnonzero(label == i)
            chosen[i] = own[np.argmin(away[own])]
    return label, chosen, dimension[rows]


def _ordered(
    images: np.ndarray,
    residual: np.ndarray,
    met: np.ndarray,
    counts: np.ndarray,
    freedom: Freedom,
) -> np.ndarray:
    # By loss, where all that meet the targets are equal; then by counts, then by
    # parameters, rounded so that noise does not decide.
    by_loss = np.lexsort([residual, ~met])
    rank, previous = np.zeros(len(images), int), None
    for place, i in enumerate(by_loss):
        if previous is not None:
            both = met[i] and met[previous]
            alike = met[i] == met[previous]
            alike &= residual[i] <= residual[previous] * (1 + 1e-6)
            rank[i] = rank[previous] if both or alike else place
        previous = i
    scaled = images.astype(np.float64) * freedom.scale
    size = 1e-4 * np.abs(scaled).max(initial=0)
    rounded = np.round(scaled / size) if size > 0 else scaled
    return np.lexsort([*rounded.T[::-1], -counts, rank])


def _canonical(
    solver: Solver,
    freedom: Freedom,
    symmetries: Symmetries,
    close: Refinement,
    found: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    # One parameter vector for all copies of each solution, [k, p]; `found` are their
    # parameters, levels and residual norms.
    x, levels, residual = found
    images = freedom.canonical(x)
    if solver.problem.has_modes and (images != x).any():
        moved = np.linalg.norm(close.linearized(images)[0], axis=-1)
        images = np.where(_differ(moved, residual, close)[:, np.newaxis], x, images)
    if np.isfinite(freedom.periods).any():
        _check_spectrum(solver, images, levels, "`period` must be that of all levels")
    if callable(symmetries):
        images = _given(solver.problem, symmetries(images.copy()), images)
        _check_spectrum(solver, images, levels, "`symmetries` must not change levels")
        _check_loss(solver.problem, images, residual, close)
    return images


def _check_loss(
    problem: Problem, images: np.ndarray, before: np.ndarray, close: Refinement
) -> None:
    # A prior, a bound or a mode shape may tell points apart that have the same levels.
    found = np.linalg.norm(close.linearized(images)[0], axis=-1)
    outside = ~problem.inside(images).numpy()
    for k in np.flatnonzero(outside):
        raise ValueError(
            f"`symmetries` must not leave the bounds, but it gives "
            f"{images[k].tolist()}. Return other points, or give no bounds."
        )
    for k in np.flatnonzero(_differ(found, before, close)):
        losses = [float(x[k] * close.unit) ** 2 for x in (found, before)]
        raise ValueError(
            f"`symmetries` must not change the loss, but it gives "
            f"{images[k].tolist()}, where it is {losses[0]:.4g} instead of "
            f"{losses[1]:.4g}. Priors and mode shapes may tell points with the same "
            f"levels apart."
        )


def _differ(found: np.ndarray, before: np.ndarray, close: Refinement) -> np.ndarray:
    # Which residual norms are not the same, [k].
    allowed = np.sqrt(np.finfo(before.dtype).eps) * close.size + 1e-4 * before
    return (np.abs(found - before) > allowed) & np.isfinite(before)


def _check_spectrum(
    solver: Solver, images: np.ndarray, levels: np.ndarray, what: str
) -> None:
    moved = np.abs(solver.eigenvalues(images).numpy() - levels).max(axis=1, initial=0)
    allowed = np.sqrt(np.finfo(levels.dtype).eps) * np.abs(levels).max(initial=0)
    if (moved > allowed).any():
        raise ValueError(
            f"{what}, but it moves one by {moved.max():.3g}, where the largest is "
            f"{np.abs(levels).max():.3g}. Parameters must be those of a matrix with "
            f"the same levels."
        )


def _given(problem: Problem, value: Any, images: np.ndarray) -> np.ndarray:
    array = np.asarray(parameters_of(problem, "symmetries", value))
    if array.shape != images.shape:
        raise ValueError(
            f"`symmetries` must give shape {list(images.shape)}, a row of parameters "
            f"for each that it gets, got {list(array.shape)}."
        )
    return array


def _nothing(solution: Solution) -> DistinctSolutions:
    r, w = np.asarray(solution.parameters), np.asarray(solution.eigenvalues)
    none = np.zeros(0, int)
    labels = np.full(len(r), -1)
    loss = np.asarray(solution.loss)[:0]
    return DistinctSolutions(r[:0], w[:0], loss, none, none, none, none, labels)
