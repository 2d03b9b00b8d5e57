"""A given matrix with a free diagonal: the additive inverse eigenvalue problem."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractLinearStructure, as_entries
from eigenfit.structures.matrices import as_matrix, hermitian
from eigenfit.tensors.types import DTypeLike, TensorLike


class Additive(AbstractLinearStructure):
    """`A(r) = offset + diag(r)`, a parameter for each diagonal entry.

    Args:
        offset: `[n, n]`, Hermitian.
        dtype: Matrix dtype; by default complex128 for complex input, else float64.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If `offset` is not a finite Hermitian matrix.

    Example:
        >>> hopping = [[0.0, 1.0], [1.0, 0.0]]
        >>> Additive(hopping).assemble(tf.constant([2.0, 3.0], tf.float64)).numpy()
        array([[2., 1.],
               [1., 3.]])
    """

    def __init__(
        self,
        offset: TensorLike,
        dtype: DTypeLike | None = None,
        name: str | None = None,
    ) -> None:
        dtype, matrices = hermitian(dtype, offset=as_matrix("offset", offset))
        order = len(matrices["offset"])
        super().__init__(order, order, dtype, name)
        self._offset = tf.constant(matrices["offset"])

    def __repr__(self) -> str:
        return f"Additive(order={self.order}, dtype={self.dtype.name})"

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        return self._offset + self.pushforward(parameters, parameters)

    def squared_norms(self) -> np.ndarray:
        """Returns 1 for each parameter."""
        return np.ones(self.order)

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Reads the diagonal of `G`."""
        del parameters
        return tf.math.real(tf.linalg.diag_part(G))

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `|v_ki|^2`."""
        del parameters
        return tf.linalg.matrix_transpose(tf.math.real(V * tf.math.conj(V)))

    def pushforward(self, parameters: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """Builds `diag(vector)`."""
        del parameters
        identity = tf.eye(self.order, dtype=self.dtype)
        return as_entries(vector, self.dtype)[..., tf.newaxis] * identity

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `conj(v_ki) v_kj`."""
        del parameters
        return tf.math.conj(V)[..., :, tf.newaxis] * V[..., tf.newaxis, :]
