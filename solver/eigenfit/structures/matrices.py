"""Checks of the constant matrices that structures are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.tensors.checks import float_dtype


def as_array(name: str, value: Any) -> np.ndarray:
    """Converts an array of real or complex numbers, or SciPy's sparse matrices.

    Args:
        name: Name of the argument, for messages.
        value: An array, a sparse matrix, or lists of them.

    Raises:
        ValueError: If it has rows of unequal length or entries that are not numbers.
    """
    try:
        array = np.asarray(_dense(value))
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iufc":
        raise ValueError(
            f"`{name}` must be a full array of numbers, got rows of unequal length or "
            f"entries that are not numbers."
        )
    return array


def _dense(value: Any) -> Any:
    # SciPy is not needed to recognise its sparse matrices: they can convert themselves.
    if hasattr(value, "toarray"):
        return value.toarray()
    if isinstance(value, (list, tuple)) and any(
        hasattr(item, "toarray") or isinstance(item, (list, tuple)) for item in value
    ):
        return [_dense(item) for item in value]
    return value


def real_array(name: str, value: Any) -> np.ndarray:
    """Converts an array of real finite numbers to double precision.

    Raises:
        ValueError: If a number is complex or not finite, or as for `as_array`.
    """
    array = as_array(name, value)
    if np.any(np.imag(array)) or not np.isfinite(array).all():
        raise ValueError(f"`{name}` must hold real finite numbers.")
    return np.real(array).astype(np.float64)


def as_matrix(name: str, value: Any) -> np.ndarray:
    """Converts a square matrix of order at least 1.

    Raises:
        ValueError: If it is not square, or as for `as_array`.
    """
    array = as_array(name, value)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise ValueError(
            f"`{name}` must have shape [n, n] with n >= 1, got {list(array.shape)}."
        )
    return array


def hermitian(
    dtype: Any, **matrices: np.ndarray
) -> tuple[tf.DType, dict[str, np.ndarray]]:
    """Chooses or checks a dtype, and checks and converts Hermitian matrices to it.

    Args:
        dtype: Dtype wanted; None for complex128 if a matrix is complex, else float64.
        **matrices: `[..., n, n]`, by the name of their argument.

    Returns:
        The dtype, and the matrices in it, Hermitian to the bit: the gradient assumes
        that both triangles agree, whichever the eigensolver reads.

    Raises:
        ValueError: If a matrix is not finite in this dtype, not Hermitian to
            rounding, or complex though `dtype` is not.
    """
    if dtype is None:
        is_complex = any(map(np.iscomplexobj, matrices.values()))
        dtype = tf.complex128 if is_complex else tf.float64
    dtype = float_dtype(dtype)
    converted = {}
    for name, stack in matrices.items():
        if np.iscomplexobj(stack) and not dtype.is_complex:
            raise ValueError(
                f"`{name}` is complex but `dtype` is {dtype.name}. Use complex128."
            )
        with np.errstate(over="ignore"):
            stack = stack.astype(dtype.as_numpy_dtype)
        for index in np.ndindex(*stack.shape[:-2]):
            label = name + "".join(f"[{k}]" for k in index)
            check_hermitian(f"`{label}`", stack[index])
        # Halved first, since the sum of two large entries may overflow.
        half = stack / 2
        converted[name] = half + half.conj().swapaxes(-1, -2)
    return dtype, converted


def check_hermitian(what: str, matrix: np.ndarray) -> None:
    """Checks a matrix `[n, n]`; the tolerance is relative to its largest entry.

    Args:
        what: Name of the matrix, at the start of the message.
        matrix: `[n, n]`, real or complex.

    Raises:
        ValueError: If it is not finite, or not Hermitian to rounding.
    """
    if not np.isfinite(matrix).all():
        raise ValueError(
            f"{what} must be finite in its dtype, {matrix.dtype}; it has a NaN or an "
            f"infinity."
        )
    gap = np.abs(matrix - matrix.conj().T)
    largest = np.abs(matrix).max()
    if gap.max() > 1e-6 * largest:
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"{what} must be Hermitian: entry [{i}, {j}] is {matrix[i, j]} but "
            f"[{j}, {i}] is {matrix[j, i]}. {not_hermitian(matrix)}"
        )


def not_hermitian(matrix: np.ndarray) -> str:
    """Returns advice on a matrix that is not Hermitian.

    Its Hermitian part has other eigenvalues, so it is a remedy only if the cause is
    rounding. A triangle that was left out has to be filled in.
    """
    if not np.triu(matrix, 1).any() or not np.tril(matrix, -1).any():
        return (
            "Only one triangle is there: give the other one as well, "
            "X + X.conj().T - np.diag(np.diag(X))."
        )
    gap = np.abs(matrix - matrix.conj().T).max()
    if gap <= 1e-3 * np.abs(matrix).max():
        return (
            "If that is the rounding of printed numbers, take (X + X.conj().T) / 2; "
            "if not, it would be another matrix with other eigenvalues."
        )
    return (
        "Eigenvalues of matrices that are not Hermitian are not fitted, and those of "
        "(X + X.conj().T) / 2 are others. If X is M^-1 K of K x = lambda M x, use "
        "Generalized(K, mass=M)."
    )
