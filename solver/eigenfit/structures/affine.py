"""Linear combinations of given matrices: the reference for all linear structures."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractLinearStructure, as_entries
from eigenfit.structures.level_forms import LevelForms
from eigenfit.structures.matrices import as_array, as_matrix, hermitian
from eigenfit.tensors.types import DTypeLike, TensorLike


class Affine(AbstractLinearStructure):
    """`A(r) = offset + sum_k r_k basis_k` over dense matrices.

    Args:
        basis: `[p, n, n]`, Hermitian matrices.
        offset: `[n, n]`, Hermitian; zero by default.
        dtype: Matrix dtype; by default complex128 for complex input, else float64.
        name: Name of the `tf.Module`.

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
        basis: TensorLike,
        offset: TensorLike | None = None,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        basis = as_array("basis", basis)
        if basis.ndim != 3 or basis.shape[1] != basis.shape[2] or 0 in basis.shape:
            hint = "For a single matrix write [matrix]."
            if basis.ndim == 3 and basis.shape[0] == basis.shape[1]:
                hint = "It looks transposed: take np.moveaxis(basis, -1, 0)."
            raise ValueError(
                f"`basis` must have shape [p, n, n] with p, n >= 1, got "
                f"{list(basis.shape)}. {hint}"
            )
        matrices = {"basis": basis}
        if offset is not None:
            matrices["offset"] = as_matrix("offset", offset)
            if matrices["offset"].shape != basis.shape[1:]:
                raise ValueError(
                    f"`offset` must have shape {list(basis.shape[1:])} like the "
                    f"matrices of `basis`, got {list(matrices['offset'].shape)}."
                )
        dtype, matrices = hermitian(dtype, **matrices)
        super().__init__(basis.shape[1], basis.shape[0], dtype, name)
        basis = matrices["basis"].reshape(self.num_parameters, -1)
        self._basis = tf.constant(basis)
        with np.errstate(over="ignore"):
            self._squared_norms = np.sum(np.abs(basis) ** 2, axis=1)
        self._offset = None if offset is None else tf.constant(matrices["offset"])
        stack = self._matrices = matrices["basis"]
        self._constant = (
            np.zeros_like(stack[0]) if offset is None else matrices["offset"]
        )
        self._forms = LevelForms(stack, self.dtype)

    def __repr__(self) -> str:
        return (
            f"Affine(order={self.order}, num_parameters={self.num_parameters}, "
            f"dtype={self.dtype.name})"
        )

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        A = self.pushforward(parameters, parameters)
        return A if self._offset is None else A + self._offset

    @property
    def basis(self) -> np.ndarray:
        """The basis, `[p, n, n]`."""
        return self._matrices

    @property
    def offset(self) -> np.ndarray:
        """The offset, `[n, n]`; zeros if none was given."""
        return self._constant

    def squared_norms(self) -> np.ndarray:
        """Returns the squared Frobenius norms of the basis."""
        return self._squared_norms

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes `<basis_k, G>` by one matrix product."""
        del parameters
        shape = tf.concat([tf.shape(G)[:-2], [self.order**2]], axis=0)
        return self._project(tf.reshape(G, shape))

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `<basis_k, v_i v_i^H>`; see `LevelForms`."""
        del parameters
        return self._forms(V)

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Combines the basis by one matrix product."""
        del parameters
        flat = tf.tensordot(as_entries(vector, self.dtype), self._basis, axes=1)
        shape = tf.concat([tf.shape(vector)[:-1], [self.order] * 2], axis=0)
        return tf.reshape(flat, shape)

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `V^H basis_k V` by two matrix products."""
        del parameters
        n, p = self.order, self.num_parameters
        batch, k = tf.shape(V)[:-2], tf.shape(V)[-1:]
        basis = tf.reshape(self._basis, [p * n, n])
        rows = tf.tensordot(tf.linalg.matrix_transpose(V), basis, axes=[[-1], [-1]])
        rows = tf.reshape(rows, tf.concat([batch, k * p, [n]], axis=0))
        both = tf.linalg.matmul(rows, tf.math.conj(V))
        both = tf.linalg.matrix_transpose(
            tf.reshape(both, tf.concat([batch, k, p * k], axis=0))
        )
        return tf.reshape(both, tf.concat([batch, [p], k, k], axis=0))

    def _project(self, flat: tf.Tensor) -> tf.Tensor:
        # [..., n n] -> [..., p]
        adjoint = tf.linalg.adjoint(self._basis)
        return tf.math.real(tf.tensordot(flat, adjoint, axes=1))
