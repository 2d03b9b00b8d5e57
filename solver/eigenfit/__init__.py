"""eigenfit: inverse eigenvalue problems in one compiled TensorFlow program.

Example:
    >>> import eigenfit as ef
    >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    >>> solver.fit([1.0, 2.0, 3.0], targets=[-1.0, 1.0]).eigenvalues.numpy().round(9)
    array([-1.,  1.])
"""

from importlib.metadata import version as _version

from eigenfit.direct import jacobi_from_two_spectra, persymmetric_jacobi
from eigenfit.eigen import (
    LevelDerivatives,
    eigh,
    eigvalsh,
    level_derivatives,
    spectral_loss,
)
from eigenfit.methods import (
    AbstractMethod,
    Adam,
    Alternating,
    IsospectralProjection,
    LevenbergMarquardt,
)
from eigenfit.observations import Levels
from eigenfit.problem import Evaluation, Problem
from eigenfit.programs import Gradient
from eigenfit.results import FitError, History, Progress, Result, Solution
from eigenfit.solver import Solver
from eigenfit.structures import (
    AbstractFullStructure,
    AbstractLinearStructure,
    AbstractStructure,
    Additive,
    Affine,
    Assembly,
    Banded,
    Hermitian,
    Laplacian,
    Parametric,
    Symmetric,
    Toeplitz,
    Tridiagonal,
)

__version__ = _version("eigenfit")

__all__ = [
    "AbstractFullStructure",
    "AbstractLinearStructure",
    "AbstractMethod",
    "AbstractStructure",
    "Adam",
    "Additive",
    "Affine",
    "Alternating",
    "Assembly",
    "Banded",
    "Evaluation",
    "FitError",
    "Gradient",
    "Hermitian",
    "History",
    "IsospectralProjection",
    "Laplacian",
    "LevelDerivatives",
    "Levels",
    "LevenbergMarquardt",
    "Parametric",
    "Problem",
    "Progress",
    "Result",
    "Solution",
    "Solver",
    "Symmetric",
    "Toeplitz",
    "Tridiagonal",
    "eigh",
    "eigvalsh",
    "jacobi_from_two_spectra",
    "level_derivatives",
    "persymmetric_jacobi",
    "spectral_loss",
]
