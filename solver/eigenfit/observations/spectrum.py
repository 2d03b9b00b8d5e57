"""What an observation is given: the spectrum of a matrix, with derivatives."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import tensorflow as tf

from eigenfit.eigen import cluster_width, epsilon
from eigenfit.structures import AbstractStructure


class Spectrum:
    """The levels and mode shapes of one matrix at one point, with derivatives.

    Args:
        structure: Structure of the matrix.
        parameters: `[..., p]`, the point.
        eigenvalues: `[..., n]`, ascending.
        eigenvectors: `[..., n, n]`, in columns.
        level_jacobian: `[..., n, p]`, derivatives of the eigenvalues.
    """

    def __init__(
        self,
        structure: AbstractStructure,
        parameters: tf.Tensor,
        eigenvalues: tf.Tensor,
        eigenvectors: tf.Tensor,
        level_jacobian: tf.Tensor,
    ) -> None:
        self.structure = structure
        self.parameters = parameters
        self.eigenvalues = eigenvalues
        self.eigenvectors = eigenvectors
        self.level_jacobian = level_jacobian

    @cached_property
    def modes(self) -> tf.Tensor:
        """Mode shapes `[..., n, n]` in columns."""
        return self.structure.modes(self.parameters, self.eigenvectors)

    @cached_property
    def backward_errors(self) -> tf.Tensor:
        """Rounding error of each level, `[..., n]`, estimated without `|A|`.

        It is the residual `|A v_i - lambda_i v_i|` left by the eigensolver plus the
        effect of rounding the entries, `eps |x_i|^H |K| |x_i|`, with `|lambda_i|
        |x_i|^H |M| |x_i|` added where a mass varies. A level that the stiff part of a
        matrix does not affect is known better than `eps ||A||`.
        """
        w, V = self.eigenvalues, self.eigenvectors
        A = self.structure.assemble(self.parameters)
        left = tf.linalg.matmul(A, V) - V * tf.cast(w, V.dtype)[..., tf.newaxis, :]
        entries = self.structure.magnitudes(self.parameters, w, self.modes)
        return tf.norm(tf.abs(left), axis=-2) + epsilon(w.dtype) * entries

    def mode_jacobian(
        self, levels: np.ndarray, atol: float = 0.0, rtol: float | None = None
    ) -> tf.Tensor:
        """Computes derivatives of mode shapes: `[..., k, n, p]` for k levels.

        NaN where a level belongs to a cluster, in which its mode is not determined.

        Args:
            levels: `[k]`, indices of the levels.
            atol: Two levels belong to one cluster when they differ by at most `atol +
                rtol max |lambda|`.
            rtol: By default `rtol max |lambda|` is replaced by 8 times the
                `backward_errors` of both: a vector is off by that error over the gap.
        """
        w, X = self.eigenvalues, self.modes
        N, lengths = self.structure.mode_derivatives(self.parameters, w, X)
        N = tf.gather(N, levels, axis=-1)
        gap = tf.gather(w, levels, axis=-1)[..., tf.newaxis, :] - w[..., tf.newaxis]
        itself = np.arange(w.shape[-1])[:, None] == levels
        if rtol is None:
            errors = self.backward_errors
            own = tf.gather(errors, levels, axis=-1)[..., tf.newaxis, :]
            width = atol + 8 * (own + errors[..., tf.newaxis])
        else:
            width = cluster_width(w, atol, rtol)[..., tf.newaxis, tf.newaxis]
        nan = tf.constant(float("nan"), w.dtype)
        gap = tf.where(tf.abs(gap) <= width, nan, gap)
        factor = tf.where(itself, tf.zeros_like(gap), 1 / gap)
        coefficients = N * factor[..., tf.newaxis, :, :]
        dX = tf.linalg.matmul(X[..., tf.newaxis, :, :], coefficients)
        # [..., p, n, k] -> [..., k, n, p]
        rank = dX.shape.rank
        batch = list(range(rank - 3))
        dX = tf.transpose(dX, [*batch, rank - 1, rank - 2, rank - 3])
        if lengths is None:
            return dX
        lengths = tf.gather(lengths, levels, axis=-2)[..., tf.newaxis, :]
        chosen = tf.linalg.matrix_transpose(tf.gather(X, levels, axis=-1))
        return dX + chosen[..., tf.newaxis] * lengths
