"""The algebra of steps: the Gauss-Newton direction with scaled columns.

It is computed in the smaller of its two forms.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.eigen.decompose import rounded
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.problem.sizes import most_squared

ROUNDING = 2**10
"""Norm up to which a column is rounding, in epsilons of the norm that it can have."""

_LEAST_BEND = 0.2
"""Smallest curvature of a robust loss in a step, relative to that of its J."""

_LARGEST = 1e4
"""Largest scale of a parameter, in norms of its column."""

_OVERDAMPED = 10.0
"""Damping, in squares of the largest column, that holds up all parameters."""

_LITTLE = 1e-4
"""Change of the residual, relative to it, that a column at its largest would make by a
damped step: if not even such steps are taken, the scale is too small."""


class Scaled(NamedTuple):
    """A problem at a point, in scaled parameters `D r`."""

    squares: tf.Tensor  # [..., p] squares of D
    norms: tf.Tensor  # [..., p] the scales D
    J: tf.Tensor  # [..., m, p], with columns of norm 1 or less
    half_gradient: tf.Tensor  # [..., p] half the gradient of the loss
    is_new: tf.Tensor | bool  # [...] whether D was raised, so that damping starts anew


def scaled_at(
    problem: Problem,
    point: Evaluation,
    scale: tf.Tensor,
    mu: tf.Tensor | None = None,
) -> Scaled:
    """Scales the parameters for the next step.

    Args:
        problem: The problem to fit.
        point: Where the step starts.
        scale: `[..., p]`, the squares of D in the last step.
        mu: `[...]`, the damping of the next step, if it is damped.
    """
    J = problem.jacobian_at(point)
    squares, is_new = updated_scale(problem, scale, J, point, mu)
    norms = roots(squares)
    J = hold(problem, point, J) / norms[..., tf.newaxis, :]
    return Scaled(squares, norms, J, gradient(J, point.residual), is_new)


def gradient(J: tf.Tensor, residual: tf.Tensor) -> tf.Tensor:
    """Computes `J^T residual`, half the gradient of the loss: `[..., p]`."""
    return tf.linalg.matvec(J, residual, transpose_a=True)


def model(
    problem: Problem, point: Evaluation, J: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the rows and the residual of the quadratic model that a step minimises.

    These are J and the residual, unless a loss is robust: then the rows are scaled so
    that `J^T J` has the curvature of the loss by the compared values, as in B. Triggs
    et al., Bundle adjustment (2000), section 4.3, and the gradient is the same. Without
    that the convergence is linear. No curvature counts as less than a fifth of that
    of J, which bounds steps where the loss is flat or concave.

    Args:
        problem: The problem to fit.
        point: Where the step starts.
        J: `[..., m + q, p]`, the Jacobian in any scale.
    """
    if not problem.is_robust:
        return J, point.residual
    root = tf.sqrt(tf.maximum(problem.bends_at(point), _LEAST_BEND))
    return J * root[..., tf.newaxis], point.residual / root


def fall(
    problem: Problem, point: Evaluation, J: tf.Tensor, step: tf.Tensor
) -> tf.Tensor:
    """Computes by how much a step lowers the loss in the quadratic model: `[...]`.

    Args:
        problem: The problem to fit.
        point: Where the step starts.
        J: `[..., m + q, p]`, the Jacobian in the scale of the step.
        step: `[..., p]`.
    """
    rows, residual = model(problem, point, J)
    change = tf.linalg.matvec(rows, step)
    return -tf.reduce_sum(change * (2 * residual + change), axis=-1)


