"""Quadratic forms of matrices in eigenvectors, such as derivatives of levels."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class LevelForms:
    """The numbers `Re v_i^H basis_k v_i` for all levels i and matrices k.

    Two formulas are available. One sums `Re(basis_ab conj(v_a) v_b)`, twice if a > b,
    over the s entries (a, b), a >= b, that are nonzero in some matrix: a product of
    `[n, s]` with `[s, p]`. The other first computes all `basis_k v_i`, `p n^2` numbers.
    The one with fewer numbers is chosen.

    Args:
        bases: `[p, n, n]` Hermitian matrices, or `[B, p, n, n]` for B groups of them.
        dtype: Dtype of the matrices.

    Example:
        >>> forms = LevelForms(np.ones([1, 2, 2]), tf.float64)
        >>> forms(tf.constant([[0.6, 0.8], [0.8, -0.6]], tf.float64)).numpy()
        array([[1.96],
               [0.04]])
    """

    def __init__(self, bases: np.ndarray, dtype: tf.DType) -> None:
        self._shape = bases.shape[-3:]
        if bases.ndim == 4 and len(bases) == 1:
            # One product for a whole batch. TensorFlow 2.21 with oneDNN writes
            # beyond its memory when `[b, 1, k, s]` is multiplied by `[1, s, p]` in
            # single precision (github.com/tensorflow/tensorflow/issues/117700).
            bases = bases[0]
        p, n, _ = self._shape
        # Entries below the diagonal count twice.
        rows, columns = np.nonzero(
            np.tril((bases != 0).any(axis=(*range(bases.ndim - 2),)))
        )
        self._support = (rows, columns) if len(rows) <= p * n else None
        if self._support is None:
            # [(B,) p n, n]
            flat = bases.reshape([*bases.shape[:-3], p * n, n])
            self._factors = tf.constant(flat, dtype)
            return
        forms = bases[..., rows, columns] * np.where(rows == columns, 1, 2)
        if dtype.is_complex:
            forms = np.concatenate([np.real(forms), -np.imag(forms)], axis=-1)
        # [(B,) s, p]
        self._factors = tf.constant(forms.swapaxes(-1, -2), dtype.real_dtype)

    def __call__(self, V: tf.Tensor) -> tf.Tensor:
        """Computes the forms, `[..., (B,) k, p]`, of vectors `[..., (B,) n, k]`."""
        if self._support is None:
            return self._by_products(V)
        rows, columns = self._support
        products = tf.math.conj(tf.gather(V, rows, axis=-2)) * tf.gather(
            V, columns, axis=-2
        )
        products = tf.linalg.matrix_transpose(products)
        if products.dtype.is_complex:
            parts = [tf.math.real(products), tf.math.imag(products)]
            products = tf.concat(parts, axis=-1)
        if self._factors.shape.rank == 2:
            return tf.tensordot(products, self._factors, axes=1)
        return tf.linalg.matmul(products, self._factors)

    def _by_products(self, V: tf.Tensor) -> tf.Tensor:
        vectors = tf.linalg.matrix_transpose(V)  # [..., (B,) k, n]
        if self._factors.shape.rank == 2:
            # Without broadcasting: one product for a whole batch.
            images = tf.tensordot(vectors, self._factors, axes=[[-1], [-1]])
        else:
            images = tf.linalg.matmul(vectors, self._factors, transpose_b=True)
        shape = tf.concat([tf.shape(vectors)[:-1], self._shape[:2]], axis=0)
        images = tf.reshape(images, shape)  # [..., (B,) k, p, n]
        return tf.math.real(tf.linalg.matvec(images, tf.math.conj(vectors)))


def level_forms(D: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
    """Computes `v_i^H D_k v_i`: `[..., k, p]` from `[..., p, n, n]`, `[..., n, k]`."""
    p, n, batch = tf.shape(D)[-3], tf.shape(V)[-2], tf.shape(V)[:-2]
    images = tf.linalg.matmul(tf.reshape(D, tf.concat([batch, [p * n, n]], 0)), V)
    images = tf.reshape(images, tf.concat([batch, [p, n], tf.shape(V)[-1:]], 0))
    products = images * tf.math.conj(V)[..., tf.newaxis, :, :]
    sums = tf.math.real(tf.reduce_sum(products, axis=-2))
    return tf.linalg.matrix_transpose(sums)


def rotated(D: tf.Tensor, V: tf.Tensor) -> tf.Tensor:
    """Computes `V^H D_k V`: `[..., p, k, k]` from `[..., p, n, n]`, `[..., n, k]`."""
    # Two tall products without broadcasting, instead of p small ones each.
    p, n, k = tf.shape(D)[-3], tf.shape(V)[-2], tf.shape(V)[-1]
    batch = tf.shape(V)[:-2]
    right = tf.linalg.matmul(tf.reshape(D, tf.concat([batch, [p * n, n]], 0)), V)
    right = tf.reshape(right, tf.concat([batch, [p, n, k]], 0))
    rows = tf.reshape(
        tf.linalg.matrix_transpose(right), tf.concat([batch, [p * k, n]], 0)
    )
    both = tf.linalg.matmul(rows, tf.math.conj(V))
    both = tf.reshape(both, tf.concat([batch, [p, k, k]], 0))
    return tf.linalg.matrix_transpose(both)


def quadratic(A: tf.Tensor, X: tf.Tensor) -> tf.Tensor:
    """Computes `|x_i|^T A |x_i|` for magnitudes A and the columns of X: `[..., n]`."""
    X = tf.abs(X)
    return tf.reduce_sum(X * tf.linalg.matmul(A, X), axis=-2)
