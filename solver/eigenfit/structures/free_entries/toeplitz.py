"""Real symmetric Toeplitz matrices."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.structures.base import AbstractLinearStructure
from eigenfit.tensors.checks import positive_int, real_dtype
from eigenfit.tensors.types import DTypeLike


class Toeplitz(AbstractLinearStructure):
    """`A_ij = r_|i-j|`: a parameter for each diagonal, so that p = n.

    Example:
        >>> r = tf.constant([2.0, -1.0, 0.5], tf.float64)
        >>> Toeplitz(3).assemble(r).numpy()
        array([[ 2. , -1. ,  0.5],
               [-1. ,  2. , -1. ],
               [ 0.5, -1. ,  2. ]])
    """

    def __init__(
        self, order: int, dtype: DTypeLike = tf.float64, name: str | None = None
    ) -> None:
        order = positive_int("order", order)
        dtype = real_dtype(dtype)
        super().__init__(order, order, dtype, name)
        self._distance = np.abs(np.arange(order)[:, None] - np.arange(order))

    def __repr__(self) -> str:
        return f"Toeplitz(order={self.order}, dtype={self.dtype.name})"

    def assemble(self, parameters: tf.Tensor) -> tf.Tensor:
        """Builds A(r); see the base class."""
        return tf.gather(parameters, self._distance, axis=-1)

    def squared_norms(self) -> np.ndarray:
        """Counts the entries of each pair of diagonals."""
        return np.bincount(self._distance.ravel()).astype(float)

    def pullback(self, parameters: tf.Tensor, G: tf.Tensor) -> tf.Tensor:
        """Sums the diagonals of `G`, in `n^2` operations."""
        del parameters
        n = self.order
        # Each row, from below, is followed by n zeros and read with one entry less:
        # row i moves i places to the right, and a diagonal becomes a column.
        G = tf.concat([tf.reverse(G, axis=[-2]), tf.zeros_like(G)], axis=-1)
        batch = tf.shape(G)[:-2]
        flat = tf.reshape(G, tf.concat([batch, [2 * n * n]], axis=0))[..., :-n]
        skewed = tf.reshape(flat, tf.concat([batch, [n, 2 * n - 1]], axis=0))
        sums = tf.reduce_sum(skewed, axis=-2)
        below = tf.reverse(sums[..., : n - 1], axis=[-1])
        return sums[..., n - 1 :] + tf.concat([tf.zeros_like(sums[..., :1]), below], -1)

    def level_jacobian(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes the autocorrelations `(2 - delta_k0) sum_a v_a v_(a+k)` by FFT."""
        del parameters
        spectrum = self._spectrum(V)
        return self._correlation(spectrum * tf.math.conj(spectrum))

    def rotated_derivatives(self, parameters: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
        """Computes the correlations of each pair of eigenvectors by FFT.

        They are `sum_a v_ai v_(a+k)j + v_aj v_(a+k)i`, half that for k = 0.
        """
        del parameters
        spectrum = self._spectrum(V)
        product = spectrum[..., :, tf.newaxis, :] * tf.math.conj(
            spectrum[..., tf.newaxis, :, :]
        )
        # Both orders at once, since the other one has the conjugate spectrum.
        product = tf.cast(tf.math.real(product), product.dtype)
        correlation = self._correlation(product)
        k = tf.shape(V)[-1]
        batch = tf.shape(V)[:-2]
        flat = tf.reshape(correlation, tf.concat([batch, [k * k, self.order]], 0))
        flat = tf.linalg.matrix_transpose(flat)
        return tf.reshape(flat, tf.concat([batch, [self.order, k, k]], axis=0))

    def _spectrum(self, V: tf.Tensor) -> tf.Tensor:
        rows = tf.linalg.matrix_transpose(V)
        return tf.signal.rfft(tf.concat([rows, tf.zeros_like(rows)], axis=-1))

    def _correlation(self, spectrum: tf.Tensor) -> tf.Tensor:
        correlation = tf.signal.irfft(spectrum, [2 * self.order])[..., : self.order]
        twice = np.where(np.arange(self.order) == 0, 1.0, 2.0)
        return correlation * tf.constant(twice, self.dtype)
