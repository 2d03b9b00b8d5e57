"""What computes the spectra of a problem's matrices, and their derivatives."""

from eigenfit.problem.engines.base import AbstractEngine, Question
from eigenfit.problem.engines.many_matrices import ManyMatrices
from eigenfit.problem.engines.one_matrix import OneMatrix

__all__ = ["AbstractEngine", "ManyMatrices", "OneMatrix", "Question"]
