"""The first state of a method, moved off points of symmetry it could not leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.methods import AbstractMethod
from eigenfit.problem.problem import Evaluation, Point, Problem, answer_at
from eigenfit.tensors.batching import select


def start(
    problem: Problem, method: AbstractMethod, initial: tf.Tensor, targets: tf.Tensor
) -> tuple[Any, Point]:
    """Starts a method.

    Where levels coincide whose targets differ, the loss has a kink: its gradient
    depends on the basis the eigensolver returns, and may lack a direction that splits
    the levels (for a Toeplitz matrix c I only c has a gradient). Such a member is
    moved by `sqrt(eps)` of the largest level or target in a fixed random direction,
    which fixes a basis; the others start where they are.

    Args:
        problem: The problem to fit.
        method: The method that makes the steps.
        initial: `[b, p]`, start of each member.
        targets: `[b, m]`.

    Returns:
        The state of the method, and the point given by the caller.
    """
    state = method.init(problem, initial, targets)
    point = state.point
    given = answer_at(point)
    if method.is_direct or problem.order == 1:
        return state, given
    kink = problem.at_kink(point, targets)
    state = tf.cond(
        tf.reduce_any(kink),
        lambda: select(
            kink,
            method.init(problem, _moved(problem, point, targets), targets),
            state,
        ),
        lambda: state,
    )
    return state, given


def _moved(
    problem: Problem, point: Evaluation | Point, targets: tf.Tensor
) -> tf.Tensor:
    noise = np.random.default_rng(0).normal(size=problem.num_parameters)
    norms = problem.squared_norms()
    if norms is None:
        J = problem.level_jacobian_at(problem.evaluate(point.parameters, targets))
        columns = tf.reduce_sum(J**2, axis=-2)
        scale = tf.sqrt(tf.where(columns > 0, columns, tf.ones_like(columns)))
    else:
        scale = tf.constant(np.sqrt(np.where(norms > 0, norms, 1)), point.loss.dtype)
    numbers = tf.concat([point.eigenvalues, targets], axis=-1)
    size = tf.reduce_max(tf.abs(numbers), axis=-1, keepdims=True)
    length = epsilon(size.dtype) ** 0.5 * size
    move = length * tf.constant(noise, size.dtype) / scale
    return problem.limit(point.parameters + move)
