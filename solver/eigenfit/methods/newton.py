"""Newton's method for the equations `lambda(r) = t`."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.methods import proposal
from eigenfit.methods.proposal import Proposal
from eigenfit.methods.undamped import AbstractUndamped
from eigenfit.problem import Evaluation, Problem


class Newton(AbstractUndamped):
    """Newton's method, undamped: whole steps `J d = -residual`.

    Method I of S. Friedland, J. Nocedal & M. L. Overton, SIAM J. Numer. Anal. 24
    (1987) 634-667. Where J is not square d is the least-squares step, or the shortest
    one in scaled parameters. It converges quadratically where the targets can be met,
    jumps over minima of the loss that trap a descent, and diverges or wanders where
    they cannot or the start is far; for the way a fit ends see `AbstractUndamped`.

    Args:
        name: Of the module.

    Example:
        >>> Newton()
        Newton()
    """

    default_max_steps = 100

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def __repr__(self) -> str:
        return "Newton()"

    def first_memory(self, problem: Problem, point: Evaluation) -> tf.Tensor:
        """Scales the parameters; see the base class."""
        return proposal.scale_of(problem, point)

    def propose(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        memory: tf.Tensor,
    ) -> Proposal:
        """Solves for the whole step; see the base class."""
        del targets
        return proposal.of_gauss_newton(problem, point, memory)
