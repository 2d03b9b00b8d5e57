"""Newton's method for the equations `lambda(r) = t`."""

from __future__ import annotations

from eigenfit.methods.stepping.proposal import AbstractGaussNewton
from eigenfit.methods.stepping.undamped import AbstractUndamped


class Newton(AbstractGaussNewton, AbstractUndamped):
    """Newton's method, undamped: whole steps `J d = -residual`.

    Method I of S. Friedland, J. Nocedal & M. L. Overton, SIAM J. Numer. Anal. 24
    (1987) 634-667. If J is not square, d is the least-squares step, or the shortest one
    in scaled parameters. The method converges quadratically if the targets can be met,
    jumps over minima of the loss that trap a descent, and diverges or wanders if they
    cannot be met or the start is far; for the way a fit ends see `AbstractUndamped`.

    Args:
        name: Name of the `tf.Module`.

    Example:
        >>> Newton()
        Newton()
    """

    default_max_steps = 100
    honours_bounds = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def __repr__(self) -> str:
        return "Newton()"
