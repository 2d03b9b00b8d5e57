"""The interface of a method."""

from __future__ import annotations

import abc
from typing import Any, Protocol

import tensorflow as tf

from eigenfit.problem.problem import Evaluation, Point, Problem


class AbstractState(Protocol):
    """What the driver needs from a method's state, a NamedTuple of batched tensors."""

    @property
    def point(self) -> Evaluation | Point:
        """The problem at the current parameters."""
        ...


class AbstractMethod(tf.Module, abc.ABC):
    """Makes one step at a time; the loop around it handles freezing and limits.

    Every field of a state has the batch dimensions first, so that the driver can
    freeze members. Functions are pure and run in eager, graph and XLA mode.

    Attributes:
        default_max_steps: Step limit if the caller gives none.
        takes_many_steps: Whether a fit usually needs hundreds of steps or more.
        is_direct: Whether the method makes a single step, after which every member
            has ended.
        honours_bounds: Whether every step stays inside the bounds of parameters.
        needs_levels: Whether the method solves only for levels of one matrix, without
            priors or robust losses.
    """

    default_max_steps: int
    takes_many_steps: bool = False
    is_direct: bool = False
    honours_bounds: bool = False
    needs_levels: bool = False

    def check(self, problem: Problem) -> None:
        """Raises ValueError if the method cannot solve this kind of problem."""
        name = type(self).__name__
        if self.needs_levels and problem.is_robust:
            raise ValueError(
                f"`method` {name} minimises squares, but an observation has a robust "
                f"`loss`. Use LevenbergMarquardt() or Alternating(), or the loss "
                f'"linear".'
            )
        if self.needs_levels and problem.observation is None:
            raise ValueError(
                f"`method` {name} is for one matrix whose levels are observed, without "
                f"priors. Use LevenbergMarquardt() or Alternating()."
            )
        if problem.bounds is not None and not self.honours_bounds:
            raise ValueError(
                f"`method` {name} knows no bounds of parameters. Use "
                f"LevenbergMarquardt(), Alternating(), GaussNewton(), Newton() or "
                f"Adam()."
            )

    def for_distinct_targets(self, problem: Problem) -> AbstractMethod:
        """Returns a faster method with the same steps if no two targets are equal.

        It is this method itself if none is faster.
        """
        del problem
        return self

    @abc.abstractmethod
    def init(self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor) -> Any:
        """Starts at `parameters`, `[..., p]`, with `targets`, `[..., m]`."""

    @abc.abstractmethod
    def step(self, problem: Problem, state: Any, targets: tf.Tensor) -> Any:
        """Makes one step; the new state has the same shapes and dtypes."""

    @abc.abstractmethod
    def terminate(self, problem: Problem, state: Any) -> tf.Tensor:
        """Returns `Result.stationary`, `Result.stalled` or `RUNNING`, `[...]` int32."""
