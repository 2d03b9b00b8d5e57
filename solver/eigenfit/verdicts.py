"""Whether a fit that can go no further found a minimum."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from eigenfit.batching import select
from eigenfit.differenced import differenced_hessian
from eigenfit.eigen import decompose, epsilon
from eigenfit.loop import Run
from eigenfit.methods import gauss_newton
from eigenfit.methods.flatness import cosine_of, orthogonal
from eigenfit.problem import Problem
from eigenfit.results import Result
from eigenfit.xla import inside_xla

_NUMBERS = 2**23
"""Numbers that the second derivatives of the members looked at together may take."""


def verdicts(problem: Problem, run: Run, targets: tf.Tensor) -> tf.Tensor:
    """Tells minima of least squares from other places where a fit ends.

    A member that ended `stationary`, or `stalled` with a gradient that is zero within
    the rounding of its residual, is at a `minimum` if the data need not be met exactly
    (see `Problem.is_least_squares`) and no curvature of the loss is negative, in the
    directions that bounds leave free. Where that cannot be computed, at a kink of the
    loss, none is.

    Args:
        problem: What was fitted.
        run: Whose members have ended.
        targets: `[b, m]`.

    Returns:
        The results of all members, `[b]` int32.
    """
    result = run.members.result
    if not problem.is_least_squares:
        return result
    asked = (result == Result.stationary) | (result == Result.stalled)
    data = (run.members.answer.parameters, targets, run.scales.unit, result)
    if inside_xla():
        judged = tf.cond(
            tf.reduce_any(asked), lambda: judge(problem, *data), lambda: result
        )
        return tf.where(asked, judged, result)

    def some() -> tf.Tensor:
        index = tf.reshape(tf.where(asked), [-1])
        # In parts of equal size, the last one filled up with a member of it.
        number = _members_at_once(problem)
        parts = -(-tf.size(index) // number)
        number = tf.minimum(number, tf.size(index))
        index = tf.concat(
            [index, tf.fill([parts * number - tf.size(index)], index[-1])], 0
        )
        codes = tf.map_fn(
            lambda part: judge(problem, *(tf.gather(x, part) for x in data)),
            tf.reshape(index, [parts, number]),
            fn_output_signature=tf.TensorSpec([None], tf.int32),
            parallel_iterations=1,
        )
        return tf.tensor_scatter_nd_update(
            result, index[:, tf.newaxis], tf.reshape(codes, [-1])
        )

    return tf.cond(tf.reduce_any(asked), some, lambda: result)


def judge(
    problem: Problem,
    parameters: tf.Tensor,
    targets: tf.Tensor,
    unit: tf.Tensor,
    result: tf.Tensor,
) -> tf.Tensor:
    """Judges members that ended `stationary` or `stalled`; see `verdicts`.

    Args:
        problem: What was fitted.
        parameters: `[b, p]`.
        targets: `[b, m]`.
        unit: `[b]`, of residuals.
        result: `[b]` int32.

    Returns:
        `[b]` int32.
    """
    problem = problem.in_unit(unit)
    point = problem.evaluate(parameters, targets)
    J = gauss_newton.hold(problem, point, problem.jacobian_at(point))
    H = _hessian(problem, point, targets) / 2
    held = tf.reduce_all(J == 0, axis=-2) & (problem.on_bounds(parameters) != 0)
    either = held[:, :, tf.newaxis] | held[:, tf.newaxis, :]
    H = tf.where(either, tf.zeros_like(H), H)
    squares = gauss_newton.squared_columns(J)
    norms = gauss_newton.roots(tf.maximum(squares, tf.abs(tf.linalg.diag_part(H))))
    H /= norms[:, tf.newaxis, :] * norms[:, :, tf.newaxis]
    w, _ = decompose(H)
    allowed = 8 * epsilon(w.dtype) ** 0.5 * tf.maximum(tf.abs(w[:, -1]), 1)
    bends_down = w[:, 0] < -allowed  # False for NaN
    cosine = cosine_of(J / gauss_newton.roots(squares)[:, tf.newaxis, :], point)
    flat = cosine <= orthogonal(problem, point, targets)
    flat |= result == Result.stationary
    judged = tf.where(bends_down, int(Result.stationary), int(Result.minimum))
    return tf.where(flat, judged, result)


def _hessian(problem: Problem, point: Any, targets: tf.Tensor) -> tf.Tensor:
    H = problem.hessian_at_solution(point, targets)
    # Levels that coincide whatever the parameters are make no kink, though the formula
    # cannot know.
    unknown = tf.reduce_any(tf.math.is_nan(H), axis=[-2, -1])
    return tf.cond(
        tf.reduce_any(unknown),
        lambda: select(unknown, differenced_hessian(problem, point, targets), H),
        lambda: H,
    )


def _members_at_once(problem: Problem) -> int:
    p, n = problem.num_parameters, problem.order
    return max(1, _NUMBERS // (p * (n * n + p) + problem.num_levels**2))
