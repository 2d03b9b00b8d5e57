"""When a loss is level, a gradient zero, or a burst lost, as far as rounding tells."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.problem.problem import Evaluation, Point, Problem
from eigenfit.problem.sizes import rounding

_DIVERGED = 1e3
"""Rise of the loss at which undamped steps are given up."""


def is_orthogonal(
    problem: Problem,
    point: Evaluation,
    targets: tf.Tensor,
    half_gradient: tf.Tensor,
    most: float | None = None,
) -> tf.Tensor:
    """Returns where the residual is orthogonal to the columns of J, `[...]`.

    Args:
        problem: The problem to fit.
        point: The point with the residual; false where that is zero.
        targets: `[..., m]`.
        half_gradient: `[..., p]`, `J^T residual` of columns of norm 1 or less.
        most: Largest cosine that counts as orthogonal; by default that of
            `orthogonal`.
    """
    cosine = tf.reduce_max(tf.abs(half_gradient), axis=-1) / tf.sqrt(point.loss)
    return cosine <= (most or orthogonal(problem, point, targets))


def orthogonal(
    problem: Problem, point: Evaluation, targets: tf.Tensor
) -> tf.Tensor | float:
    """Returns the cosine up to which residual and columns are orthogonal, `[...]`.

    The loss resolves no less than the root of the machine epsilon, and the residual no
    less than its own rounding, which is usually far below its bound.
    """
    least = 8 * epsilon(point.loss.dtype) ** 0.5
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
