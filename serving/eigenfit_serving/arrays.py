"""Arrays of numbers in a problem file, checked entry by entry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pydantic import BeforeValidator

from eigenfit_serving.errors import BadValue


def array_of(*ranks: int) -> BeforeValidator:
    """Makes a validator of nested lists of finite numbers.

    Args:
        *ranks: Allowed depths of nesting.

    Returns:
        A validator that gives a float64 array and raises `BadValue` naming the entry.
    """

    def check(value: Any) -> np.ndarray:
        if isinstance(value, np.ndarray):
            return value
        shape = _shape(value, "")
        if len(shape) not in ranks:
            wanted = " or ".join(_NAMES[rank] for rank in ranks)
            raise BadValue(f"must be {wanted}.", value=value)
        return np.asarray(value, np.float64)

    return BeforeValidator(check)


def list_of_integers(value: Any) -> Any:
    """Checks a non-empty list of integers; raises `BadValue` naming the entry."""
    if not isinstance(value, list) or not value:
        raise BadValue(
            "must be a list of integers, e.g. [0, -1]. Leave it out to observe all "
            "levels.",
            value=value,
        )
    for i, entry in enumerate(value):
        if isinstance(entry, bool) or not isinstance(entry, int):
            raise BadValue("must be an integer.", f"[{i}]", entry)
    return value


def check_symmetric(matrix: np.ndarray, key: str) -> None:
    """Raises `BadValue` unless a square matrix `[n, n]` is symmetric to rounding."""
    gap = np.abs(matrix - matrix.T)
    if gap.max() > 1e-6 * np.abs(matrix).max():
        i, j = (int(k) for k in np.unravel_index(gap.argmax(), gap.shape))
        raise BadValue(
            f"must equal [{j}][{i}], which is {matrix[j, i]:g}: the matrix must be "
            f"symmetric. Make both entries the same.",
            f"{key}[{i}][{j}]",
            float(matrix[i, j]),
        )


def check_fits(array: np.ndarray, key: str, dtype: str) -> None:
    """Raises `BadValue` if an entry is too large for `dtype`."""
    large = np.argwhere(np.abs(array) > np.finfo(dtype).max)
    if len(large):
        where = tuple(large[0])
        raise BadValue(
            f'is too large for {dtype}. Use dtype = "float64" or other units.',
            key + "".join(f"[{i}]" for i in where),
            float(array[where]),
        )


_NAMES = {
    0: "a number",
    1: "a list of numbers, e.g. [1.0, 2.0]",
    2: "a list of rows of numbers, e.g. [[1.0, 0.5], [0.5, 2.0]]",
    3: "a list of matrices, e.g. [[[1.0, 0.0], [0.0, 1.0]]]",
}


def _shape(value: Any, key: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadValue("must be a number.", key, value)
        try:
            finite = math.isfinite(value)
        except OverflowError:  # an integer beyond the range of float64
            finite = False
        if not finite:
            raise BadValue("must be finite.", key, value)
        return ()
    if not value:
        raise BadValue("must not be empty.", key, value)
    first, *rest = [_shape(entry, f"{key}[{i}]") for i, entry in enumerate(value)]
    for i, shape in enumerate(rest, start=1):
        if shape != first:
            raise BadValue(
                f"has shape {list(shape)}, but {key}[0] has {list(first)}. Make all "
                f"rows equally long.",
                f"{key}[{i}]",
                value[i],
            )
    return (len(value), *first)
