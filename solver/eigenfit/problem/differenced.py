"""The Hessian by differences of the exact gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.problem.lengths import lengths
from eigenfit.problem.problem import Problem

_PLACES = np.array([1.0, -1.0, 2.0, -2.0])


def hessian_at_solution(problem: Problem, point: Any, targets: tf.Tensor) -> tf.Tensor:
    """Computes the Hessian of the loss where its gradient vanishes: `[..., p, p]`.

    That of `Problem.hessian_at`; if mode shapes are observed, by `differenced_hessian`.

    Args:
        problem: The problem that was solved.
        point: Result of its `evaluate`.
        targets: `[..., m]`.
    """
    if problem.has_modes:
        return differenced_hessian(problem, point, targets)
    return problem.hessian_at(point, targets)


def differenced_hessian(problem: Problem, point: Any, targets: tf.Tensor) -> tf.Tensor:
    """Computes the Hessian of the loss by central differences, `[..., p, p]`.

    The rule is of fourth order, `(8 (g(h) - g(-h)) - (g(2h) - g(-2h))) / 12 h`, with h
    a fraction `t = eps^0.225` of the `lengths` of the parameters: for a function whose
    nearest singularity is one length away its error is `64 t^4` and that of rounding
    `eps / t`; both are 1e-12 in float64. All 4 p gradients are one batch. A robust loss
    changes over the errors of its data, far less than a length: `2 J^T B J` with its
    curvatures B is exact, and only the curvature of the values is differenced.

    Args:
        problem: A problem whose gradient is exact.
        point: Result of its `evaluate`.
        targets: `[..., m]`.

    Returns:
        `[..., p, p]`, symmetric; NaN for a member where the rules of second and of
        fourth order differ so much that neither can be trusted, as at a kink.
    """
    r = point.parameters
    size = epsilon(r.dtype) ** 0.225
    columns = tf.reduce_sum(problem.jacobian_at(point) ** 2, axis=-2)
    length = lengths(problem, point)
    # A parameter that no matrix depends on may have a prior, which is a parabola.
    seen = columns > 0
    own = tf.where(seen, 1 / tf.sqrt(tf.where(seen, columns, 1)), 0)
    length = tf.where(length > 0, length, own)
    number = problem.num_parameters
    offsets = np.concatenate([k * np.eye(number) for k in size * _PLACES])
    offsets = tf.constant(offsets, r.dtype) * length[..., tf.newaxis, :]
    points = r[..., tf.newaxis, :] + offsets
    # The steps actually made after rounding, not the intended ones.
    steps = tf.reshape(
        tf.reduce_sum(points - r[..., tf.newaxis, :], axis=-1),
        tf.concat([tf.shape(r)[:-1], [4, number]], axis=0),
    )
    t = tf.broadcast_to(
        targets[..., tf.newaxis, :],
        tf.concat([tf.shape(points)[:-1], tf.shape(targets)[-1:]], axis=0),
    )
    shape = tf.concat([tf.shape(r)[:-1], [4, number, number]], axis=0)
    robust = problem if problem.is_robust else None
    problem = problem.with_linear_losses()
    # One batch dimension, since an eigensolver may not accept more.
    if problem.unit is not None:
        unit = tf.broadcast_to(problem.unit[..., tf.newaxis], tf.shape(points)[:-1])
        weights = problem.member_weights
        if not isinstance(weights, tuple):
            weights = tf.repeat(weights, 4 * number, axis=0)
        problem = problem.in_unit(tf.reshape(unit, [-1]), weights)
    points = tf.reshape(points, [-1, number])
    t = tf.reshape(t, [-1, problem.num_targets])
    if robust is None:
        gradients = problem.gradient(points, t)
    else:
        score = robust.scores_at(point)[..., tf.newaxis, :]
        score = tf.repeat(score, 4 * number, axis=-2)
        score = tf.reshape(score, [-1, score.shape[-1]])
        J = problem.jacobian_at(problem.evaluate(points, t))
        gradients = 2 * tf.linalg.matvec(J, score, transpose_a=True)
    gradients = tf.reshape(gradients, shape)
    near = _quotient(gradients, steps, 0)
    far = _quotient(gradients, steps, 2)
    if robust is not None:
        J = robust.jacobian_at(point)
        bent = J * robust.bends_at(point)[..., tf.newaxis]
        curved = 2 * tf.linalg.matmul(J, bent, transpose_a=True)
        near, far = near + curved, far + curved
    H = near + (near - far) / 3
    H = (H + tf.linalg.matrix_transpose(H)) / 2
    scale = tf.sqrt(tf.maximum(tf.abs(tf.linalg.diag_part(H)), 2 * columns))
    allowed = scale[..., :, tf.newaxis] * scale[..., tf.newaxis, :]
    allowed *= epsilon(r.dtype) ** 0.25
    close = tf.reduce_all(tf.abs(near - far) <= allowed, axis=[-2, -1], keepdims=True)
    return tf.where(close, H, tf.constant(float("nan"), H.dtype))


def _quotient(gradients: tf.Tensor, steps: tf.Tensor, place: int) -> tf.Tensor:
    # Central difference for the pair of steps at `place`: [..., p, p].
    width = steps[..., place, :] - steps[..., place + 1, :]
    rise = gradients[..., place, :, :] - gradients[..., place + 1, :, :]
    moved = (width > 0)[..., tf.newaxis]
    width = width[..., tf.newaxis]
    return tf.where(
        moved, rise / tf.where(moved, width, tf.ones_like(width)), tf.zeros_like(rise)
    )
