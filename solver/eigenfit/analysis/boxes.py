"""Least distances of linear forms whose unknowns are held in bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import lsq_linear


def least_norm(basis: np.ndarray, constant: np.ndarray, bounds: Any) -> float:
    """The least `|constant + x @ basis|` over x inside the bounds."""
    lengths = lengths_of(basis.T)
    basis = basis / lengths[:, None]
    if bounds is None:
        x = np.linalg.lstsq(basis.T, -constant, rcond=1e-12)[0]
        return float(np.linalg.norm(constant + x @ basis))
    low, high = open_box(bounds)
    Q, R = np.linalg.qr(basis.T)
    inside = Q.T @ constant
    least = least_in_box(R, -inside, low * lengths, high * lengths)[0]
    return float(np.hypot(least, np.linalg.norm(constant - Q @ inside)))


_NOISE = 1e-9
"""Rest of an inexact solution, relative to its terms, that counts as none."""

_FAINT = 1e-6
"""Part of a rest that still has a direction, since rounding is far below it."""


def least_in_box(
    A: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[float, np.ndarray]:
    """A lower bound of `|A x - b|` over x in a box, and `A x - b` where it is near.

    For every y of norm 1, `|A x - b| >= y^T (b - A x)`, which is least at a corner of
    the box. With y along the rest that an inexact solution leaves, the bound is safe
    and as near as the solution. A rest that is rounding, or becomes so without what
    open unknowns reach, has no direction and proves nothing.
    """
    with np.errstate(invalid="ignore"):  # SciPy multiplies 0 by infinite bounds
        found = lsq_linear(A, b, (low, high))
    missed = np.asarray(found.fun)
    y = -missed
    if np.linalg.norm(y) <= _NOISE * np.linalg.norm(
        np.abs(A) @ np.abs(found.x) + abs(b)
    ):
        return 0.0, missed
    # Unknowns without a bound on the side where they would help have no slope.
    slope = A.T @ y
    open_ = ~np.isfinite(np.where(slope > 0, high, low))
    if open_.any():
        U, s, _ = np.linalg.svd(A[:, open_], full_matrices=False)
        U = U[:, s > 1e-12 * s.max(initial=0.0)]
        y = y - U @ (U.T @ y)
        slope = np.where(open_, 0.0, A.T @ y)
    size = float(np.linalg.norm(y))
    if size <= _FAINT * np.linalg.norm(missed):
        return 0.0, missed
    with np.errstate(invalid="ignore"):
        most = np.where(slope == 0, 0.0, np.where(slope > 0, high, low) * slope)
    return max(0.0, float(y @ b - most.sum()) / size), missed


def lengths_of(columns: np.ndarray) -> np.ndarray:
    """Norms of columns, `[p]`; 1 where one is 0."""
    lengths = np.linalg.norm(columns, axis=0)
    return np.where(lengths > 0, lengths, 1.0)


def open_box(bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns lower and upper bounds as arrays, infinite where there are none."""
    return np.asarray(bounds[0], float), np.asarray(bounds[1], float)
