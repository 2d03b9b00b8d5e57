"""Verdicts on fits that can go no further."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.eigen import decompose, epsilon
from eigenfit.eigen.pseudo_inverse import factor
from eigenfit.fitting.loop import gather
from eigenfit.fitting.tolerance import relative_tolerance
from eigenfit.methods.stepping import steps
from eigenfit.problem import sizes
from eigenfit.problem.differenced import differenced_hessian, hessian_at_solution
from eigenfit.problem.problem import Problem
from eigenfit.results import Result
from eigenfit.tensors.batching import select
from eigenfit.tensors.branches import where_any
from eigenfit.tensors.private_tf import inside_xla

_NUMBERS = 2**23
"""Most numbers in the second derivatives of members that are judged together."""

_PROMISE = 1e-8
"""Fraction of the loss that a whole step may still promise at a minimum; its root is a
ten-thousandth of the residual."""

_SHARP = 1e8
"""Curvature, relative to the squares that columns of J can reach, of a kink."""

_KNOWN = 0.01
"""Rounding of values, relative to their natural size, up to which they are known."""

_KNOWN_SIGMAS = 1.0
"""The same, relative to standard deviations; bounds of rounding are wide."""

_STATIONARY, _STALLED = int(Result.stationary), int(Result.stalled)


class Ended(NamedTuple):
    """Members whose fits have ended; only floats and codes, gathered together."""

    parameters: tf.Tensor  # [b, p], where they have ended
    targets: tf.Tensor  # [b, m]
    unit: tf.Tensor  # [b], unit of residuals
    tolerance: tf.Tensor  # [b], 0 for the default
    result: tf.Tensor  # [b] int32, as the loop left it
    weights: tf.Tensor | tuple[()] = ()  # [b, m] if members have their own


def verdicts(problem: Problem, ended: Ended) -> tf.Tensor:
    """Judges the members that ended `stationary` or `stalled`.

    - `converged`, if no tolerance was given and each observation is met relative to
      its natural size or to the rounding of its levels;
    - `minimum`, if data need not be met exactly (see `Problem.is_least_squares`), a
      whole step promises to lower the loss by no more than its rounding or 1e-8 of
      it, and no curvature is negative in the directions that bounds leave free. At a
      kink of the loss, which has no curvature, none counts as negative;
    - `stationary`, if such a step promises no more but a curvature is negative;
    - else `stalled`. Where data should be met exactly the result is kept, except that
      a member is `stationary` if a whole step promises no more.

    Where rounding of the values may exceed their standard deviations or a
    hundredth of their natural size, as with a parameter that has run off, it does not
    count as agreement, and points that seem to be minima are `stalled`.

    Args:
        problem: The problem that was fitted.
        ended: Members whose fits have ended.

    Returns:
        The results of all members, `[b]` int32.
    """
    result = ended.result
    asked = needs_verdict(problem, ended.tolerance, result)
    if inside_xla() or not _looks_for_minima(problem):
        judged = where_any(asked, lambda: judge(problem, ended), result)
        return tf.where(asked, judged, result)

    def some() -> tf.Tensor:
        index = tf.reshape(tf.where(asked), [-1])
        # In parts of equal size, the last one filled up with copies of its last member.
        number = tf.minimum(_members_at_once(problem), tf.size(index))
        parts = -(-tf.size(index) // number)
        more = tf.fill([parts * number - tf.size(index)], index[-1])
        index = tf.concat([index, more], axis=0)
        codes = tf.map_fn(
            tf.autograph.experimental.do_not_convert(
                lambda part: judge(problem, gather(ended, part))
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
    """Returns which results of the loop need a verdict: `[...]` bool."""
    stalled = result == _STALLED
    ended = (result == _STATIONARY) | stalled
    if problem.is_least_squares:
        return ended
    ended &= tolerance == 0
    return ended | stalled if _looks_for_minima(problem) else ended


def _looks_for_minima(problem: Problem) -> bool:
    # If columns are scaled by the Jacobian itself, a method cannot tell that all of it
    # vanishes, as at the extremum of a difference.
    return problem.is_least_squares or problem.squared_norms() is None


def judge(problem: Problem, ended: Ended) -> tf.Tensor:
    """Judges members that ended `stationary` or `stalled`: `[b]`; see `verdicts`."""
    _, targets, unit, tolerance, result, weights = ended
    problem = problem.in_unit(unit, weights)
    point = problem.evaluate(ended.parameters, targets)
    errors = sizes.rounding_at(problem, point, targets)
    if _looks_for_minima(problem):
        rounding = tf.norm(errors, axis=-1) * tf.sqrt(point.loss)
        found = _minima(problem, point, targets, rounding, result)
        if not problem.is_least_squares:
            flat = (found == int(Result.minimum)) | (found == _STATIONARY)
            found = tf.where(flat, _STATIONARY, result)
        result = found
    natural = sizes.sizes_of_parts(problem, point.parameters, targets)
    hidden = sizes.norms_of_parts(problem, errors)
    # Targets of 0 have no size by which rounding could be large.
    sized = sizes.norms_of_parts(problem, targets) > 0
    most = tf.where(sized, _KNOWN * natural, natural.dtype.max)
    if problem.has_errors:
        most = tf.minimum(most, _KNOWN_SIGMAS / unit[:, tf.newaxis])
    lost = tf.reduce_any(hidden > most, axis=-1)
    lost &= (result == int(Result.minimum)) | (result == _STATIONARY)
    result = tf.where(lost, _STALLED, result)
    enough = relative_tolerance(problem, natural, unit[:, tf.newaxis])
    enough = tf.maximum(enough, tf.minimum(hidden, most))
    met = (tolerance == 0) & _is_met(problem, point, enough)
    return tf.where(met, int(Result.converged), result)


def _is_met(problem: Problem, point: Any, enough: tf.Tensor) -> tf.Tensor:
    # Whether each observation is met by itself, and so are priors, if any.
    norms = sizes.norms_of_parts(problem, point.residual)
    met = tf.reduce_all(norms <= enough, axis=-1)
    if problem.num_priors:
        rest = tf.norm(point.residual[..., problem.num_targets :], axis=-1)
        met &= rest <= tf.reduce_max(enough, axis=-1)
    return met


def _minima(
    problem: Problem,
    point: Any,
    targets: tf.Tensor,
    rounding: tf.Tensor,
    result: tf.Tensor,
) -> tf.Tensor:
    J, sizes_of_idle = _without_noise(problem, point)
    squares = steps.squared_columns(J)
    held = _surely_held(problem, point, J, squares)
    J = tf.where(held[:, tf.newaxis, :], tf.zeros_like(J), J)
    H = _hessian(problem, point, targets) / 2
    either = held[:, :, tf.newaxis] | held[:, tf.newaxis, :]
    H = tf.where(either, tf.zeros_like(H), H)
    curvatures = tf.abs(tf.linalg.diag_part(H))
    sharp = _is_sharp(problem, point, curvatures)[:, tf.newaxis]
    H = tf.where(sharp[:, tf.newaxis], tf.constant(math.nan, H.dtype), H)
    curvatures = tf.where(sharp, tf.zeros_like(curvatures), curvatures)
    norms = steps.roots(tf.maximum(tf.maximum(squares, sizes_of_idle), curvatures))
    H /= norms[:, tf.newaxis, :] * norms[:, :, tf.newaxis]
    J /= norms[:, tf.newaxis, :]
    w, V = decompose(H)
    least = epsilon(w.dtype) ** 0.65 * tf.maximum(tf.abs(w[:, -1]), 1)
    bends_down = w[:, 0] < -least  # False for NaN
    promised = _promised(point, J, H, w, V, least)
    flat = promised <= tf.maximum(_PROMISE * point.loss, 2 * rounding)
    judged = tf.where(bends_down, int(Result.stationary), int(Result.minimum))
    missed = tf.where(result == Result.stationary, int(Result.stalled), result)
    return tf.where(flat, judged, missed)


def _without_noise(problem: Problem, point: Any) -> tuple[tf.Tensor, tf.Tensor]:
    # The Jacobian with zeros for columns that are only rounding, and the squared norms
    # that these can reach, [b, p], 0 for the others: by that their curvature is large
    # or rounding as well.
    J = problem.jacobian_at(point)
    squares = steps.squared_columns(J)
    scale = steps.initial_scale(problem, J, point)
    real = squares > (steps.ROUNDING * epsilon(J.dtype)) ** 2 * scale
    J = tf.where(real[:, tf.newaxis, :], J, tf.zeros_like(J))
    return J, tf.where(real, tf.zeros_like(scale), scale)


def _is_sharp(problem: Problem, point: Any, curvatures: tf.Tensor) -> tf.Tensor:
    # Which losses, [b], have a kink, or bend so sharply that they have one but for
    # rounding: two levels are then closer than 1e-8 of what they miss, and curvatures
    # end at that distance. What shapes do to columns is not known, but their Hessian,
    # by differences, is NaN at kinks.
    unknown = tf.reduce_any(tf.math.is_nan(curvatures), axis=-1)
    most = None if problem.has_modes else sizes.most_squared(problem, point)
    if most is None:
        return unknown
    sharp = (most > 0) & (curvatures > _SHARP * most)
    return unknown | tf.reduce_any(sharp, axis=-1)


def _surely_held(
    problem: Problem, point: Any, J: tf.Tensor, squares: tf.Tensor
) -> tf.Tensor:
    # Parameters on a bound that the gradient holds there: [b, p]. A parameter on which
    # the loss does not depend in first order may leave its bound.
    side = tf.cast(problem.on_bounds(point.parameters), J.dtype)
    push = -side * steps.gradient(J, point.residual)
    size = tf.sqrt(squares * point.loss[:, tf.newaxis])
    return push > epsilon(J.dtype) ** 0.4 * size


def _promised(
    point: Any, J: tf.Tensor, H: tf.Tensor, w: tf.Tensor, V: tf.Tensor, least: tf.Tensor
) -> tf.Tensor:
    """Computes by how much a whole step may lower the loss: `[b]`.

    Where curvatures exceed rounding this is a Newton step. Those of nearly collinear
    columns do not: there the lengths of `J v` are used, which squaring does not spoil.
    At a kink, where H is NaN, only these are available.
    """
    g = steps.gradient(J, point.residual)
    along = tf.linalg.matvec(V, g, transpose_a=True)
    curved = w > least[:, tf.newaxis]
    newton = along**2 / tf.where(curved, w, tf.ones_like(w))
    newton = tf.reduce_sum(tf.where(curved, newton, tf.zeros_like(newton)), axis=-1)
    factors = factor(J)
    gain = tf.linalg.matvec(factors.C, point.residual, transpose_a=True) ** 2
    second = H - tf.linalg.matmul(J, J, transpose_a=True)
    second = tf.linalg.matmul(second, factors.V)
    second = tf.reduce_sum(factors.V * second, axis=-2)
    unknown = tf.reduce_any(tf.math.is_nan(H), axis=[-2, -1])
    second = tf.where(second > least[:, tf.newaxis], second, tf.zeros_like(second))
    square = factors.sizes**2
    gain *= tf.math.divide_no_nan(square, square + second)
    largest = tf.reduce_max(factors.sizes, axis=-1, keepdims=True)
    resolved = max(1e-12, 100 * epsilon(w.dtype)) * largest
    gain = tf.where(factors.sizes > resolved, gain, tf.zeros_like(gain))
    linear = tf.reduce_sum(gain, axis=-1)
    return tf.where(unknown, linear, tf.maximum(newton, linear))


def _hessian(problem: Problem, point: Any, targets: tf.Tensor) -> tf.Tensor:
    H = hessian_at_solution(problem, point, targets)
    # Levels that coincide for all parameters make no kink, but the formula cannot tell.
    unknown = tf.reduce_any(tf.math.is_nan(H), axis=[-2, -1])
    return where_any(
        unknown,
        lambda: select(unknown, differenced_hessian(problem, point, targets), H),
        H,
    )


def _members_at_once(problem: Problem) -> int:
    p, n = problem.num_parameters, problem.order
    return max(1, _NUMBERS // (p * (n * n + p) + problem.num_levels**2))
