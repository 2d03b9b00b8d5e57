"""All complex Hermitian matrices."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractFullStructure, AbstractLinearStructure
from eigenfit.tensors.checks import float_dtype, positive_int
from eigenfit.tensors.types import DTypeLike


class Hermitian(AbstractLinearStructure, AbstractFullStructure):
    """Every complex Hermitian matrix of an order; `p = n^2` real parameters.

    The real parts come first, packed by diagonals outwards like `Symmetric`, then the
    imaginary parts of the entries below the diagonal in the same order.

    Example:
        >>> r = tf.constant([1.0, 2.0, 3.0, 4.0], tf.float64)
        >>> Hermitian(2).assemble(r).numpy()
        array([[1.+0.j, 3.-4.j],
               [3.+4.j, 2.+0.j]])
    """

    def __init__(
        self, order: int, dtype: DTypeLike = tf.complex128, name: str | None = None
    ) -> None:
        order = positive_int("order", order)
        if not float_dtype(dtype).is_complex:
            raise TypeError(
                f"`dtype` of a complex Hermitian matrix must be complex64 or "
                f"complex128, got {tf.as_dtype(dtype).name}. For real matrices use "
                f"Symmetric."
            )
        super().__init__(order, order**2, dtype, name)
        offset, column = np.divmod(np.arange(order * order), order)
        inside = offset + column < order
        self._column = column[inside]
        self._row = self._column + offset[inside]
        self._real = np.empty([order, order], np.int32)
        self._imag = np.zeros([order, order], np.int32)
        self._sign = np.sign(np.arange(order)[:, None] - np.arange(order))
        packed = np.arange(len(self._row))
        for rows, columns in ((self._row, self._column), (self._column, self._row)):
            self._real[rows, columns] = packed
            # Where the sign is 0, on the diagonal, any parameter will do.
            below = packed >= order
            self._imag[rows[below], columns[below]] = (
                packed[below] - order + len(packed)
            )

    def __repr__(self) -> str:
        return f"Hermitian(order={self.order}, dtype={self.dtype.name})"

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        sign = tf.constant(self._sign, self.parameter_dtype)
        return tf.complex(
            tf.gather(parameters, self._real, axis=-1),
            tf.gather(parameters, self._imag, axis=-1) * sign,
        )

    def squared_norms(self) -> np.ndarray:
        """Returns 1 for a diagonal entry, 2 for any other part."""
        return np.where(np.arange(self.num_parameters) < self.order, 1.0, 2.0)

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Computes the parts of the Hermitian part of `G`, doubled off the diagonal."""
        del parameters
        entries = self._entries((G + tf.linalg.adjoint(G)) / 2)
        return self._parts(entries) * self._weights()

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `(2 - delta_ab)` times the parts of `v_ai conj(v_bi)`."""
        del parameters
        rows = tf.linalg.matrix_transpose(V)
        products = tf.gather(rows, self._row, axis=-1) * tf.math.conj(
            tf.gather(rows, self._column, axis=-1)
        )
        return self._parts(products) * self._weights()

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes `X + X^H`, half that if a = b, and `i (X - X^H)`.

        Here `X_ij = conj(v_ai) v_bj` for entry (a, b).
        """
        del parameters
        a, b = (tf.gather(V, k, axis=-2) for k in (self._row, self._column))
        X = tf.math.conj(a)[..., :, tf.newaxis] * b[..., tf.newaxis, :]
        below = X[..., self.order :, :, :]
        real = tf.concat([X[..., : self.order, :, :] / 2, below], axis=-3)
        imaginary = 1j * below
        X = tf.concat([real, imaginary], axis=-3)
        return X + tf.linalg.adjoint(X)

    def disassemble(self, A: tf.Tensor) -> tf.Tensor:
        """Reads the lower triangle of `A`."""
        return self._parts(self._entries(A))

    def _entries(self, A: tf.Tensor) -> tf.Tensor:
        flat = tf.reshape(A, tf.concat([tf.shape(A)[:-2], [self.order**2]], axis=0))
        return tf.gather(flat, self._row * self.order + self._column, axis=-1)

    def _parts(self, entries: tf.Tensor) -> tf.Tensor:
        imaginary = tf.math.imag(entries[..., self.order :])
        return tf.concat([tf.math.real(entries), imaginary], axis=-1)

    def _weights(self) -> tf.Tensor:
        return tf.constant(self.squared_norms(), self.parameter_dtype)
