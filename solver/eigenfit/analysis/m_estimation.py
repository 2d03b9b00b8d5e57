"""How robust losses count data, and how large the errors of these effectively are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.analysis.covariance import solved
from eigenfit.analysis.sensitivity import Sensitivity
from eigenfit.analysis.undetermined import Decomposition
from eigenfit.problem.problem import Problem
from eigenfit.problem.terms import Term


class Scores(NamedTuple):
    """Derivatives of half the loss by the weighted deviations, in NumPy float64."""

    first: np.ndarray  # [..., m + q], psi: the residual where the loss is linear
    second: np.ndarray  # [..., m + q], psi': 1 there


class Effective(NamedTuple):
    """What takes the place of weights and errors of 1 in a covariance."""

    roots: np.ndarray  # [..., *], factors of the rows of the Jacobian
    sizes: np.ndarray  # [..., *], standard deviations of the data of the rows


def scores(problem: Problem, r: tf.Tensor, t: tf.Tensor) -> Scores:
    """Computes psi and psi' of all data at a point.

    Args:
        problem: A problem with robust losses.
        r: `[..., p]`.
        t: `[..., m]`.
    """
    point = problem.evaluate(r, t)
    psi = problem.scores_at(point)
    met = point.residual == 0
    slope = tf.where(met, tf.ones_like(psi), psi / point.residual)
    second = problem.bends_at(point) * slope**2
    return Scores(psi.numpy().astype(np.float64), second.numpy().astype(np.float64))


def m_estimate(
    problem: Problem,
    score: Scores,
    found: Sensitivity,
    J: np.ndarray,
    held: np.ndarray,
    parts: Decomposition,
) -> tuple[np.ndarray, np.ndarray]:
    """Computes a root `[..., p, *]` of the covariance, and sizes of its columns.

    The arguments are those of `effective`. The root is that for data with errors of 1;
    the sizes `[..., 1, *]` are what it is to be multiplied by.
    """
    weighed = effective(problem, score, found, J, held, parts)
    J = J * weighed.roots[..., np.newaxis]
    if found.by_targets is None:
        half, _ = solved(found, J, held, parts, True)
        return half, (weighed.sizes * weighed.roots)[..., np.newaxis, :]
    number = found.by_targets.shape[-2]
    D = found.by_targets * weighed.roots[..., :number, np.newaxis]
    half, _ = solved(found._replace(by_targets=D), J, held, parts, True)
    return half, weighed.sizes[..., np.newaxis, :number]


def effective(
    problem: Problem,
    score: Scores,
    found: Sensitivity,
    J: np.ndarray,
    held: np.ndarray,
    parts: Decomposition,
) -> Effective:
    """Estimates what robust losses make of errors of the data.

    The covariance of an M-estimate is `H^-1 (J^T A J) H^-1` with `H = J^T B J`, where A
    and B are the means of `psi^2` and `psi'`: those of all data whose errors have one
    distribution, which are those of one loss with standard deviations, or else those
    of one observation. So data count by B, and have errors of the size
    `K sqrt(A) / B`. For h of n data that parameters take up, A is the sum over
    `n - h`, and `K = 1 + h / n var(psi') / B^2` (P. J. Huber & E. M. Ronchetti, Robust
    Statistics, 2nd ed. (2009), section 7.6). If all data are met, their errors are
    those given: 1 with standard deviations, else unknown.

    Args:
        problem: A problem with robust losses.
        score: Result of `scores`.
        found: Sensitivity of the problem with linear losses.
        J: Its Jacobian, `[..., *, p]`.
        held: `[..., p]` bool, parameters on their bounds.
        parts: Which directions the data determine.
    """
    roots, sizes = np.ones(J.shape[:-1]), np.ones(J.shape[:-1])
    groups = list(_groups(problem).values())
    live = [J[..., _rows(group), :].any(axis=-1) for group in groups]
    means = []
    for group, moves in zip(groups, live, strict=True):
        second = score.second[..., _rows(group)]
        number = np.maximum(moves.sum(axis=-1), 1)
        B = np.where(moves, second, 0.0).sum(axis=-1) / number
        more = np.where(moves, second - B[..., np.newaxis], 0.0)
        means.append((B, (more**2).sum(axis=-1) / number))
        roots[..., _rows(group)] = np.sqrt(np.maximum(B, 0.0))[..., np.newaxis]
    weighted = J * roots[..., np.newaxis]
    half, _ = solved(found._replace(by_targets=None), weighted, held, parts, True)
    leverage = np.sum(weighted * np.swapaxes(half, -1, -2), axis=-1)
    for group, (B, variance) in zip(groups, means, strict=True):
        rows = _rows(group)
        n = sum(_num_data(term) for term in group)
        taken = leverage[..., rows].sum(axis=-1)
        freedom = n - taken
        squares = (score.first[..., rows] ** 2).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            K = 1 + taken / n * variance / B**2
            size = K * np.sqrt(squares / freedom) / B
        met = 1.0 if group[0].observation.has_sigma else np.nan
        size = np.where(freedom > 1e-6 * n, size, met)
        sizes[..., rows] = np.where(B > 0, size, np.nan)[..., np.newaxis]
    return Effective(roots, sizes)


def _groups(problem: Problem) -> dict[object, list[Term]]:
    # Observations with a robust loss whose errors have one distribution.
    found: dict[object, list[Term]] = {}
    for k, term in enumerate(problem.observed):
        loss, common = term.observation.robust, term.observation.has_sigma
        if loss is not None:
            found.setdefault((loss, None if common else k), []).append(term)
    return found


def _rows(group: list[Term]) -> np.ndarray:
    return np.concatenate([np.arange(x.targets.start, x.targets.stop) for x in group])


def _num_data(term: Term) -> int:
    # Number of targets of an observation that can disagree with a model.
    own = term.observation
    number = term.targets.stop - term.targets.start
    return max(number - own.num_trivial(term.order) - own.num_free, 1)
