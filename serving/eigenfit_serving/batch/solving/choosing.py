"""Chooses among the fits of a row that began at several starts.

`b` rows of `k` starts each; losses and result codes are `[b, k]`.

Where fits stop, below their tolerance, must not make two solutions of one: in a flat
valley, as between two solutions close together, fits stop far from their solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from eigenfit_serving.batch.settings import ModelFacts
from eigenfit_serving.batch.solving.fitting import Fits, Fitter
from eigenfit_serving.batch.tables.values import Members
from eigenfit_serving.protocol.result_codes import SUCCESSES, Result

if TYPE_CHECKING:
    from eigenfit.searches.distinct import Freedom

RTOL = 1e-4
"""Relative distance of parameters up to which solutions count as the same."""
NEAR = 0.1
"""Relative distance beyond which they are certainly distinct."""

_STEPS, _MORE_STEPS = 20, 1000
"""More steps for every fit, and for those still near another that they do not meet."""

_SLACK = 1e-6
"""Relative rise of the loss between two fits that is ascribed to rounding."""
_DIGITS = 6

Difference = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Chosen(NamedTuple):
    """The `s` solutions that are kept."""

    row: np.ndarray  # [s] int, ascending
    start: np.ndarray  # [s] int, index of the start that led there
    solution: np.ndarray  # [s] int, 0, 1, ... in each row
    starts: np.ndarray  # [s] int, number of starts that led there


def best(loss: np.ndarray, result: np.ndarray) -> Chosen:
    """Keeps one solution for each row.

    It is that of the first start that converged: all converged losses are equally good,
    and which one rounding makes the smallest depends on the machine. If none converged
    it is the minimum of lowest loss, to six digits, and if there is none the answer of
    lowest loss.

    Returns:
        `b` solutions; `starts` counts the starts that converged, or that ended in a
        minimum of the same loss.

    Example:
        >>> loss = np.array([[3.0, 1e-20, 1e-30], [3.0, 2.0, np.nan], [3.0, 4.0, 4.0]])
        >>> found = best(loss, np.array([[1, 0, 0], [1, 1, 4], [3, 6, 6]]))
        >>> found.start.tolist(), found.starts.tolist()
        ([1, 1, 1], [2, 0, 2])
    """
    kind, key = _ranks(loss, result)
    start = np.lexsort((key, kind), axis=-1)[:, 0]
    rows = np.arange(len(loss))
    alike = (kind == kind[rows, start, None]) & (key == key[rows, start, None])
    starts = (alike & np.isin(result, SUCCESSES)).sum(axis=1)
    return Chosen(rows, start, np.zeros_like(rows), starts)


def pairs_within(
    parameters: np.ndarray,
    result: np.ndarray,
    most: float,
    least: float | None = None,
    difference: Difference = np.subtract,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds pairs of successes in a row that are up to `most` apart, and over `least`.

    Distances are relative to the norm of the earlier one of `parameters`, `[b, k, p]`,
    each in units of its scale; `difference` leaves out whole periods.

    Returns:
        Row and both starts of each pair, the earlier one first.

    Example:
        >>> r = np.array([[[1.0], [1.01], [7.0], [1.01]]])
        >>> pairs_within(r, np.array([[0, 0, 0, 5]]), NEAR, RTOL)
        (array([0]), array([0]), array([1]))
    """
    success = np.isin(result, SUCCESSES)
    size = np.linalg.norm(parameters, axis=2)
    found: list[np.ndarray] = [np.zeros([3, 0], int)]
    for j in range(result.shape[1]):
        away = difference(parameters[:, j + 1 :], parameters[:, j, None])
        distance, own = np.linalg.norm(away, axis=2), size[:, j, None]
        within = (distance <= most * own) & success[:, j + 1 :] & success[:, j, None]
        if least is not None:
            within &= distance > least * own
        row, other = np.nonzero(within)
        found.append(np.stack([row, np.full(len(row), j), j + 1 + other]))
    row, one, two = np.concatenate(found, axis=1)
    return row, one, two


