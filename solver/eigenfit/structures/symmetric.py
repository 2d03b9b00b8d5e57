"""All real symmetric matrices, packed by diagonals outwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import (
    AbstractFullStructure,
    float_dtype,
    positive_int,
)


class Symmetric(AbstractFullStructure):
    """Every real symmetric matrix of an order; `p = n (n + 1) / 2` parameters.

    The diagonal comes first, then each subdiagonal, outwards to the corner: diagonal
    k contributes its `n - k` entries after those of diagonal `k - 1`.

    Example:
        >>> r = tf.constant([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], tf.float64)
        >>> Symmetric(3).assemble(r).numpy()
        array([[0., 3., 5.],
               [3., 1., 4.],
               [5., 4., 2.]])
    """

    def __init__(
        self, order: int, dtype: Any = tf.float64, name: str | None = None
    ) -> None:
        order = positive_int("order", order)
        if float_dtype(dtype).is_complex:
            raise TypeError(
                f"`dtype` of a real symmetric matrix must be float32 or float64, got "
                f"{tf.as_dtype(dtype).name}."
            )
        super().__init__(order, order * (order + 1) // 2, dtype, name)
        offset, column = np.divmod(np.arange(order * order), order)
        inside = offset + column < order
        # Entry k of r stands at (row[k], column[k]) of the lower triangle.
        self._column = column[inside]
        self._row = self._column + offset[inside]
        self._index = np.empty([order, order], np.int32)
        self._index[self._row, self._column] = np.arange(self.num_parameters)
        self._index[self._column, self._row] = np.arange(self.num_parameters)
        self._multiplicity = np.where(self._row == self._column, 1.0, 2.0)

    def __repr__(self) -> str:
        return f"Symmetric(order={self.order}, dtype={self.dtype.name})"

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        return tf.gather(parameters, self._index, axis=-1)

    def squared_norms(self) -> np.ndarray:
        """Gives 1 for a diagonal entry and 2 for another."""
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

    def disassemble(self, A: tf.Tensor) -> tf.Tensor:
        """Reads the lower triangle of `A`."""
        return self._entries(A)

    def _entries(self, A: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(A, tf.concat([tf.shape(A)[:-2], [self.order**2]], axis=0))
        return tf.gather(flat, self._row * self.order + self._column, axis=-1)

    def _weights(self, factor: float = 1.0) -> tf.Tensor:
        return tf.constant(factor * self._multiplicity, self.dtype)
