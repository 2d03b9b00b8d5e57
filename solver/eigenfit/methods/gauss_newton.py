"""The damped Gauss-Newton direction, in the smaller of its two forms."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.eigen import epsilon


def gradient(J: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    """Computes `J^T residual`, half the gradient of the loss: `[..., p]`."""
    return tf.linalg.matvec(J, residual, transpose_a=True)


def direction(J: tf.Tensor, residual: tf.Tensor, mu: tf.Tensor) -> tf.Tensor:
    """Minimises `|J d + residual|^2 + mu |d|^2`.

    With m residuals and p parameters this solves `(J^T J + mu) d = -J^T residual`, or
    for p > m the dual `(J J^T + mu) y = -residual`, `d = J^T y`, by Cholesky.

    Args:
        J: `[..., m, p]`, its columns scaled to norm 1 or less.
        residual: `[..., m]`.
        mu: `[...]`, not negative; raised to the rounding level of the matrix, so that
            this is positive definite.

    Returns:
        `[..., p]`; zero for a member that is not finite.
    """
    m, p = J.shape[-2], J.shape[-1]
    dual = p > m
    S = tf.linalg.matmul(J, J, transpose_a=not dual, transpose_b=dual)
    identity = tf.eye(min(m, p), dtype=S.dtype)
    # The trace of S is at most p.
    floor = 8 * p * epsilon(S.dtype)
    S += tf.maximum(mu, floor)[..., tf.newaxis, tf.newaxis] * identity
    right = residual if dual else gradient(J, residual)
    # Cholesky raises for the whole batch when one member is not finite.
    finite = tf.reduce_all(tf.math.is_finite(S), axis=[-2, -1])
    finite &= tf.reduce_all(tf.math.is_finite(right), axis=-1)
    S = tf.where(finite[..., tf.newaxis, tf.newaxis], S, identity)
    right = tf.where(finite[..., tf.newaxis], right, tf.zeros_like(right))
    solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(S), -right[..., tf.newaxis])
    if dual:
        J = tf.where(finite[..., tf.newaxis, tf.newaxis], J, tf.zeros_like(J))
        return tf.linalg.matvec(J, solved[..., 0], transpose_a=True)
    return solved[..., 0]