def distinct(
    parameters: np.ndarray,
    loss: np.ndarray,
    result: np.ndarray,
    same: tuple[np.ndarray, np.ndarray] | None = None,
    finished: np.ndarray | None = None,
    difference: Difference = np.subtract,
) -> Chosen:
    """Keeps all distinct solutions of each row, or else its best answer.

    Solutions are the same if their parameters differ by at most `RTOL` of their norm,
    or if both are the same as a third. Of these, one that is finished is kept, else
    that of lowest loss. Solutions that converged come first, then minima in order of
    loss; among equals those to which more starts led, then those of earlier starts.

    Args:
        parameters: `[b, k, p]`, each in units of its scale.
        loss: Losses.
        result: Result codes.
        same: Further pairs that are known to be the same, as indices into `b * k`.
        finished: `[b, k]` bool, fits that no more steps can improve; all by default.
        difference: As for `pairs_within`.

    Example:
        >>> r = np.array([[[1.0], [2.0], [2.0], [7.0]]])
        >>> found = distinct(r, np.zeros([1, 4]), np.array([[0, 0, 0, 2]]))
        >>> found.start.tolist(), found.starts.tolist()
        ([1, 0], [2, 1])
    """
    k, number, success = result.shape[1], result.size, np.isin(result, SUCCESSES)
    row, one, two = pairs_within(parameters, result, RTOL, difference=difference)
    edges = np.stack([row * k + one, row * k + two])
    if same is not None:
        edges = np.concatenate([edges, same], axis=1)
    graph = coo_array((np.ones(edges.shape[1]), tuple(edges)), (number, number))
    _, label = connected_components(graph, directed=False)
    counts = np.bincount(label)[label]
    # The fit that represents each group.
    rounded = _rounded(loss)
    key = rounded if finished is None else np.where(finished, -np.inf, rounded)
    order = np.lexsort([key.ravel(), label])
    leads = order[np.unique(label[order], return_index=True)[1]]
    leads = leads[success.ravel()[leads]]
    none = np.flatnonzero(~success.any(axis=1))
    lowest = best(loss[none], result[none]).start
    nearly = rounded[none] == rounded[none, lowest][:, np.newaxis]
    leads = np.concatenate([leads, none * k + lowest])
    counts[none * k + lowest] = nearly.sum(axis=1)
    kind, key = (x.ravel()[leads] for x in _ranks(loss, result))
    order = np.lexsort([leads, -counts[leads], key, kind, leads // k])
    row, start, counts = (x[order] for x in (leads // k, leads % k, counts[leads]))
    return Chosen(row, start, np.arange(len(row)) - np.searchsorted(row, row), counts)


def _ranks(loss: np.ndarray, result: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Kinds, of which lower ones are better: converged, a minimum, others; and a key
    # among those of a kind, where all that converged are alike.
    converged = result == Result.converged
    kind = np.where(converged, 0, np.where(result == Result.minimum, 1, 2))
    return kind, np.where(converged, 0.0, _rounded(loss))


def _rounded(loss: np.ndarray) -> np.ndarray:
    # Rounds to `_DIGITS` digits; infinite where it is not finite.
    with np.errstate(divide="ignore", invalid="ignore"):
        digit = 10.0 ** (np.floor(np.log10(np.abs(loss))) - _DIGITS + 1)
        rounded = np.where(loss == 0, 0.0, np.round(loss / digit) * digit)
    return np.where(np.isfinite(rounded), rounded, np.inf)


def all_distinct(fitter: Fitter, members: Members, fits: Fits, starts: int) -> Chosen:
    """Finds the distinct solutions of rows, and brings their fits nearer to them.

    Parameters that signs and periods make equivalent count as one solution, as in
    `eigenfit.multistart`. Two fits near each other have the same solution if they meet
    when continued, or, if not continued to the end, if the loss half-way between them
    is not above both of theirs.

    Args:
        fitter: Fitter that has made the fits.
        members: Inputs of the fits, `b * starts`.
        fits: The fits; changed in place.
        starts: Number of starts per row.
    """
    freedom = _freedom_of(fitter.facts)
    scaled = freedom._replace(periods=freedom.periods * freedom.scale)
    finished = np.zeros(len(fits.loss), bool)
    successes = np.flatnonzero(np.isin(fits.result, SUCCESSES))

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
    there = fits.parameters[two]
    middle = there + freedom.difference(fits.parameters[one], there) / 2
    between = fitter.fit(_from(members.take(one), middle, 0)).loss
    joined = between <= (1 + _SLACK) * np.maximum(fits.loss[one], fits.loss[two])
    return distinct(
        by_row(fits.parameters * freedom.scale),
        by_row(fits.loss),
        by_row(fits.result),
        (one[joined], two[joined]),
        by_row(finished),
        scaled.difference,
    )


def _freedom_of(facts: ModelFacts) -> Freedom:
    # The freedom as the solver found it when the model was exported.
    from eigenfit.searches.distinct import Freedom

    known, p = facts.freedom, facts.parameters
    flips = [np.isin(np.arange(p), own) for own in known.get("signs", [])]
    signs = np.array(flips, bool).reshape(-1, p)
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
    numbers, own = np.finfo(fits.loss.dtype), members.tolerance[index]
    met = np.where(own > 0, own, fits.loss[index])
    tolerance = np.maximum(met * numbers.eps, numbers.tiny)
    steps = min(steps, fitter.facts.max_steps_limit)
    there = _from(members.take(index), fits.parameters[index], steps)
    new = fitter.fit(there._replace(tolerance=tolerance))
    finished[index] = new.result == Result.converged
    better = new.loss < fits.loss[index]
    for name in ("parameters", "eigenvalues", "loss"):
        getattr(fits, name)[index[better]] = getattr(new, name)[better]


def _from(members: Members, parameters: np.ndarray, steps: int) -> Members:
    number = len(parameters)
    return members._replace(
        initial=parameters,
        has_initial=np.ones(number, bool),
        max_steps=np.full(number, steps, np.int32),
    )