def direction(
    J: tf.Tensor,
    residual: tf.Tensor,
    mu: tf.Tensor,
    couplings: tf.Tensor | None = None,
) -> tf.Tensor:
    """Minimises `|J d + residual|^2 + mu |d|^2 + |K d|^2`.

    With m residuals and p parameters this solves `(J^T J + K^T K + mu) d = -J^T
    residual` by Cholesky. With more parameters than equations that system is singular
    up to rounding, and its null space holds rounding noise: then the dual
    `(J J^T + mu) y = -residual`, `d = J^T y`, is solved, which has no such noise.

    Args:
        J: `[..., m, p]`, its columns scaled to norm 1 or less.
        residual: `[..., m]`.
        mu: `[...]`, not negative; raised to the rounding level of the matrix, so that
            the system is positive definite.
        couplings: K `[..., k, p]`, in the same scale; its rows may be zero.

    Returns:
        `[..., p]`; zero for a member that is not finite.
    """
    m, p = J.shape[-2], J.shape[-1]
    if couplings is None:
        return _solved(J, residual, mu, dual=p > m)
    rows = tf.concat([J, couplings], axis=-2)
    residual = tf.concat([residual, tf.zeros_like(couplings[..., 0])], axis=-1)
    step = _solved(rows, residual, mu, dual=False)
    if p <= m:
        return step
    used = tf.reduce_any(couplings != 0, axis=-1)
    few = m + tf.reduce_sum(tf.cast(used, tf.int32), axis=-1) <= p
    dual = _solved(rows, residual, mu, dual=True)
    return tf.where(few[..., tf.newaxis], dual, step)


def _solved(J: tf.Tensor, residual: tf.Tensor, mu: tf.Tensor, dual: bool) -> tf.Tensor:
    S = tf.linalg.matmul(J, J, transpose_a=not dual, transpose_b=dual)
    # Perturbed by less than is added below, so that S stays positive definite.
    S = rounded(S, 0.25)
    identity = tf.eye(S.shape[-1], dtype=S.dtype)
    # The trace of S is at most p.
    floor = 8 * J.shape[-1] * epsilon(S.dtype)
    S += tf.maximum(mu, floor)[..., tf.newaxis, tf.newaxis] * identity
    right = residual if dual else gradient(J, residual)
    S, right, finite = finite_system(S, right)
    solved = tf.linalg.cholesky_solve(tf.linalg.cholesky(S), -right[..., tf.newaxis])
    if dual:
        J = tf.where(finite[..., tf.newaxis], J, tf.zeros_like(J))
        return tf.linalg.matvec(J, solved[..., 0], transpose_a=True)
    return solved[..., 0]


def hold(problem: Problem, point: Evaluation, J: tf.Tensor) -> tf.Tensor:
    """Zeroes the columns of parameters that descent would push over their bounds.

    Without them a direction leaves those parameters where they are, and `gradient` is
    the projected gradient, which vanishes at a solution on a bound.

    Args:
        problem: The problem with the bounds.
        point: Where the step starts.
        J: `[..., m, p]`, the Jacobian.
    """
    if problem.bounds is None:
        return J
    lower, upper = (tf.constant(x, J.dtype) for x in problem.bounds)
    g, r = gradient(J, point.residual), point.parameters
    held = ((r <= lower) & (g > 0)) | ((r >= upper) & (g < 0))
    return tf.where(held[..., tf.newaxis, :], tf.zeros_like(J), J)


