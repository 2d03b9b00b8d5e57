"""The Gauss-Newton method with a line search."""

from __future__ import annotations

from typing import Any

from eigenfit.methods.line_search import AbstractLineSearch
from eigenfit.methods.proposal import AbstractGaussNewton, Proposal
from eigenfit.problem.problem import Evaluation, Problem


class GaussNewton(AbstractGaussNewton, AbstractLineSearch):
    """Least-squares steps `J d = -residual`, shortened until the loss falls.

    The step of `Newton`, which it is as fast as near an answer, without its jumps: the
    loss never rises. Where J is nearly singular the line search cuts a long step
    where `LevenbergMarquardt` turns it; that is usually the better choice. For the way
    a fit ends see `AbstractLineSearch`.

    Args:
        name: Name of the `tf.Module`.

    Example:
        >>> GaussNewton()
        GaussNewton()
    """

    default_max_steps = 200
    honours_bounds = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def __repr__(self) -> str:
        return "GaussNewton()"

    def learn(
        self,
        problem: Problem,
        proposed: Proposal,
        point: Evaluation,
        trial: Evaluation,
    ) -> Any:
        """Keeps the scales; see the base class."""
        del problem, point, trial
        return proposed.memory
