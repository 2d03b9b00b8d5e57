"""The interface of a method."""

from __future__ import annotations

import abc
from typing import Any, Protocol

import tensorflow as tf

from eigenfit.problem import Evaluation, Point, Problem


class AbstractState(Protocol):
    """What the driver needs of a method's state, a NamedTuple of batched tensors."""

    @property
    def point(self) -> Evaluation | Point:
        """The problem at the current parameters."""
        ...


class AbstractMethod(tf.Module, abc.ABC):
    """Makes one step at a time; whatever loops over it owns freezing and limits.

    Every field of a state has the batch dimensions first, so that the driver can
    freeze members. Functions are pure and run in eager, graph and XLA mode.

    Attributes:
        default_max_steps: Step limit when the caller gives none.
        takes_many_steps: Whether a fit usually needs hundreds of steps or more.
        is_direct: Whether a single step is all the method can do; after it every
            member has ended.
    """

    default_max_steps: int
    takes_many_steps: bool = False
    is_direct: bool = False

    @abc.abstractmethod
    def check(self, problem: Problem) -> None:
        """Raises ValueError if the method cannot solve this kind of problem."""

    @abc.abstractmethod
    def init(self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor) -> Any:
        """Starts at `parameters` `[..., p]` with `targets` `[..., m]`."""

    @abc.abstractmethod
    def step(self, problem: Problem, state: Any, targets: tf.Tensor) -> Any:
        """Makes one step; the new state has the same shapes and dtypes."""

    @abc.abstractmethod
    def terminate(self, problem: Problem, state: Any) -> tf.Tensor:
        """Gives `Result.stationary`, `Result.stalled` or `RUNNING`, `[...]` int32."""