def finite_system(
    S: tf.Tensor, right: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Replaces systems that are not finite by the identity and zeros.

    Cholesky raises for the whole batch if one member is not finite.

    Args:
        S: `[..., k, k]`, matrices of the systems.
        right: `[..., k]`, right-hand sides.

    Returns:
        Both, and which members were finite, `[..., 1]` bool.
    """
    total = tf.reduce_sum(S, axis=[-2, -1]) + tf.reduce_sum(right, axis=-1)
    finite = tf.math.is_finite(total)[..., tf.newaxis]
    identity = tf.eye(S.shape[-1], dtype=S.dtype)
    S = tf.where(finite[..., tf.newaxis], S, identity)
    return S, tf.where(finite, right, tf.zeros_like(right)), finite


def initial_scale(
    problem: Problem, J: tf.Tensor, point: Evaluation | None = None
) -> tf.Tensor:
    """Chooses the squares of the scales D of the columns: `[..., p]`.

    They are `|dA/dr_k|^2` if that is constant and levels have no weights: it bounds the
    squared column norms for every basis of eigenvectors, and makes the undamped step
    the shortest one in the Frobenius norm of the matrix if the matrices dA/dr_k are
    orthogonal. Otherwise they are the squared column norms of `J` (J. J. More, The
    Levenberg-Marquardt algorithm, Lecture Notes in Mathematics 630 (1978)), or where
    these are rounding, as at a point of symmetry, the squares that they can reach. NaN
    where squares leave the range of the dtype.

    Args:
        problem: The problem to fit.
        J: `[..., m, p]`, the Jacobian.
        point: Where J was computed, to detect columns of rounding; None to skip that.
    """
    norms = problem.squared_norms()
    if norms is None:
        squares = squared_columns(J)
        most = None if point is None else most_squared(problem, point)
        if most is None:
            return _in_range(squares, J)
        idle = squares <= (ROUNDING * epsilon(J.dtype)) ** 2 * most
        return _in_range(tf.where(idle, most, squares), J)
    constant = tf.zeros_like(J[..., 0, :]) + tf.constant(norms, J.dtype)
    return _in_range(problem.in_own_unit(constant, 2), J)


def _in_range(squares: tf.Tensor, J: tf.Tensor) -> tf.Tensor:
    # NaN where squares leave the range of the dtype, since 0 would mean that a
    # parameter has no influence: then no step is taken, and no gradient vanishes.
    vanished = (squares == 0) & tf.reduce_any(J != 0, axis=-2)
    lost = vanished | tf.math.is_inf(squares)
    return tf.where(lost, tf.constant(math.nan, J.dtype), squares)


def longest_step(norms: tf.Tensor, point: Evaluation, factor: float) -> tf.Tensor:
    """Returns the length of a scaled step beyond which no model holds: `[...]`.

    Args:
        norms: `[..., p]`, the scales D.
        point: Where the step starts.
        factor: Multiple of the norm of the scaled parameters or of the residual,
            whichever is larger.
    """
    size = tf.norm(norms * point.parameters, axis=-1)
    return factor * tf.maximum(size, tf.sqrt(point.loss))


def shortened(step: tf.Tensor, longest: tf.Tensor) -> tf.Tensor:
    """Shortens steps `[..., p]` to a length `[...]`, keeping their direction."""
    length = tf.norm(step, axis=-1)
    return step * tf.minimum(tf.math.divide_no_nan(longest, length), 1)[..., tf.newaxis]


def updated_scale(
    problem: Problem,
    scale: tf.Tensor,
    J: tf.Tensor,
    point: Evaluation,
    mu: tf.Tensor | None,
) -> tuple[tf.Tensor, tf.Tensor | bool]:
    """Keeps the largest squared column norm so far, unless the scales are constant.

    No scale exceeds both 1e4 times the norm of its column and what that can reach, in
    case the column was much larger at the start. A column that only vanishes where the
    parameter does, like that of a coupling, keeps its scale, and so do columns of
    rounding: else their damping would slow down all parameters. If the start was such a
    point, a damping that grows beyond all columns, though steps are little, shows it:
    then scales become what columns can reach.

    Returns:
        The squares of the scales, and which members, `[...]`, have got such scales.
    """
    if problem.squared_norms() is not None:
        return scale, False
    squares = squared_columns(J)
    real = squares > (ROUNDING * epsilon(J.dtype)) ** 2 * scale
    most = _LARGEST**2 * squares
    reached, is_new = most_squared(problem, point), False
    if reached is not None:
        most = tf.maximum(most, reached)
        if mu is not None:
            damped = mu[..., tf.newaxis]
            size = tf.sqrt(point.loss)[..., tf.newaxis]
            slope = tf.abs(gradient(J, point.residual))
            little = slope * tf.sqrt(reached) <= _LITTLE * size * damped * scale
            raised = (damped > _OVERDAMPED) & little & (scale < reached)
            scale = tf.where(raised, reached, scale)
            is_new = tf.reduce_any(raised, axis=-1)
    most = tf.where(real, most, scale)
    return tf.maximum(tf.minimum(scale, most), squares), is_new


def squared_columns(J: tf.Tensor) -> tf.Tensor:
    """Computes the squared norms of the columns: `[..., p]`."""
    return tf.reduce_sum(J**2, axis=-2)


def roots(scale: tf.Tensor) -> tf.Tensor:
    """Computes D; 1 for a parameter without influence, which keeps its value."""
    return tf.sqrt(tf.where(scale == 0, tf.ones_like(scale), scale))
