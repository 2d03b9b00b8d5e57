"""Linear combinations of given matrices: the reference for every linear structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractStructure, float_dtype


class Affine(AbstractStructure):
    """`A(r) = offset + sum_k r_k basis_k` over dense matrices.

    Args:
        basis: `[p, n, n]`, Hermitian matrices.
        offset: `[n, n]`, Hermitian; zero by default.
        dtype: Of the matrix; by default complex128 for complex input, else float64.
        name: Of the module.

    Raises:
        ValueError: If a shape does not fit, or a matrix is not finite or not
            Hermitian to rounding.

    Example:
        >>> hopping = [[0.0, 1.0], [1.0, 0.0]]
        >>> Affine([hopping], offset=np.diag([1.0, 2.0])).assemble(
        ...     tf.constant([0.5], tf.float64)
        ... ).numpy()
        array([[1. , 0.5],
               [0.5, 2. ]])
    """

    def __init__(
        self,
        basis: Any,
        offset: Any = None,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        basis = _numeric("basis", basis)
        offset = None if offset is None else _numeric("offset", offset)
        if dtype is None:
            given = [basis] if offset is None else [basis, offset]
            dtype = tf.complex128 if any(map(np.iscomplexobj, given)) else tf.float64
        dtype = float_dtype(dtype)
        if basis.ndim != 3 or basis.shape[1] != basis.shape[2] or 0 in basis.shape:
            raise ValueError(
                f"`basis` must have shape [p, n, n] with p, n >= 1, got "
                f"{list(basis.shape)}. For a single matrix write [matrix]."
            )
        super().__init__(basis.shape[1], basis.shape[0], dtype, name)
        for k, matrix in enumerate(basis):
            _check_hermitian(f"basis[{k}]", matrix, dtype)
        self._basis = tf.constant(
            basis.reshape(self.num_parameters, -1).astype(dtype.as_numpy_dtype)
        )
        self._squared_norms = np.sum(np.abs(basis) ** 2, axis=(1, 2))
        self._offset = None
        if offset is not None:
            if offset.shape != basis.shape[1:]:
                raise ValueError(
                    f"`offset` must have shape {list(basis.shape[1:])} like the "
                    f"matrices of `basis`, got {list(offset.shape)}."
                )
            _check_hermitian("offset", offset, dtype)
            self._offset = tf.constant(offset.astype(dtype.as_numpy_dtype))

    def __repr__(self) -> str:
        return (
            f"Affine(order={self.order}, num_parameters={self.num_parameters}, "
            f"dtype={self.dtype.name})"
        )

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        flat = tf.tensordot(tf.cast(parameters, self.dtype), self._basis, axes=1)
        shape = tf.concat([tf.shape(parameters)[:-1], [self.order] * 2], axis=0)
        A = tf.reshape(flat, shape)
        return A if self._offset is None else A + self._offset

    def squared_norms(self) -> np.ndarray:
        """Gives the squared Frobenius norms of the basis."""
        return self._squared_norms

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes `<basis_k, G>` by one matrix product."""
        del parameters
        shape = tf.concat([tf.shape(G)[:-2], [self.order**2]], axis=0)
        return self._project(tf.reshape(G, shape))

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `<basis_k, v_i v_i^H>` by one matrix product."""
        del parameters
        rows = tf.linalg.matrix_transpose(V)
        outer = rows[..., :, tf.newaxis] * tf.math.conj(rows)[..., tf.newaxis, :]
        shape = tf.concat([tf.shape(rows)[:-1], [self.order**2]], axis=0)
        return self._project(tf.reshape(outer, shape))

    def _project(self, flat: tf.Tensor) -> tf.Tensor:
        # [..., n n] -> [..., p]
        adjoint = tf.linalg.adjoint(self._basis)
        return tf.math.real(tf.tensordot(flat, adjoint, axes=1))


def _numeric(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "iufc":
        raise ValueError(
            f"`{name}` must be a full array of numbers, got rows of unequal length or "
            f"entries that are not numbers."
        )
    return array


def _check_hermitian(name: str, matrix: np.ndarray, dtype: tf.DType) -> None:
    if np.iscomplexobj(matrix) and not dtype.is_complex:
        raise ValueError(
            f"`{name}` is complex but `dtype` is {dtype.name}. Use complex128."
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f"`{name}` must be finite, it has a NaN or an infinity.")
    gap = np.abs(matrix - matrix.conj().T)
    if gap.max() > 1e-6 * np.abs(matrix).max():
        i, j = np.unravel_index(gap.argmax(), gap.shape)
        raise ValueError(
            f"`{name}` must be Hermitian: entry [{i}, {j}] is {matrix[i, j]} but "
            f"[{j}, {i}] is {matrix[j, i]}. Symmetrise it with (X + X.conj().T) / 2."
        )
