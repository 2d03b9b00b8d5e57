"""When a loss is level, a gradient zero, or a burst lost, as far as rounding tells."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.problem.problem import Evaluation, Point, Problem
from eigenfit.problem.sizes import rounding

_DIVERGED = 1e3
"""Rise of the loss at which undamped steps are given up."""


def cosine_of(J: tf.Tensor, point: Evaluation) -> tf.Tensor:
    """Returns the largest cosine between the residual and a column of J, `[...]`.

    Args:
        J: `[..., m, p]`, with columns of norm 1 or less.
        point: The point with the residual; the result is NaN where that is zero.
    """
    along = tf.linalg.matvec(J, point.residual, transpose_a=True)
    return tf.reduce_max(tf.abs(along), axis=-1) / tf.sqrt(point.loss)


def orthogonal(problem: Problem, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
    """Returns the cosine up to which residual and columns are orthogonal, `[...]`.

    The loss resolves no less than the root of the machine epsilon, and the residual no
    less than its own rounding, which is usually far below its bound.
    """
    unit = epsilon(point.loss.dtype)
    least = tf.zeros_like(point.loss) + 8 * unit**0.5
    if not problem.is_least_squares:
        return least
    hidden = rounding(problem, point.eigenvalues, targets)
    return least + tf.math.divide_no_nan(hidden, 8 * tf.sqrt(point.loss))


def is_level(point: Evaluation | Point, loss: tf.Tensor) -> tf.Tensor:
    """Returns where a loss `[...]` is not below that of a point; true for NaN."""
    lower = point.loss * (1 - 4 * epsilon(loss.dtype))
    # Not `~(loss < lower)`, which the graph optimiser turns into `loss >= lower`, which
    # is false for NaN.
    return (loss >= lower) | tf.math.is_nan(loss - lower)


def has_diverged(loss: tf.Tensor, mark: tf.Tensor) -> tf.Tensor:
    """Returns which Newton bursts have diverged: `[...]`; true for NaN.

    Args:
        loss: `[...]`, loss after a step.
        mark: `[...]`, loss of the burst when it last fell by enough.
    """
    return (loss > _DIVERGED * mark) | tf.math.is_nan(loss)
