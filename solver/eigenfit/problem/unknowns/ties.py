"""How the parameters of matrices depend on the unknowns of a fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Ties(NamedTuple):
    """Gives the P parameters of the matrices as `matrix x + offset` for unknowns x.

    Without a matrix the parameters are the unknowns.
    """

    matrix: np.ndarray | None = None  # [P, p]
    offset: np.ndarray | None = None  # [P]

    def expand(self, unknowns: tf.Tensor) -> tf.Tensor:
        """Computes the parameters `[..., P]` for unknowns `[..., p]`."""
        if self.matrix is None:
            return unknowns
        T = tf.constant(self.matrix, unknowns.dtype)
        fixed = tf.constant(self.offset, unknowns.dtype)
        return tf.tensordot(unknowns, T, axes=[[-1], [1]]) + fixed

    def pull(self, derivatives: tf.Tensor) -> tf.Tensor:
        """Turns derivatives by the parameters, `[..., P]`, into those by the unknowns.

        Returns:
            `[..., p]`.
        """
        if self.matrix is None:
            return derivatives
        T = tf.constant(self.matrix, derivatives.dtype)
        return tf.tensordot(derivatives, T, axes=1)

    def pull_matrices(self, derivatives: tf.Tensor) -> tf.Tensor:
        """Turns matrices dA/dr_k, `[..., P, n, n]`, into those by the unknowns.

        Returns:
            `[..., p, n, n]`.
        """
        if self.matrix is None:
            return derivatives
        T = tf.constant(self.matrix, derivatives.dtype)
        return tf.einsum("...qij,qk->...kij", derivatives, T)

    def pull_twice(self, second: tf.Tensor) -> tf.Tensor:
        """Turns second derivatives `[..., P, P]` into those by the unknowns.

        Returns:
            `[..., p, p]`.
        """
        if self.matrix is None:
            return second
        T = tf.constant(self.matrix, second.dtype)
        return tf.einsum("...qs,qk,sl->...kl", second, T, T)
