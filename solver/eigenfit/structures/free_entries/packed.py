"""Real symmetric matrices with a parameter for each free entry."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractLinearStructure
from eigenfit.tensors.checks import positive_int, real_dtype


class AbstractPacked(AbstractLinearStructure):
    """A parameter for each entry of the lowest diagonals, zero elsewhere.

    The diagonal comes first, then each subdiagonal, outwards: diagonal k contributes
    its `n - k` entries after those of diagonal `k - 1`.

    Attributes:
        bandwidth: Number of subdiagonals.
    """

    def __init__(
        self, order: int, bandwidth: int, dtype: Any, name: str | None
    ) -> None:
        order = positive_int("order", order)
        dtype = real_dtype(dtype)
        offset, column = np.divmod(np.arange((bandwidth + 1) * order), order)
        inside = offset + column < order
        # Entry k of r stands at (row[k], column[k]) of the lower triangle.
        self._column = column[inside]
        self._row = self._column + offset[inside]
        super().__init__(order, len(self._row), dtype, name)
        self.bandwidth = bandwidth
        # The index one past the last parameter stands for zero.
        self._index = np.full([order, order], self.num_parameters)
        self._index[self._row, self._column] = np.arange(self.num_parameters)
        self._index[self._column, self._row] = np.arange(self.num_parameters)
        self._multiplicity = np.where(self._row == self._column, 1.0, 2.0)

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        if self.bandwidth + 1 < self.order:
            zero = tf.zeros_like(parameters[..., :1])
            parameters = tf.concat([parameters, zero], axis=-1)
        return tf.gather(parameters, self._index, axis=-1)

    def squared_norms(self) -> np.ndarray:
        """Returns 1 for a diagonal entry, 2 for any other."""
        return self._multiplicity

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes `G_ii`, and `G_ij + G_ji` off the diagonal."""
        del parameters
        return self._entries(G + tf.linalg.matrix_transpose(G)) * self._weights(0.5)

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `(2 - delta_ab) v_ai v_bi` for entry (a, b)."""
        del parameters
        rows = tf.gather(V, self._row, axis=-2) * tf.gather(V, self._column, axis=-2)
        return tf.linalg.matrix_transpose(rows) * self._weights()

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `v_ai v_bj + v_bi v_aj` for entry (a, b), half that if a = b."""
        del parameters
        a, b = (tf.gather(V, k, axis=-2) for k in (self._row, self._column))
        a *= self._weights(0.5)[:, tf.newaxis]
        outer = a[..., :, tf.newaxis] * b[..., tf.newaxis, :]
        return outer + tf.linalg.matrix_transpose(outer)

    def _entries(self, A: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(A, tf.concat([tf.shape(A)[:-2], [self.order**2]], axis=0))
        return tf.gather(flat, self._row * self.order + self._column, axis=-1)

    def _weights(self, factor: float = 1.0) -> tf.Tensor:
        return tf.constant(factor * self._multiplicity, self.dtype)
