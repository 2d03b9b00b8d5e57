"""Chooses among the fits of a row that began at several starts.

`b` rows of `k` starts each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CONVERGED = 0
RTOL = 1e-4
"""Relative distance of parameters up to which solutions are the same."""

_DIGITS = 6


class Chosen(NamedTuple):
    """Solutions that are kept, `s` of them."""

    row: np.ndarray  # [s] int, ascending
    start: np.ndarray  # [s] int, which of its starts led there
    solution: np.ndarray  # [s] int, 0, 1, ... in each row
    starts: np.ndarray  # [s] int, starts that led there


def best(loss: np.ndarray, result: np.ndarray) -> Chosen:
    """Keeps one solution for each row.

    It is that of the first start that converged: every converged loss is as good as
    another, and which one rounding makes the smallest depends on the machine. If none
    converged it is that of the lowest loss, to six digits.

    Args:
        loss: `[b, k]`.
        result: `[b, k]`.

    Returns:
        `b` solutions; counted are the starts that converged.

    Example:
        >>> loss = np.array([[3.0, 1e-20, 1e-30], [3.0, 2.0, np.nan]])
        >>> best(loss, np.array([[1, 0, 0], [1, 1, 4]])).start.tolist()
        [1, 1]
    """
    converged = result == CONVERGED
    key = np.where(converged, -np.inf, _rounded(loss))
    start = np.argmin(key, axis=1)
    rows = np.arange(len(loss))
    return Chosen(rows, start, np.zeros_like(rows), converged.sum(axis=1))


def distinct(parameters: np.ndarray, loss: np.ndarray, result: np.ndarray) -> Chosen:
    """Keeps all distinct converged solutions of each row, or else its best answer.

    Solutions are the same whose parameters differ by at most `RTOL` of their norm.
    Those come first to which more starts led, then those of earlier starts.

    Args:
        parameters: `[b, k, p]`.
        loss: `[b, k]`.
        result: `[b, k]`.

    Example:
        >>> r = np.array([[[1.0], [2.0], [2.0], [7.0]]])
        >>> found = distinct(r, np.zeros([1, 4]), np.array([[0, 0, 0, 2]]))
        >>> found.start.tolist(), found.starts.tolist()
        ([1, 0], [2, 1])
    """
    converged = result == CONVERGED
    b, k = result.shape
    label = np.full([b, k], -1)
    size = np.linalg.norm(parameters, axis=2)
    for j in range(k):
        free = converged[:, j] & (label[:, j] < 0)
        rows = np.flatnonzero(free)
        if not rows.size:
            continue
        own = parameters[rows, j]
        distance = np.linalg.norm(parameters[rows] - own[:, np.newaxis], axis=2)
        near = distance <= RTOL * size[rows, j, np.newaxis]
        near[:, j] = True
        near &= converged[rows] & (label[rows] < 0)
        label[rows] = np.where(near, j, label[rows])
    counts = np.zeros([b, k], int)
    row, start = np.nonzero(label >= 0)
    np.add.at(counts, (row, label[row, start]), 1)
    none = np.flatnonzero(~converged.any(axis=1))
    if none.size:
        lowest = best(loss[none], result[none]).start
        nearly = _rounded(loss[none]) == _rounded(loss[none, lowest])[:, np.newaxis]
        counts[none, lowest] = nearly.sum(axis=1)
    row, start = np.nonzero(counts)
    count = counts[row, start]
    order = np.lexsort([start, -count, row])
    row, start, count = row[order], start[order], count[order]
    begins = np.searchsorted(row, row)
    return Chosen(row, start, np.arange(len(row)) - begins, count)


def _rounded(loss: np.ndarray) -> np.ndarray:
    # To some digits; infinite where it is no number.
    with np.errstate(divide="ignore", invalid="ignore"):
        digit = 10.0 ** (np.floor(np.log10(np.abs(loss))) - _DIGITS + 1)
        rounded = np.where(loss == 0, 0.0, np.round(loss / digit) * digit)
    return np.where(np.isfinite(rounded), rounded, np.inf)
