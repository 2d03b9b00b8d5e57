"""The covariance of fitted parameters, also for data without standard deviations."""

from __future__ import annotations

import numpy as np

from eigenfit.analysis.sensitivity import Sensitivity
from eigenfit.analysis.undetermined import Decomposition
from eigenfit.problem.problem import Problem
from eigenfit.tensors.graded import solve_graded


def solved(
    found: Sensitivity,
    J: np.ndarray,
    held: np.ndarray,
    parts: Decomposition,
    by_rows: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes a root `[..., p, *]` of the covariance, and chi-square `[...]`.

    Args:
        found: The residual and its derivatives at the solution.
        J: `[..., *, p]`, the Jacobian, finite.
        held: `[..., p]` bool, parameters held on their bounds.
        parts: Which directions the data determine.
        by_rows: Whether the root shall have a column for each row of J; if the residual
            depends on targets it has one for each datum anyway.
    """
    p = J.shape[-1]
    full = np.asarray(parts.seen.all(axis=-1))[..., np.newaxis, np.newaxis]
    # No change of basis if everything is determined: columns keep their meaning.
    kept = np.swapaxes(parts.directions, -1, -2) * parts.seen[..., np.newaxis, :]
    basis = np.where(full, np.eye(p), kept) / parts.scales[..., np.newaxis]
    basis = np.where(held[..., np.newaxis], 0.0, basis)
    basis = np.where((held[..., np.newaxis, :]) & full, 0.0, basis)
    if found.by_targets is None:
        if not by_rows:
            inverse, _ = solve_graded(J @ basis)
            return basis @ inverse, found.loss
        sides = np.zeros([*J.shape[:-1], J.shape[-2]]) - np.eye(J.shape[-2])
        inverse, rotated = solve_graded(J @ basis, sides)
        k = min(J.shape[-2:])
        return basis @ inverse[..., :k] @ -rotated[..., :k, :], found.loss
    sides = np.concatenate([_by_data(found), found.residual[..., np.newaxis]], axis=-1)
    sides = np.where(np.isfinite(sides), sides, 0.0)
    inverse, rotated = solve_graded(J @ basis, sides)
    k = min(J.shape[-2:])
    half = basis @ inverse[..., :k] @ -rotated[..., :k, :-1]
    # The residual e that the fit leaves has a covariance Q with the root `P D`, where P
    # projects on what no parameter reaches: chi-square is `e^T Q^+ e`, which for D = -1
    # is the loss.
    index = np.arange(J.shape[-2])[:, np.newaxis]
    rank = (inverse != 0).any(axis=-2).sum(axis=-1)[..., np.newaxis, np.newaxis]
    reached = index < rank
    U, s, _ = np.linalg.svd(np.where(reached, 0.0, rotated[..., :-1]), False)
    e = rotated[..., -1:]
    share = (np.swapaxes(U, -1, -2) @ np.where(reached, 0.0, e))[..., 0]
    # Compared with D itself: if nothing is free, all of s is rounding.
    most = np.abs(sides[..., :-1]).max(axis=(-2, -1), initial=0.0)[..., np.newaxis]
    free = s > 1e-8 * most
    share = np.where(free, share / np.where(free, s, 1.0), 0.0)
    squares = np.sum(share**2, axis=-1) + np.sum(
        np.where(reached, e, 0.0)[..., 0] ** 2, axis=-1
    )
    return half, np.where(np.isfinite(found.loss), squares, found.loss)


def _by_data(found: Sensitivity) -> np.ndarray:
    # The derivative of the residual by all data, [..., m + q, m + q]: by targets, from
    # `Sensitivity`, and by the means of priors.
    D = found.by_targets
    assert D is not None
    q = D.shape[-2] - D.shape[-1]
    own = np.zeros([*D.shape[:-1], q])
    own[..., D.shape[-1] :, :] = -np.eye(q)
    return np.concatenate([D, own], axis=-1)


def moved_directly(found: Sensitivity, columns: int) -> np.ndarray:
    """Computes how far data move the compared values at fixed parameters.

    A shift or a scale that follows targets does so: `[..., m + q, columns]`.
    """
    if found.by_targets is None:
        return np.zeros([found.residual.shape[-1], columns])
    return _by_data(found) + np.eye(columns)


def without_sigma(problem: Problem, rows: int) -> np.ndarray:
    """Returns which rows of the Jacobian need an estimated standard deviation.

    They are those of targets without one, or of all targets if all have one, but not
    those with a robust loss, whose errors are estimated apart: `[rows]` bool. Rows
    after targets and priors belong to pairs of levels that are targets.
    """
    result = np.ones(rows, bool)
    given = np.zeros(problem.num_targets, bool)
    for part, observation in zip(problem.parts, problem.observations, strict=True):
        given[part] = observation.has_sigma
    if not given.all():
        result[: problem.num_targets] = ~given
    for part, observation in zip(problem.parts, problem.observations, strict=True):
        if observation.robust is not None:
            result[part] = False
    result[problem.num_targets :][: problem.num_priors] = False
    return result


def common_size(
    found: Sensitivity, J: np.ndarray, half: np.ndarray, estimated: np.ndarray
) -> np.ndarray:
    """Estimates the common standard deviation `[...]` of some rows.

    It follows from their residual, and from how much of independent errors of size 1
    the fit would have left in them.

    Args:
        found: The residual and its derivatives at the solution.
        J: `[..., *, p]`, the Jacobian.
        half: The root of the covariance, with a column for each datum or row.
        estimated: `[*]` bool, which rows.
    """
    columns = half.shape[-1]
    left = J @ half
    if found.by_targets is None:
        left = left - np.eye(columns)
    else:
        left = left + np.nan_to_num(_by_data(found))
    freedom = np.sum(np.where(estimated[:, np.newaxis], left, 0.0) ** 2, axis=(-2, -1))
    number = found.residual.shape[-1]
    missed = np.where(estimated[:number], found.residual, 0.0)
    free = freedom > 1e-9
    square = np.sum(missed**2, axis=-1) / np.where(free, freedom, 1.0)
    return np.sqrt(np.where(free, square, np.nan))
