"""Step control of Newton's method: none."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.methods.stepping import proposal
from eigenfit.methods.stepping.flatness import is_level
from eigenfit.methods.stepping.proposal import AbstractProposing
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.results import RUNNING


class UndampedState(NamedTuple):
    """Loop variable of an undamped method."""

    point: Evaluation
    memory: Any  # memory of the direction
    code: tf.Tensor  # [...] int32, a Result or RUNNING


class AbstractUndamped(AbstractProposing):
    """Takes every step whole, even if the loss rises.

    The answer is the last point, not the best. A member ends `stationary` when a step
    changed the loss by no more than its rounding and the gradient is zero as far as
    the loss resolves it, and `stalled` when a step was too short to change the
    parameters and did not lower the loss. A member that goes round in circles runs to
    the step limit.
    """

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> UndampedState:
        """Evaluates the start; see the base class."""
        point = problem.evaluate(parameters, targets)
        return UndampedState(
            point=point,
            memory=self.first_memory(problem, point),
            code=tf.fill(tf.shape(point.loss), RUNNING),
        )

    def step(
        self, problem: Problem, state: UndampedState, targets: tf.Tensor
    ) -> UndampedState:
        """Takes one step; see the base class."""
        point = state.point
        proposed = self.propose(problem, point, targets, state.memory)
        moved = point.parameters + proposed.step / proposed.norms
        trial = problem.evaluate(problem.limit(moved), targets)
        level = is_level(point, trial.loss) & is_level(trial, point.loss)
        no_fall = trial.loss >= point.loss
        return UndampedState(
            point=trial,
            memory=proposed.memory,
            code=proposal.ending(
                problem, point, targets, proposed, proposed.step, level, no_fall
            ),
        )

    def terminate(self, problem: Problem, state: UndampedState) -> tf.Tensor:
        """Reports what the last step found; see the base class."""
        return state.code
