"""Brings successful fits nearer to their solutions, to tell these apart.

Where a fit ended below its tolerance must not make two solutions of one: in a flat
valley, as two solutions make that lie close together, fits end far from their solution.
"""

from __future__ import annotations

import numpy as np

from eigenfit_serving.batch.choosing import (
    CONVERGED,
    NEAR,
    RTOL,
    Chosen,
    distinct,
    is_success,
    pairs_within,
)
from eigenfit_serving.batch.fitting import Fits, Fitter, Members

_STEPS, _MORE_STEPS = 20, 1000
"""Of every fit, and of those that are near another but do not meet it."""

_SLACK = 1e-6
"""Relative rise of the loss between two fits that is taken for rounding."""


def all_distinct(
    fitter: Fitter, members: Members, fits: Fits, starts: int
) -> tuple[Fits, Chosen]:
    """Finds the distinct solutions of rows.

    Two fits that are near each other have the same solution if they meet when they go
    on, or, where they come no nearer to the end, if the loss half-way between them is
    not above both of theirs.

    Args:
        fitter: Has made the fits.
        members: Of them, `b * starts`.
        fits: Are changed.
        starts: Of each row.

    Returns:
        The fits, nearer to their solutions, and which are kept of each row.
    """
    finished = np.zeros(len(fits.loss), bool)
    everything = np.flatnonzero(is_success(fits.result))
    _go_on(fitter, members, fits, finished, everything, _STEPS)
    scales = np.array(fitter.facts.scales or 1.0)
    unclear = np.unique(_unclear(fits, finished, starts, scales))
    unclear = unclear[~finished[unclear]]
    _go_on(fitter, members, fits, finished, unclear, _MORE_STEPS)
    same = _unclear(fits, finished, starts, scales)
    one, two = same
    if one.size:
        between = _loss_between(fitter, members, fits, one, two)
        higher = np.maximum(fits.loss[one], fits.loss[two])
        joined = between <= (1 + _SLACK) * higher
        same = one[joined], two[joined]
    by_row = Fits(*(x.reshape(-1, starts, *x.shape[1:]) for x in fits))
    chosen = distinct(
        by_row.parameters * scales,
        by_row.loss,
        by_row.result,
        same,
        finished.reshape(-1, starts),
    )
    return fits, chosen


def _unclear(
    fits: Fits, finished: np.ndarray, starts: int, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # Pairs of fits that may have the same solution: those that are at theirs do not.
    parameters = fits.parameters * scales
    parameters = parameters.reshape(-1, starts, parameters.shape[1])
    result = fits.result.reshape(-1, starts)
    row, one, two = pairs_within(parameters, result, NEAR, RTOL)
    one, two = row * starts + one, row * starts + two
    open_ = ~(finished[one] & finished[two])
    return one[open_], two[open_]


def _go_on(
    fitter: Fitter,
    members: Members,
    fits: Fits,
    finished: np.ndarray,
    index: np.ndarray,
    steps: int,
) -> None:
    # With those of an index, as far as rounding lets them.
    if not index.size:
        return
    numbers, own = np.finfo(fits.loss.dtype), members.tolerance[index]
    met = np.where(own > 0, own, fits.loss[index])
    limit = min(steps, fitter.facts.max_steps_limit)
    finer = members.take(index)._replace(
        initial=fits.parameters[index],
        has_initial=np.ones(len(index), bool),
        tolerance=np.maximum(met * numbers.eps, numbers.tiny),
        max_steps=np.full(len(index), limit, np.int32),
    )
    new = fitter.fit(finer)
    finished[index] = new.result == CONVERGED
    better = new.loss < fits.loss[index]
    index = index[better]
    fits.parameters[index] = new.parameters[better]
    fits.eigenvalues[index] = new.eigenvalues[better]
    fits.loss[index] = new.loss[better]


def _loss_between(
    fitter: Fitter, members: Members, fits: Fits, one: np.ndarray, two: np.ndarray
) -> np.ndarray:
    middle = (fits.parameters[one] + fits.parameters[two]) / 2
    there = members.take(one)._replace(
        initial=middle,
        has_initial=np.ones(len(one), bool),
        max_steps=np.zeros(len(one), np.int32),
    )
    return fitter.fit(there).loss
