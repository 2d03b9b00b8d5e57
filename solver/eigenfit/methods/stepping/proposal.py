"""What a direction passes to a step control that does not damp it."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.methods.base import AbstractMethod
from eigenfit.methods.stepping import steps
from eigenfit.methods.stepping.flatness import orthogonal
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.results import RUNNING, Result


class Proposal(NamedTuple):
    """A whole step from a point, in scaled parameters `D r`."""

    step: tf.Tensor  # [..., p]
    half_gradient: tf.Tensor  # [..., p] of the loss by the scaled parameters
    norms: tf.Tensor  # [..., p] the scales D
    memory: Any  # memory of the direction for the next proposal


class AbstractProposing(AbstractMethod):
    """A method made of a direction and a step control that tries it.

    These two functions define the direction; `AbstractUndamped` and
    `AbstractLineSearch` are the step controls.
    """

    @abc.abstractmethod
    def first_memory(self, problem: Problem, point: Evaluation) -> Any:
        """Makes the first memory of the direction: a nest of tensors `[..., *]`."""

    @abc.abstractmethod
    def propose(
        self, problem: Problem, point: Evaluation, targets: tf.Tensor, memory: Any
    ) -> Proposal:
        """Computes a whole step from a point for `targets` `[..., m]`."""


def scale_of(problem: Problem, point: Evaluation) -> tf.Tensor:
    """Returns the squares of the scales D at a start, `[..., p]`."""
    return steps.initial_scale(problem, problem.jacobian_at(point), point)


class AbstractGaussNewton(AbstractProposing):
    """The direction that solves `J D^-1 d = -residual` in the least-squares sense."""

    def first_memory(self, problem: Problem, point: Evaluation) -> tf.Tensor:
        """Scales the parameters: the memory is D^2."""
        return scale_of(problem, point)

    def propose(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        memory: tf.Tensor,
    ) -> Proposal:
        """Solves for the whole step; see the base class."""
        del targets
        scaled = steps.scaled_at(problem, point, memory)
        mu = tf.zeros_like(point.loss)
        return Proposal(
            step=steps.direction(*steps.model(problem, point, scaled.J), mu),
            half_gradient=scaled.half_gradient,
            norms=scaled.norms,
            memory=scaled.squares,
        )


def ending(
    problem: Problem,
    point: Evaluation,
    targets: tf.Tensor,
    proposal: Proposal,
    step: tf.Tensor,
    level: tf.Tensor,
    refused: tf.Tensor,
) -> tf.Tensor:
    """Returns why a member ends, or `RUNNING` if it does not: `[...]` int32.

    Args:
        problem: The problem to fit.
        point: Where the step started.
        targets: `[..., m]`.
        proposal: The step proposed there.
        step: `[..., p]`, the part of it that was tried, in scaled parameters.
        level: `[...]` bool, whether the loss did not change beyond its rounding.
        refused: `[...]` bool, whether the loss did not fall.

    Returns:
        `stationary` for a level loss whose gradient is zero as far as the loss
        resolves it (see `AbstractDamped`), `stalled` for one that did not fall after
        a step too short to change the parameters; `nonfinite` if the gradient is not
        finite.
    """
    unit = epsilon(step.dtype)
    slope = tf.reduce_max(tf.abs(proposal.half_gradient), axis=-1)
    flat = slope <= orthogonal(problem, point, targets) * tf.sqrt(point.loss)
    size = tf.norm(proposal.norms * point.parameters, axis=-1)
    short = tf.norm(step, axis=-1) <= 4 * unit * size
    code = tf.where(refused & short, int(Result.stalled), RUNNING)
    code = tf.where(level & flat, int(Result.stationary), code)
    usable = tf.reduce_all(tf.math.is_finite(proposal.half_gradient), axis=-1)
    return tf.where(usable, code, int(Result.nonfinite))
