"""Methods that damp their steps by Nielsen's rule and never go uphill."""

from __future__ import annotations

import abc
from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.methods.base import AbstractMethod
from eigenfit.methods.stepping import damping, flatness, steps
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.results import RUNNING, Result
from eigenfit.tensors.batching import select
from eigenfit.tensors.checks import positive

_LONGEST = 100.0
"""Longest step, relative to the scaled parameters or the norm of the residual."""


class DampedState(NamedTuple):
    """Loop variable of a damped method."""

    point: Evaluation
    scale: tf.Tensor  # [..., p] squares of the scales D
    damping: damping.Damping
    code: tf.Tensor  # [...] int32, a Result or RUNNING


class AbstractDamped(AbstractMethod):
    """Minimises a quadratic model of the loss plus `mu |D d|^2` in each step.

    The damping mu follows H. B. Nielsen (1999); D scales the parameters, so that
    their units do not matter (see `steps.initial_scale`). A step that does not
    lower the loss is rejected but counts as a step.

    A member ends `stationary` when the residual is orthogonal to the scaled columns
    of the Jacobian within `orthogonality` and the step lowered the loss by no more
    than its rounding, and `stalled` when a rejected step was too short to change the
    parameters.

    Args:
        initial_damping: Damping of the first step, relative to the largest squared
            norm of a scaled column; positive.
        orthogonality: Cosine below which residual and columns count as orthogonal; 8
            times the root of the machine epsilon by default, since the loss does not
            resolve less.
        name: Name of the `tf.Module`.
    """

    default_max_steps = 200
    honours_bounds = True

    def __init__(
        self,
        initial_damping: float = 1e-3,
        orthogonality: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.initial_damping = positive("initial_damping", initial_damping)
        self.orthogonality = (
            None if orthogonality is None else positive("orthogonality", orthogonality)
        )

    def __repr__(self) -> str:
        more = (
            ""
            if self.orthogonality is None
            else f", orthogonality={self.orthogonality}"
        )
        return f"{type(self).__name__}(initial_damping={self.initial_damping}{more})"

    @abc.abstractmethod
    def direction(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        J: tf.Tensor,
        norms: tf.Tensor,
        mu: tf.Tensor,
    ) -> tf.Tensor:
        """Minimises the damped model in scaled parameters `D d`.

        Args:
            problem: The problem to fit.
            point: Where the step starts.
            targets: `[..., m]`.
            J: `[..., m, p]`, the Jacobian with its columns divided by `norms`.
            norms: `[..., p]`, the scales D.
            mu: `[...]`, the damping.

        Returns:
            The scaled step, `[..., p]`.
        """

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> DampedState:
        """Evaluates the start; see the base class."""
        point = problem.evaluate(parameters, targets)
        J = problem.jacobian_at(point)
        scale = steps.initial_scale(problem, J, point)
        columns = steps.squared_columns(J / steps.roots(scale)[..., tf.newaxis, :])
        largest = tf.reduce_max(columns, axis=-1)
        return DampedState(
            point=point,
            scale=scale,
            damping=damping.start(self.initial_damping * largest),
            code=tf.fill(tf.shape(point.loss), RUNNING),
        )

    def step(
        self, problem: Problem, state: DampedState, targets: tf.Tensor
    ) -> DampedState:
        """Tries one step and keeps it if the loss falls; see the base class."""
        point = state.point
        scaling = steps.scaled_at(problem, point, state.scale, state.damping.mu)
        scale, norms, J, half_gradient, is_new = scaling
        before = damping.renewed(state.damping, is_new)
        mu = before.mu
        scaled = self.direction(problem, point, targets, J, norms, mu)
        longest = steps.longest_step(norms, point, _LONGEST)
        scaled = steps.shortened(scaled, longest)
        predicted = tf.reduce_sum(
            scaled * (mu[..., tf.newaxis] * scaled - half_gradient), axis=-1
        )

        moved = problem.limit(point.parameters + scaled / norms)
        if problem.bounds is not None:
            scaled = (moved - point.parameters) * norms
            predicted = steps.fall(problem, point, J, scaled)
        trial = problem.evaluate(moved, targets)
        gain = (point.loss - trial.loss) / predicted
        # False for NaN: a trial outside the structure's domain is rejected.
        accepted = trial.loss < point.loss

        stationary = flatness.is_level(point, trial.loss)
        stationary &= flatness.is_orthogonal(
            problem, point, targets, half_gradient, self.orthogonality
        )
        # The loss does not show it, but the last step halves the count of wrong digits.
        accepted |= stationary & flatness.is_level(trial, point.loss)
        length = tf.norm(scaled, axis=-1)
        unit = epsilon(scaled.dtype)
        short = length <= unit * tf.norm(norms * point.parameters, axis=-1)
        stalled = ~accepted & short
        code = tf.where(stalled, int(Result.stalled), RUNNING)
        code = tf.where(stationary, int(Result.stationary), code)
        # The driver sees the point, not its Jacobian.
        usable = tf.reduce_all(tf.math.is_finite(half_gradient), axis=-1)
        return DampedState(
            point=select(accepted, trial, point),
            scale=scale,
            damping=damping.update(before, gain, accepted),
            code=tf.where(usable, code, int(Result.nonfinite)),
        )

    def terminate(self, problem: Problem, state: DampedState) -> tf.Tensor:
        """Reports what the last step found; see the base class."""
        return state.code
