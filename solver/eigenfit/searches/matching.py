"""Which level belongs to which target: optimal assignment between compiled fits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from eigenfit.fitting.solver import Solver
from eigenfit.methods import AbstractMethod
from eigenfit.observations import ClusterMeans, mac
from eigenfit.problem.arguments import parameters_of
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.results import Result, Solution
from eigenfit.structures import AbstractStructure
from eigenfit.tensors.checks import positive_int
from eigenfit.tensors.types import TensorLike


class MatchedFit(NamedTuple):
    """What `fit_matched` found."""

    solution: Solution
    indices: np.ndarray  # [m] the level of each target
    solver: Solver  # solver for the last assignment
    num_fits: int
    settled: bool  # whether the last fit ended and confirmed its assignment


def match_levels(
    eigenvalues: TensorLike,
    targets: TensorLike,
    weights: TensorLike | None = None,
    overlaps: TensorLike | None = None,
) -> np.ndarray:
    """Assigns each target a level of its own so that the sum of squares is smallest.

    Args:
        eigenvalues: `[n]`, all levels.
        targets: `[m]`, at most n of them, in any order.
        weights: `[m]`, weights of the squared deviations; 1 by default.
        overlaps: `[m, n]`, 0 to 1, such as `mac(measured, computed)`. If given, they
            decide, and deviations only break ties between them.

    Returns:
        `[m]` int, the level of each target.

    Raises:
        ValueError: If there are more targets than levels, or a shape does not fit.

    Example:
        >>> match_levels([0.0, 1.0, 5.0, 6.0], [5.8, 0.9]).tolist()
        [3, 1]
    """
    w, t = np.asarray(eigenvalues, float), np.asarray(targets, float)
    if w.ndim != 1:
        raise ValueError(f"`eigenvalues` must be a vector, got {list(w.shape)}.")
    if t.ndim != 1 or len(t) > len(w):
        raise ValueError(
            f"`targets` must be a vector of at most {len(w)} numbers, as there are "
            f"levels, got shape {list(t.shape)}."
        )
    if not (np.isfinite(w).all() and np.isfinite(t).all()):
        raise ValueError("`eigenvalues` and `targets` must be finite.")
    largest = max(np.abs(t).max(initial=0), np.abs(w).max(initial=0)) or 1.0
    cost = ((t[:, None] - w) / largest) ** 2  # scaled, so that no square overflows
    if weights is not None:
        own = _weights(weights, len(t))
        cost *= (own / (np.abs(own).max(initial=0) or 1.0))[:, None]
    if overlaps is not None:
        overlaps = np.asarray(overlaps, float)
        if overlaps.shape != cost.shape:
            raise ValueError(
                f"`overlaps` must have shape {list(cost.shape)}, a row for each "
                f"target, got {list(overlaps.shape)}."
            )
        cost = 1 - overlaps + 1e-6 * cost / (cost.max(initial=0) or 1.0)
    return linear_sum_assignment(cost)[1]


def fit_matched(
    structure: AbstractStructure,
    initial: TensorLike,
    targets: TensorLike,
    *,
    weights: TensorLike | None = None,
    shapes: TensorLike | None = None,
    components: TensorLike | None = None,
    parameters: Parameters | None = None,
    method: AbstractMethod | str = "auto",
    max_fits: int = 10,
    **fit: Any,
) -> MatchedFit:
    """Fits levels whose indices are not known, by fitting and assigning in turn.

    Targets are assigned to the levels at the start, the parameters are fitted with
    that assignment, targets are assigned anew, and so on until nothing changes.
    Measured mode shapes follow their modes through crossings: targets then go to the
    levels whose shapes overlap most. A fit whose levels would have to cross ends where
    they meet; a small `max_steps` makes targets be assigned anew before that.

    Args:
        structure: Structure of the matrix.
        initial: `[p]`, the start.
        targets: `[m]`, at most as many as levels, in any order.
        weights: `[m]`, weights of the squared deviations; 1 by default.
        shapes: `[m, c]`, the measured shape of each target, to match by overlap.
        components: `[c]`, rows of the matrix where shapes were measured; all by
            default.
        parameters: Names, bounds, ties and the like.
        method: Method of the solver.
        max_fits: Largest number of fits.
        **fit: Further arguments of `Solver.fit`, such as `tolerance`.

    Returns:
        The last fit and its assignment.

    Raises:
        ValueError: If there are more targets than levels, or a shape does not fit.

    Example:
        The levels of a diagonal matrix that are nearest to 4.2 and 1.9:

        >>> from eigenfit import Affine
        >>> found = fit_matched(
        ...     Affine([np.eye(4)], offset=np.diag([1.0, 2.0, 3.0, 4.0])),
        ...     [0.0], [4.2, 1.9],
        ... )
        >>> found.indices.tolist(), found.settled
        ([3, 1], True)
    """
    positive_int("max_fits", max_fits)
    t = np.asarray(targets, np.float64)
    scale = None if weights is None else _weights(weights, t.size)
    names = Problem([structure], parameters=parameters)
    r = np.asarray(parameters_of(names, "initial", initial), np.float64)
    if r.ndim != 1:
        raise ValueError(
            f"`initial` must be one start [{names.num_parameters}], got shape "
            f"{list(r.shape)}."
        )

    def assigned(r: np.ndarray) -> np.ndarray:
        overlaps = None
        if shapes is not None:
            X = names.modes(r)[0].numpy()
            rows = slice(None) if components is None else np.array(components)
            overlaps = mac(shapes, X[rows].T)
        return match_levels(names.eigenvalues(r).numpy(), t, scale, overlaps)

    indices = assigned(r)
    solvers: dict[tuple[int, ...], Solver] = {}
    solution, settled, number = None, False, 0
    key: tuple[int, ...] = ()
    while number < max_fits and not settled:
        key = tuple(int(k) for k in indices)
        if key not in solvers:
            # Means of one level each, since their targets need not ascend.
            single = ClusterMeans([[k] for k in key], scale)
            problem = Problem(structure, single, parameters=parameters)
            solvers[key] = Solver(problem, method)
        solution = solvers[key].fit(r, t, **fit)
        number += 1
        r = solution.parameters.numpy()
        found = assigned(r)
        same = bool((found == indices).all())
        settled = same and int(solution.result) != Result.max_steps
        if not same and number < max_fits:
            indices = found
    assert solution is not None
    return MatchedFit(solution, indices, solvers[key], number, settled)


def _weights(weights: Any, number: int) -> np.ndarray:
    array = np.asarray(weights, np.float64)
    if array.shape not in ((), (number,)):
        raise ValueError(
            f"`weights` must be a number or have shape [{number}], one for each "
            f"target, got {list(array.shape)}."
        )
    return np.broadcast_to(array, [number])
