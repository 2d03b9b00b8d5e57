"""The derivative of a solution by its targets, from the solution alone."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from eigenfit.eigen import decompose, epsilon
from eigenfit.eigen.derivatives import final, here
from eigenfit.methods import AbstractMethod, gauss_newton
from eigenfit.problem import Evaluation, Problem
from eigenfit.results import Result


def follow_targets(
    problem: Problem,
    method: AbstractMethod,
    initial: tf.Tensor,
    targets: tf.Tensor,
    answer: tuple[tf.Tensor, ...],
) -> tuple[tf.Tensor, ...]:
    """Makes the answer of a fit differentiable by its targets.

    Where the gradient of the loss is zero the implicit function theorem gives
    `H dr = 2 J^T dt` with the exact Hessian H, whatever the method did and however
    many steps it took. With more parameters than targets it is the shortest `dr`, in
    scaled parameters, that meets the targets: `dr = J^+ dt`. A direction that no
    target can move stays. At targets that coincide it is that of one branch of
    solutions: the one whose eigenvectors the answer has.

    Args:
        problem: What was fitted.
        method: That fitted it.
        initial: `[b, p]`, held constant; here and below `b` may be missing.
        targets: `[b, m]`.
        answer: Parameters, matrix, eigenvalues, loss, number of steps, result.

    Returns:
        The same tensors. The derivative is NaN for members that ended neither
        `converged` nor `stationary`, and so are second derivatives.
    """

    @tf.custom_gradient
    def attach(targets: tf.Tensor, *answer: tf.Tensor):
        def backward(*upstream: tf.Tensor):
            floating = upstream[:4]
            inputs = here(initial, targets, answer[0], answer[5], *floating)
            one = targets.shape.rank == 1
            batch = [tf.expand_dims(x, 0) for x in inputs] if one else inputs
            by_targets = _backward(problem, method)(*batch)
            by_targets = by_targets[0] if one else by_targets
            return (by_targets, *(None for _ in answer))

        return tuple(tf.identity(x) for x in answer), backward

    return attach(targets, *answer)


def _backward(problem: Problem, method: AbstractMethod) -> Any:
    @final
    def backward(
        initial: tf.Tensor,
        targets: tf.Tensor,
        parameters: tf.Tensor,
        result: tf.Tensor,
        r_bar: tf.Tensor,
        A_bar: tf.Tensor,
        w_bar: tf.Tensor,
        loss_bar: tf.Tensor,
    ) -> tf.Tensor:
        point = problem.evaluate(parameters, targets)
        if method.is_direct:
            # The closed form keeps the eigenvectors of the start.
            V = problem.evaluate(initial, targets).eigenvectors
            point = point._replace(eigenvectors=V)
        levels = problem.level_jacobian_at(point)
        r_bar += problem.pull_matrix(point.parameters, A_bar)
        r_bar += tf.linalg.matvec(levels, w_bar, transpose_a=True)
        J = problem.jacobian_at(point)
        by_residual = _solve(problem, point, targets, J, r_bar)
        # The loss is stationary in r: only its own targets move it.
        by_residual -= 2 * loss_bar[:, tf.newaxis] * point.residual
        by_targets = problem.weighted(by_residual)
        known = (result == Result.converged) | (result == Result.stationary)
        nan = tf.constant(float("nan"), by_targets.dtype)
        return tf.where(known[:, tf.newaxis], by_targets, nan)

    return backward


def _solve(
    problem: Problem,
    point: Evaluation,
    targets: tf.Tensor,
    J: tf.Tensor,
    r_bar: tf.Tensor,
) -> tf.Tensor:
    # The adjoint of dt -> dr, in scaled parameters s = D r.
    norms = gauss_newton.roots(gauss_newton.initial_scale(problem, J))
    J /= norms[:, tf.newaxis, :]
    s_bar = r_bar / norms
    if problem.num_parameters > problem.num_targets:
        S = tf.linalg.matmul(J, J, transpose_b=True)
        return _pseudo_solve(S, tf.linalg.matvec(J, s_bar))
    H = problem.hessian_at_solution(point, targets) / 2
    H /= norms[:, tf.newaxis, :] * norms[:, :, tf.newaxis]
    return tf.linalg.matvec(J, _pseudo_solve(H, s_bar))


def _pseudo_solve(S: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    w, V = decompose(S)
    size = tf.abs(w)
    least = 8 * S.shape[-1] * epsilon(w.dtype) * tf.reduce_max(size, -1, keepdims=True)
    inside = size > least
    inverse = tf.where(inside, 1 / tf.where(inside, w, tf.ones_like(w)), 0.0)
    # NaN must not pass for a direction without influence.
    inverse = tf.where(tf.math.is_nan(w), w, inverse)
    return tf.linalg.matvec(V, inverse * tf.linalg.matvec(V, right, transpose_a=True))
