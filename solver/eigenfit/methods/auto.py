"""Chooses a method for a problem."""

from __future__ import annotations

from eigenfit.methods.base import AbstractMethod
from eigenfit.methods.levenberg_marquardt import LevenbergMarquardt
from eigenfit.methods.projection import IsospectralProjection
from eigenfit.problem import Problem
from eigenfit.structures import AbstractFullStructure


def choose_method(problem: Problem) -> AbstractMethod:
    """Picks the closed form where there is one, else Levenberg-Marquardt.

    Example:
        >>> from eigenfit.structures import Affine, Symmetric
        >>> choose_method(Problem(Symmetric(3)))
        IsospectralProjection()
        >>> choose_method(Problem(Affine([[[1.0]]])))
        LevenbergMarquardt(initial_damping=0.001)
    """
    if isinstance(problem.structure, AbstractFullStructure):
        return IsospectralProjection()
    return LevenbergMarquardt()
