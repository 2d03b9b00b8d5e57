"""The constant that brings values nearest to targets by a robust loss."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.observations.robust import Robust

_STEPS = 20
"""Steps to the best shift; a Newton step doubles the number of right digits."""


def best_shift(
    deviations: tf.Tensor, roots: tf.Tensor, loss: Robust
) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the c that minimises `sum_i rho(root_i (c - d_i))`.

    Newton's method from the weighted median. A step is at most twice that of
    reweighted least squares, so that the sum never rises (Huber & Ronchetti, Robust
    Statistics, 2nd ed. (2009), section 7.8).

    Args:
        deviations: d `[..., m]`.
        roots: `[..., m]`, square roots of the weights.
        loss: The loss.

    Returns:
        c `[..., 1]`, differentiable once, and its derivatives by d, `[..., m]`.
    """
    d, roots = deviations, roots + tf.zeros_like(deviations)
    order = tf.argsort(d, axis=-1)
    rank = d.shape.rank - 1
    heap = tf.cumsum(tf.gather(roots, order, batch_dims=rank), axis=-1)
    below = tf.cast(heap < heap[..., -1:] / 2, tf.int32)
    middle = tf.reduce_sum(below, axis=-1, keepdims=True)
    c = tf.gather(tf.gather(d, order, batch_dims=rank), middle, batch_dims=rank)
    for _ in range(_STEPS):
        c = tf.stop_gradient(c - _share(d, c, roots, loss, 0.5)[0])
    step, share = _share(d, c, roots, loss, 1e-3)
    return c - step, share


def _share(
    d: tf.Tensor, c: tf.Tensor, roots: tf.Tensor, loss: Robust, floor: float
) -> tuple[tf.Tensor, tf.Tensor]:
    # A step, [..., 1], and the derivatives of the minimum by d, [..., m]. No curvature
    # counts as less than a fraction of that of reweighted least squares.
    x = roots * (c - d)
    weight = loss.weight(x)
    # At the minimum the sum below is 0: derivatives of what divides it do not count.
    s, fixed = loss.root(tf.stop_gradient(x)), tf.stop_gradient(weight)
    second = roots**2 * loss.bend(s) * loss.slope(s) ** 2
    least = floor * tf.reduce_sum(roots**2 * fixed, axis=-1, keepdims=True)
    total = tf.maximum(tf.reduce_sum(second, axis=-1, keepdims=True), least)
    return tf.reduce_sum(roots * x * weight, axis=-1, keepdims=True) / total, (
        second / total
    )
