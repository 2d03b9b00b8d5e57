"""Adam, with the update of the published example."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.methods.base import AbstractMethod
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.results import RUNNING
from eigenfit.tensors.checks import in_unit_interval, positive


class AdamState(NamedTuple):
    """Loop variable of `Adam`."""

    point: Evaluation
    first_moment: tf.Tensor  # [..., p] running mean of the gradient
    second_moment: tf.Tensor  # [..., p] running mean of its square
    num_updates: tf.Tensor  # [...] int32


class Adam(AbstractMethod):
    """Adam on the loss (Kingma & Ba, ICLR 2015, the form before section 2.1).

    With `a = learning_rate sqrt(1 - beta_2^k) / (1 - beta_1^k)` in step k the update
    is `r <- r - a m / (sqrt(v) + epsilon)`, that of `tf.keras.optimizers.Adam`. It
    needs thousands of steps where the other methods need a few: it serves as the
    published baseline and for losses that other methods cannot handle.

    Args:
        learning_rate: Rough upper bound on the change of a parameter in one step.
        beta_1: Decay of the first moment, in [0, 1).
        beta_2: Decay of the second moment, in [0, 1).
        epsilon: Added to the root of the second moment; positive.
        name: Name of the `tf.Module`.

    Example:
        >>> Adam(learning_rate=1e-2)
        Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-07)
    """

    default_max_steps = 20_000
    takes_many_steps = True
    honours_bounds = True

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.learning_rate = positive("learning_rate", learning_rate)
        self.beta_1 = in_unit_interval("beta_1", beta_1)
        self.beta_2 = in_unit_interval("beta_2", beta_2)
        self.epsilon = positive("epsilon", epsilon)

    def __repr__(self) -> str:
        return (
            f"Adam(learning_rate={self.learning_rate}, beta_1={self.beta_1}, "
            f"beta_2={self.beta_2}, epsilon={self.epsilon})"
        )

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> AdamState:
        """Starts with zero moments; see the base class."""
        point = problem.evaluate(parameters, targets)
        zeros = tf.zeros_like(point.parameters)
        num_updates = tf.zeros_like(point.loss, tf.int32)
        return AdamState(point, zeros, zeros, num_updates)

    def step(self, problem: Problem, state: AdamState, targets: tf.Tensor) -> AdamState:
        """Makes one update; see the base class."""
        # `epsilon` refers to the loss in its original unit.
        g = problem.in_own_unit(problem.gradient_at(state.point), -2)
        num_updates = state.num_updates + 1
        m = state.first_moment + (g - state.first_moment) * (1 - self.beta_1)
        v = state.second_moment + (g * g - state.second_moment) * (1 - self.beta_2)
        k = tf.cast(num_updates, g.dtype)
        correction = tf.sqrt(1 - self.beta_2**k) / (1 - self.beta_1**k)
        rate = (self.learning_rate * correction)[..., tf.newaxis]
        parameters = state.point.parameters - rate * m / (tf.sqrt(v) + self.epsilon)
        point = problem.evaluate(problem.limit(parameters), targets)
        return AdamState(point, m, v, num_updates)

    def terminate(self, problem: Problem, state: AdamState) -> tf.Tensor:
        """Never ends by itself: noise in the moments hides a stationary point."""
        return tf.fill(tf.shape(state.num_updates), RUNNING)
