"""Step control by backtracking along a direction of descent."""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.methods.stepping import proposal
from eigenfit.methods.stepping.flatness import is_level
from eigenfit.methods.stepping.proposal import AbstractProposing, Proposal
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.results import RUNNING
from eigenfit.tensors.batching import select

_ARMIJO = 1e-4
"""Fraction of the fall promised by the slope that a step must achieve."""


class LineSearchState(NamedTuple):
    """Loop variable of a method with a line search."""

    point: Evaluation
    memory: Any  # memory of the direction
    length: tf.Tensor  # [...] length of the next trial, in whole steps
    code: tf.Tensor  # [...] int32, a Result or RUNNING


class AbstractLineSearch(AbstractProposing):
    """Halves a step until the loss falls by enough, with one trial in each step.

    Enough is `1e-4` of what the slope promises (L. Armijo, Pacific J. Math. 16
    (1966)), so that the loss never rises. From each new point the whole step is tried
    first. A rejected trial counts as a step.

    A member ends `stationary` when the gradient is zero as far as the loss resolves
    it and the trial did not lower the loss by more than its rounding, and `stalled`
    when a rejected step was too short to change the parameters.
    """

    @abc.abstractmethod
    def learn(
        self,
        problem: Problem,
        proposed: Proposal,
        point: Evaluation,
        trial: Evaluation,
    ) -> Any:
        """Returns the memory after an accepted step from `point` to `trial`."""

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> LineSearchState:
        """Evaluates the start; see the base class."""
        point = problem.evaluate(parameters, targets)
        return LineSearchState(
            point=point,
            memory=self.first_memory(problem, point),
            length=tf.ones_like(point.loss),
            code=tf.fill(tf.shape(point.loss), RUNNING),
        )

    def step(
        self, problem: Problem, state: LineSearchState, targets: tf.Tensor
    ) -> LineSearchState:
        """Tries one length and keeps the step if it pays; see the base class."""
        point = state.point
        proposed = self.propose(problem, point, targets, state.memory)
        step = state.length[..., tf.newaxis] * proposed.step
        moved = problem.limit(point.parameters + step / proposed.norms)
        if problem.bounds is not None:
            step = (moved - point.parameters) * proposed.norms
        trial = problem.evaluate(moved, targets)
        slope = 2 * tf.reduce_sum(proposed.half_gradient * step, axis=-1)
        fall = point.loss - trial.loss
        # False for NaN: a trial outside the structure's domain is rejected.
        accepted = (fall > 0) & (fall >= -_ARMIJO * slope)
        level = is_level(point, trial.loss)
        learned = self.learn(problem, proposed, point, trial)
        return LineSearchState(
            point=select(accepted, trial, point),
            memory=select(accepted, learned, proposed.memory),
            length=tf.where(accepted, tf.ones_like(slope), state.length / 2),
            code=proposal.ending(
                problem, point, targets, proposed, step, level, ~accepted
            ),
        )

    def terminate(self, problem: Problem, state: LineSearchState) -> tf.Tensor:
        """Reports what the last step found; see the base class."""
        return state.code
