"""The first state of a method, off the points of symmetry that it could not leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.batching import select
from eigenfit.eigen import cluster_width, epsilon
from eigenfit.methods import AbstractMethod
from eigenfit.problem import Evaluation, Point, Problem, answer_at


def start(
    problem: Problem, method: AbstractMethod, initial: tf.Tensor, targets: tf.Tensor
) -> tuple[Any, Point]:
    """Starts a method.

    Where levels coincide whose targets differ the loss has a kink: its gradient is
    that of whatever basis the eigensolver gives, in which a direction that parts the
    levels may be missing (a Toeplitz matrix c I has none but c). Such a member is
    moved by `sqrt(eps)` of the largest level or target in a fixed random direction,
    which decides on a basis; the others start where they are.

    Args:
        problem: What is fitted.
        method: How a step is made.
        initial: `[b, p]`.
        targets: `[b, m]`.

    Returns:
        The state of the method, and the point given by the caller.
    """
    state = method.init(problem, initial, targets)
    point = state.point
    given = answer_at(point)
    if method.is_direct or problem.order == 1:
        return state, given
    kink = _at_kink(problem, point, targets)
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


def _at_kink(
    problem: Problem, point: Evaluation | Point, targets: tf.Tensor
) -> tf.Tensor:
    w = point.eigenvalues
    close = w[..., 1:] - w[..., :-1] <= cluster_width(w)[..., tf.newaxis]
    t, weights = problem.observation.spread(targets, problem.order)
    differ = t[..., 1:] != t[..., :-1]
    if weights is not None:
        differ |= weights[..., 1:] != weights[..., :-1]
    return tf.reduce_any(close & differ, axis=-1)


def _moved(
    problem: Problem, point: Evaluation | Point, targets: tf.Tensor
) -> tf.Tensor:
    norms = problem.structure.squared_norms()
    noise = np.random.default_rng(0).normal(size=problem.num_parameters)
    if norms is not None:
        noise /= np.sqrt(np.where(norms > 0, norms, 1))
    numbers = tf.concat([point.eigenvalues, targets], axis=-1)
    size = tf.reduce_max(tf.abs(numbers), axis=-1, keepdims=True)
    length = epsilon(size.dtype) ** 0.5 * size
    return point.parameters + length * tf.constant(noise, size.dtype)
