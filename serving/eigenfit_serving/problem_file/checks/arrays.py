"""Checks arrays that have been read, and hints at likely mistakes."""

from __future__ import annotations

import numpy as np

from eigenfit_serving.errors import BadValue


def check_hermitian(matrix: np.ndarray, key: str) -> None:
    """Raises `BadValue` unless a square matrix `[n, n]` is Hermitian to rounding."""
    gap = np.abs(matrix - matrix.conj().T)
    largest = np.abs(matrix).max()
    if gap.max() > 1e-6 * largest:
        i, j = (int(k) for k in np.unravel_index(gap.argmax(), gap.shape))
        is_complex = np.iscomplexobj(matrix)
        conjugate = "the conjugate of " if is_complex else ""
        kind = "Hermitian" if is_complex else "symmetric"
        if not np.triu(matrix, 1).any() or not np.tril(matrix, -1).any():
            mend = "Only one triangle is there: give both."
        elif gap.max() <= 1e-3 * largest:
            mend = "If that is rounding, give more digits, or both entries the same."
        else:
            mend = (
                f"Matrices that are not {kind} cannot be fitted, and their {kind} "
                f"part has other eigenvalues. For K x = lambda M x use "
                f'kind = "generalized" with K as stiffness and M as mass.'
            )
        raise BadValue(
            f"must equal {conjugate}[{j}][{i}], which is {matrix[j, i]:g}: the matrix "
            f"must be {kind}. {mend}",
            f"{key}[{i}][{j}]",
            matrix[i, j].item(),
        )


def transposed_hint(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> str:
    """Returns a hint if an array looks transposed, otherwise an empty string.

    Args:
        shape: Shape of the array.
        wanted: Shape that it must have; None for any size.

    Example:
        >>> transposed_hint((2, 5), (None, 2))
        ' It looks transposed: give it as 5 rows of 2.'
        >>> transposed_hint((2, 3), (3, 5))
        ''
    """
    fits = [
        all(b is None or a == b for a, b in zip(order, wanted, strict=True))
        for order in (shape, shape[::-1])
        if len(shape) == len(wanted) == 2
    ]
    if fits != [False, True]:
        return ""
    return f" It looks transposed: give it as {shape[1]} rows of {shape[0]}."


def from_one_hint(index: int, size: int, least: int) -> str:
    """Returns a hint if an index that is too large may be counted from 1.

    Example:
        >>> from_one_hint(3, 3, least=1), from_one_hint(3, 3, least=0)
        (' Are they counted from 1? Here the first is 0.', '')
    """
    if index != size or least < 1:
        return ""
    return " Are they counted from 1? Here the first is 0."


def check_square(matrix: np.ndarray, key: str) -> None:
    """Raises `BadValue` unless an array `[..., n, m]` holds square matrices."""
    rows, columns = matrix.shape[-2:]
    if rows != columns:
        hint = ""
        if matrix.ndim == 3 and matrix.shape[0] == rows:
            hint = (
                f" It looks transposed: the first index is that of the {columns} "
                f"matrices, np.moveaxis(basis, -1, 0)."
            )
        raise BadValue(
            f"holds matrices of {rows} rows and {columns} columns. They must be "
            f"square.{hint}",
            key,
        )


def check_fits(array: np.ndarray, key: str, dtype: str) -> None:
    """Raises `BadValue` if an entry is too large for `dtype`."""
    large = np.argwhere(np.abs(array) > np.finfo(dtype).max)
    if len(large):
        where = tuple(large[0])
        raise BadValue(
            f'is too large for {dtype}. Use dtype = "float64" or other units.',
            key + "".join(f"[{i}]" for i in where),
            array[where].item(),
        )
