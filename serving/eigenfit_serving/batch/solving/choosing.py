"""Chooses among the fits of a row that began at several starts.

`b` rows of `k` starts each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from eigenfit_serving.protocol.results import Result

RTOL = 1e-4
"""Relative distance of parameters up to which solutions count as the same."""
NEAR = 0.1
"""Relative distance beyond which they are certainly distinct."""

_DIGITS = 6

Difference = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Chosen(NamedTuple):
    """The `s` solutions that are kept."""

    row: np.ndarray  # [s] int, ascending
    start: np.ndarray  # [s] int, index of the start that led there
    solution: np.ndarray  # [s] int, 0, 1, ... in each row
    starts: np.ndarray  # [s] int, number of starts that led there


def is_success(result: np.ndarray) -> np.ndarray:
    """Returns which results are successes: converged, or a minimum."""
    return _kind(result) < 2


def best(loss: np.ndarray, result: np.ndarray) -> Chosen:
    """Keeps one solution for each row.

    It is that of the first start that converged: all converged losses are equally good,
    and which one rounding makes the smallest depends on the machine. If none converged
    it is the minimum of lowest loss, to six digits, and if there is none the answer of
    lowest loss.

    Args:
        loss: Losses, `[b, k]`.
        result: Result codes, `[b, k]`.

    Returns:
        `b` solutions; `starts` counts the starts that converged, or that ended in a
        minimum of the same loss.

    Example:
        >>> loss = np.array([[3.0, 1e-20, 1e-30], [3.0, 2.0, np.nan], [3.0, 4.0, 4.0]])
        >>> found = best(loss, np.array([[1, 0, 0], [1, 1, 4], [3, 6, 6]]))
        >>> found.start.tolist(), found.starts.tolist()
        ([1, 1, 1], [2, 0, 2])
    """
    key, kind = _key(loss, result), _kind(result)
    start = np.lexsort((key, kind), axis=-1)[:, 0]
    rows = np.arange(len(loss))
    alike = (kind == kind[rows, start, None]) & (key == key[rows, start, None])
    starts = (alike & is_success(result)).sum(axis=1)
    return Chosen(rows, start, np.zeros_like(rows), starts)


def _kind(result: np.ndarray) -> np.ndarray:
    # 0 for converged, 1 for a minimum, 2 for others: lower is better.
    others = np.where(result == Result.minimum, 1, 2)
    return np.where(result == Result.converged, 0, others)


def _key(loss: np.ndarray, result: np.ndarray) -> np.ndarray:
    # Ranks fits of the same kind, lower first; those that converged are all alike.
    return np.where(_kind(result) == 0, 0.0, _rounded(loss))


def pairs_within(
    parameters: np.ndarray,
    result: np.ndarray,
    most: float,
    least: float | None = None,
    difference: Difference = np.subtract,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds pairs of successes in a row whose distance lies in a range.

    Args:
        parameters: `[b, k, p]`, each in units of its scale.
        result: Result codes, `[b, k]`.
        most: Largest distance, relative to the norm of the first one.
        least: Distance that they must exceed; None for any.
        difference: Difference of parameters, without whole periods.

    Returns:
        Row and both starts of each pair, the earlier one first.

    Example:
        >>> r = np.array([[[1.0], [1.01], [7.0], [1.01]]])
        >>> pairs_within(r, np.array([[0, 0, 0, 5]]), NEAR, RTOL)
        (array([0]), array([0]), array([1]))
    """
    success = is_success(result)
    size = np.linalg.norm(parameters, axis=2)
    found: list[np.ndarray] = [np.zeros([3, 0], int)]
    for j in range(result.shape[1]):
        away = difference(parameters[:, j + 1 :], parameters[:, j, None])
        distance = np.linalg.norm(away, axis=2)
        own = size[:, j, None]
        within = distance <= most * own
        if least is not None:
            within &= distance > least * own
        within &= success[:, j + 1 :] & success[:, j, None]
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
        loss: Losses, `[b, k]`.
        result: Result codes, `[b, k]`.
        same: Further pairs that are known to be the same, as indices into `b * k`.
        finished: `[b, k]` bool, fits that no more steps can improve; all by default.
        difference: As for `pairs_within`.

    Example:
        >>> r = np.array([[[1.0], [2.0], [2.0], [7.0]]])
        >>> found = distinct(r, np.zeros([1, 4]), np.array([[0, 0, 0, 2]]))
        >>> found.start.tolist(), found.starts.tolist()
        ([1, 0], [2, 1])
    """
    k, number = result.shape[1], result.size
    row, one, two = pairs_within(parameters, result, RTOL, difference=difference)
    edges = np.stack([row * k + one, row * k + two])
    if same is not None:
        edges = np.concatenate([edges, same], axis=1)
    graph = coo_array((np.ones(edges.shape[1]), tuple(edges)), (number, number))
    _, label = connected_components(graph, directed=False)
    counts = np.bincount(label)[label]
    # The fit that represents each group.
    open_ = np.zeros(number, bool) if finished is None else ~finished.ravel()
    key = np.where(open_, _rounded(loss).ravel(), -np.inf)
    order = np.lexsort([key, label])
    leads = order[np.unique(label[order], return_index=True)[1]]
    leads = leads[is_success(result.ravel()[leads])]
    none = np.flatnonzero(~is_success(result).any(axis=1))
    if none.size:
        lowest = best(loss[none], result[none]).start
        nearly = _rounded(loss[none]) == _rounded(loss[none, lowest])[:, np.newaxis]
        leads = np.concatenate([leads, none * k + lowest])
        counts[none * k + lowest] = nearly.sum(axis=1)
    row, start = leads // k, leads % k
    kind, own = _kind(result)[row, start], _key(loss, result)[row, start]
    order = np.lexsort([start, -counts[leads], own, kind, row])
    row, start, counts = row[order], start[order], counts[leads][order]
    return Chosen(row, start, np.arange(len(row)) - np.searchsorted(row, row), counts)


def _rounded(loss: np.ndarray) -> np.ndarray:
    # Rounds to `_DIGITS` digits; infinite where it is not finite.
    with np.errstate(divide="ignore", invalid="ignore"):
        digit = 10.0 ** (np.floor(np.log10(np.abs(loss))) - _DIGITS + 1)
        rounded = np.where(loss == 0, 0.0, np.round(loss / digit) * digit)
    return np.where(np.isfinite(rounded), rounded, np.inf)
