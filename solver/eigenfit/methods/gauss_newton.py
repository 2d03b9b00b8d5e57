"""The Gauss-Newton method with a line search."""

from __future__ import annotations

from typing import Any

from eigenfit.methods.stepping.line_search import AbstractLineSearch
from eigenfit.methods.stepping.proposal import AbstractGaussNewton, Proposal
from eigenfit.problem.problem import Evaluation, Problem


class GaussNewton(AbstractGaussNewton, AbstractLineSearch):
    """Least-squares steps `J d = -residual`, shortened until the loss falls.

    It makes the steps of `Newton`, and is as fast near a solution, but without the
    jumps: the loss never rises. Where J is nearly singular the line search shortens a
    long step while `LevenbergMarquardt` turns it, which is usually better. For the way
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
