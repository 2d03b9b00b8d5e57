"""Chooses a method for a problem."""

from __future__ import annotations

from eigenfit.methods.alternating import Alternating
from eigenfit.methods.base import AbstractMethod
from eigenfit.methods.projection import IsospectralProjection
from eigenfit.problem.problem import Problem
from eigenfit.structures import AbstractFullStructure


def choose_method(problem: Problem) -> AbstractMethod:
    """Picks the closed form if there is one, else by the number of parameters.

    With at least as many parameters as data, priors included, the data can usually be
    met, and `Alternating` goes on until they are. With fewer the answer is usually a
    least-squares one: it descends first and ends when descents agree.

    Example:
        >>> from eigenfit.structures import Affine, Symmetric, Toeplitz
        >>> choose_method(Problem(Symmetric(3)))
        IsospectralProjection()
        >>> choose_method(Problem(Toeplitz(3)))
        Alternating(num_bursts=64)
        >>> choose_method(Problem(Affine([[[1.0, 0.0], [0.0, 2.0]]])))
        Alternating(num_bursts=32, descend_first=True, agreement=6)
    """
    full = isinstance(problem.structure, AbstractFullStructure)
    if problem.observation is not None and full and problem.bounds is None:
        return IsospectralProjection()
    if problem.num_parameters >= problem.num_data:
        return Alternating()
    return Alternating(num_bursts=32, descend_first=True, agreement=6)
