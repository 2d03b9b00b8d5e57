"""What a fit that can go no further has found."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from eigenfit.batching import select
from eigenfit.differenced import differenced_hessian
from eigenfit.eigen import decompose, epsilon
from eigenfit.methods import gauss_newton
from eigenfit.problem import Problem
from eigenfit.results import Result
from eigenfit.xla import inside_xla, where_any

_NUMBERS = 2**23
"""Numbers that the second derivatives of the members looked at together may take."""

_PROMISE = 1e-8
"""Part of the loss that a whole step may still promise at a minimum: a ten-thousandth
of the residual."""


def verdicts(
    problem: Problem,
    parameters: tf.Tensor,
    targets: tf.Tensor,
    unit: tf.Tensor,
    tolerance: tf.Tensor,
    result: tf.Tensor,
) -> tf.Tensor:
    """Judges the members that ended `stationary` or `stalled`.

    - `converged`, if no tolerance was given and the residual is rounding of the levels;
    - `minimum`, if data need not be met exactly (see `Problem.is_least_squares`), a
      whole Gauss-Newton step promises to lower the loss by no more than its rounding
      or 1e-8 of it, and no curvature is negative in the directions that bounds leave
      free. At a kink of the loss, where there is no curvature, none is;
    - else what it was, `stationary` if a curvature is negative.

    Args:
        problem: What was fitted.
        parameters: `[b, p]`, where members have ended.
        targets: `[b, m]`.
        unit: `[b]`, of residuals.
        tolerance: `[b]`, 0 for the default.
        result: `[b]` int32, as the loop left it.

    Returns:
        The results of all members, `[b]` int32.
    """
    asked = needs_verdict(problem, tolerance, result)
    data = (parameters, targets, unit, tolerance, result)
    if inside_xla() or not problem.is_least_squares:
        judged = where_any(asked, lambda: judge(problem, *data), result)
        return tf.where(asked, judged, result)

    def some() -> tf.Tensor:
        index = tf.reshape(tf.where(asked), [-1])
        # In parts of equal size, the last one filled up with a member of it.
        number = tf.minimum(_members_at_once(problem), tf.size(index))
        parts = -(-tf.size(index) // number)
        more = tf.fill([parts * number - tf.size(index)], index[-1])
        index = tf.concat([index, more], axis=0)
        codes = tf.map_fn(
            tf.autograph.experimental.do_not_convert(
                lambda part: judge(problem, *(tf.gather(x, part) for x in data))
            ),
            tf.reshape(index, [parts, number]),
            fn_output_signature=tf.TensorSpec([None], tf.int32),
            parallel_iterations=1,
        )
        return tf.tensor_scatter_nd_update(
            result, index[:, tf.newaxis], tf.reshape(codes, [-1])
        )

    return where_any(asked, some, result)


def needs_verdict(problem: Problem, tolerance: Any, result: Any) -> Any:
    """Says which results of the loop are for `verdicts` to judge: `[...]` bool."""
    ended = (result == int(Result.stationary)) | (result == int(Result.stalled))
    return ended if problem.is_least_squares else ended & (tolerance == 0)


def judge(
    problem: Problem,
    parameters: tf.Tensor,
    targets: tf.Tensor,
    unit: tf.Tensor,
    tolerance: tf.Tensor,
    result: tf.Tensor,
) -> tf.Tensor:
    """Judges members that ended `stationary` or `stalled`; see `verdicts`.

    Args:
        problem: What was fitted.
        parameters: `[b, p]`.
        targets: `[b, m]`.
        unit: `[b]`, of residuals.
        tolerance: `[b]`.
        result: `[b]` int32.

    Returns:
        `[b]` int32.
    """
    problem = problem.in_unit(unit)
    point = problem.evaluate(parameters, targets)
    rounding = problem.rounding_at(point, targets)
    norm = tf.sqrt(point.loss)
    if problem.is_least_squares:
        result = _minima(problem, point, targets, norm * rounding, result)
    met = (tolerance == 0) & (norm <= rounding)
    return tf.where(met, int(Result.converged), result)


def _minima(
    problem: Problem,
    point: Any,
    targets: tf.Tensor,
    rounding: tf.Tensor,
    result: tf.Tensor,
) -> tf.Tensor:
    J = gauss_newton.hold(problem, point, problem.jacobian_at(point))
    H = _hessian(problem, point, targets) / 2
    on_bound = problem.on_bounds(point.parameters) != 0
    held = tf.reduce_all(J == 0, axis=-2) & on_bound
    either = held[:, :, tf.newaxis] | held[:, tf.newaxis, :]
    H = tf.where(either, tf.zeros_like(H), H)
    squares = gauss_newton.squared_columns(J)
    norms = gauss_newton.roots(tf.maximum(squares, tf.abs(tf.linalg.diag_part(H))))
    H /= norms[:, tf.newaxis, :] * norms[:, :, tf.newaxis]
    w, _ = decompose(H)
    allowed = epsilon(w.dtype) ** 0.65 * tf.maximum(tf.abs(w[:, -1]), 1)
    bends_down = w[:, 0] < -allowed  # False for NaN
    J /= gauss_newton.roots(squares)[:, tf.newaxis, :]
    d = gauss_newton.direction(J, point.residual, tf.zeros_like(point.loss))
    promised = -tf.reduce_sum(d * gauss_newton.gradient(J, point.residual), axis=-1)
    flat = promised <= tf.maximum(_PROMISE * point.loss, 2 * rounding)
    flat |= result == Result.stationary
    judged = tf.where(bends_down, int(Result.stationary), int(Result.minimum))
    return tf.where(flat, judged, result)


def _hessian(problem: Problem, point: Any, targets: tf.Tensor) -> tf.Tensor:
    H = problem.hessian_at_solution(point, targets)
    # Levels that coincide whatever the parameters are make no kink, though the formula
    # cannot know.
    unknown = tf.reduce_any(tf.math.is_nan(H), axis=[-2, -1])
    return where_any(
        unknown,
        lambda: select(unknown, differenced_hessian(problem, point, targets), H),
        H,
    )


def _members_at_once(problem: Problem) -> int:
    p, n = problem.num_parameters, problem.order
    return max(1, _NUMBERS // (p * (n * n + p) + problem.num_levels**2))
