"""Gaussian priors of unknowns as further residuals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Prior(NamedTuple):
    """Adds `((x - mean) / sigma)^2` to the loss for q of the unknowns."""

    places: np.ndarray  # [q] int
    mean: np.ndarray  # [q]
    sigma: np.ndarray  # [q]

    def extend(self, residual: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Appends `(x - mean) / sigma`: `[..., m + q]` from `[..., m]`."""
        own = tf.gather(parameters, self.places, axis=-1)
        mean, sigma = (tf.constant(x, own.dtype) for x in (self.mean, self.sigma))
        return tf.concat([residual, (own - mean) / sigma], axis=-1)

    def extend_jacobian(self, J: tf.Tensor) -> tf.Tensor:
        """Appends the derivatives of that: `[..., m + q, p]` from `[..., m, p]`."""
        rows = np.eye(J.shape[-1])[self.places] / self.sigma[:, np.newaxis]
        shape = tf.concat([tf.shape(J)[:-2], rows.shape], axis=0)
        rows = tf.broadcast_to(tf.constant(rows, J.dtype), shape)
        return tf.concat([J, rows], axis=-2)

    def hessian(self, number: int) -> np.ndarray:
        """Gives the Hessian for a number p of unknowns, `[p, p]`."""
        diagonal = np.zeros(number)
        diagonal[self.places] = 2 / self.sigma**2
        return np.diag(diagonal)
