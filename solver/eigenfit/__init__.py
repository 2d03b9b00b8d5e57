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
    LBFGS,
    AbstractMethod,
    Adam,
    Alternating,
    ClusterNewton,
    GaussNewton,
    IsospectralProjection,
    LevenbergMarquardt,
    LiftAndProject,
    LoewnerNewton,
    Newton,
)
from eigenfit.multistart import MultistartResult, multistart
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

__all__ = [  # noqa: RUF022 (sorted as by `sorted`)
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
    "ClusterNewton",
    "Evaluation",
    "FitError",
    "GaussNewton",
    "Gradient",
    "Hermitian",
    "History",
    "IsospectralProjection",
    "LBFGS",
    "Laplacian",
    "LevelDerivatives",
    "Levels",
    "LevenbergMarquardt",
    "LiftAndProject",
    "LoewnerNewton",
    "MultistartResult",
    "Newton",
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
    "multistart",
    "persymmetric_jacobi",
    "spectral_loss",
]
