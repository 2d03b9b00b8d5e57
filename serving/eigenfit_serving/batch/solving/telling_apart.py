"""Brings successful fits nearer to their solutions, to tell these apart.

Where fits stop, below their tolerance, must not make two solutions of one: in a flat
valley, as between two solutions close together, fits stop far from their solution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eigenfit_serving.batch.model import ModelFacts
from eigenfit_serving.batch.solving.choosing import (
    NEAR,
    RTOL,
    Chosen,
    distinct,
    is_success,
    pairs_within,
)
from eigenfit_serving.batch.solving.fitting import Fits, Fitter
from eigenfit_serving.batch.tables.values import Members
from eigenfit_serving.protocol.results import Result

if TYPE_CHECKING:
    from eigenfit.searches.distinct import Freedom

_STEPS, _MORE_STEPS = 20, 1000
"""More steps for every fit, and for those still near another that they do not meet."""

_SLACK = 1e-6
"""Relative rise of the loss between two fits that is ascribed to rounding."""


def all_distinct(
    fitter: Fitter, members: Members, fits: Fits, starts: int
) -> tuple[Fits, Chosen]:
    """Finds the distinct solutions of rows.

    Parameters that signs and periods make equivalent count as one solution, as in
    `eigenfit.multistart`. Two fits near each other have the same solution if they meet
    when continued, or, if not continued to the end, if the loss half-way between them
    is not above both of theirs.

    Args:
        fitter: Fitter that has made the fits.
        members: Inputs of the fits, `b * starts`.
        fits: The fits; changed in place.
        starts: Number of starts per row.

    Returns:
        The fits, nearer to their solutions, and those that are kept of each row.
    """
    freedom = _freedom_of(fitter.facts)
    scaled = freedom._replace(periods=freedom.periods * freedom.scale)
    finished = np.zeros(len(fits.loss), bool)
    successes = np.flatnonzero(is_success(fits.result))

    def by_row(x: np.ndarray) -> np.ndarray:
        return x.reshape(-1, starts, *x.shape[1:])

    def unclear() -> tuple[np.ndarray, np.ndarray]:
        # Pairs of fits that may have the same solution; two that are finished and yet
        # apart do not.
        fits.parameters[successes] = freedom.canonical(fits.parameters[successes])
        parameters = by_row(fits.parameters * freedom.scale)
        row, one, two = pairs_within(
            parameters, by_row(fits.result), NEAR, RTOL, scaled.difference
        )
        one, two = row * starts + one, row * starts + two
        open_ = ~(finished[one] & finished[two])
        return one[open_], two[open_]

    _go_on(fitter, members, fits, finished, successes, _STEPS)
    again = np.unique(unclear())
    _go_on(fitter, members, fits, finished, again[~finished[again]], _MORE_STEPS)
    one, two = unclear()
    if one.size:
        there = fits.parameters[two]
        middle = there + freedom.difference(fits.parameters[one], there) / 2
        between = _loss_at(fitter, members.take(one), middle)
        joined = between <= (1 + _SLACK) * np.maximum(fits.loss[one], fits.loss[two])
        one, two = one[joined], two[joined]
    chosen = distinct(
        by_row(fits.parameters * freedom.scale),
        by_row(fits.loss),
        by_row(fits.result),
        (one, two),
        by_row(finished),
        scaled.difference,
    )
    return fits, chosen


def _freedom_of(facts: ModelFacts) -> Freedom:
    # The freedom as the solver found it when the model was exported.
    from eigenfit.searches.distinct import Freedom

    known, p = facts.freedom, facts.parameters
    signs = np.zeros([len(known.get("signs", [])), p], bool)
    for row, own in zip(signs, known.get("signs", []), strict=True):
        row[own] = True
    periods = np.array(known.get("periods", [None] * p), float)
    centre = np.array(known.get("centre", [None] * p), float)
    periods = np.where(np.isnan(periods), np.inf, periods)
    return Freedom(signs, periods, centre, np.array(facts.scales))


def _go_on(
    fitter: Fitter,
    members: Members,
    fits: Fits,
    finished: np.ndarray,
    index: np.ndarray,
    steps: int,
) -> None:
    # Continues the fits of an index, as far as rounding allows.
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
    finished[index] = new.result == Result.converged
    better = new.loss < fits.loss[index]
    index = index[better]
    fits.parameters[index] = new.parameters[better]
    fits.eigenvalues[index] = new.eigenvalues[better]
    fits.loss[index] = new.loss[better]


def _loss_at(fitter: Fitter, members: Members, parameters: np.ndarray) -> np.ndarray:
    there = members._replace(
        initial=parameters,
        has_initial=np.ones(len(parameters), bool),
        max_steps=np.zeros(len(parameters), np.int32),
    )
    return fitter.fit(there).loss
