"""Checks of lattice vectors, in their own unit and without TensorFlow."""

from __future__ import annotations

import numpy as np

_ROWS = 2**10
"""Vectors that are compared with all others at a time."""


def is_zero(vectors: np.ndarray) -> np.ndarray:
    """Returns which vectors `[R, d]` are zero up to rounding, bool `[R]`."""
    lengths = np.linalg.norm(vectors / (np.abs(vectors).max() or 1.0), axis=1)
    return lengths <= 1e-9 * lengths.max()


def equal_or_opposite(vectors: np.ndarray) -> tuple[int, int] | None:
    """Finds two vectors of `[R, d]` that are equal or opposite: j < i, or None.

    As in `eigenfit.Bloch`, up to 1e-5 of their own length: vectors may be in metres or
    in units of a lattice.

    Example:
        >>> equal_or_opposite(1e-10 * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
        (0, 2)
    """
    scaled = vectors / max(np.abs(vectors).max(), np.finfo(float).tiny)
    squares = np.sum(scaled**2, axis=1)
    for first in range(0, len(scaled), _ROWS):
        rows = slice(first, first + _ROWS)
        # |a - b|^2 or |a + b|^2, whichever is less
        gaps = squares[rows, None] + squares - 2 * np.abs(scaled[rows] @ scaled.T)
        close = gaps <= 1e-10 * np.maximum(squares[rows, None], squares)
        pairs = np.argwhere(np.tril(close, first - 1))
        if len(pairs):
            i, j = pairs[0].tolist()
            return j, i + first
    return None
