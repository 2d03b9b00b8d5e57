"""eigenfit: inverse eigenvalue problems in one compiled TensorFlow program.

Example:
    >>> import eigenfit as ef
    >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    >>> solver.fit([1.0, 2.0, 3.0], targets=[-1.0, 1.0]).eigenvalues.numpy().round(9)
    array([-1.,  1.])
"""

from importlib.metadata import version as _version

import eigenfit.quiet as _quiet  # loads TensorFlow  # noqa: F401

# isort: split
from eigenfit import gallery as gallery
from eigenfit.analysis.uncertainty import Uncertainty, uncertainty
from eigenfit.closed_forms import jacobi_from_two_spectra, persymmetric_jacobi
from eigenfit.eigen import (
    LevelDerivatives,
    eigh,
    eigvalsh,
    level_derivatives,
    spectral_loss,
)
from eigenfit.fits.fit import Fit
from eigenfit.fitting.programs import Gradient
from eigenfit.fitting.solver import Solver
from eigenfit.intervals.comparison import Comparison, compare
from eigenfit.intervals.contours import Contours, contours
from eigenfit.intervals.posterior import Posterior, posterior
from eigenfit.intervals.profile import Profile, profile
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
from eigenfit.notebook.explorer import Explorer, explore
from eigenfit.observations import (
    MAC,
    AbstractObservation,
    ClusterMeans,
    Differences,
    FreeShift,
    Frequencies,
    Levels,
    ModeShapes,
    RelativeTo,
    mac,
)
from eigenfit.problem.blocks import Block
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.problem.unknowns.priors import Prior, smoothness
from eigenfit.results import FitError, History, Progress, Result, Solution
from eigenfit.searches.deflation import DeflationResult, deflate
from eigenfit.searches.matching import MatchedFit, fit_matched, match_levels
from eigenfit.searches.multistart import MultistartResult, multistart
from eigenfit.searches.solutions import DistinctSolutions, distinct_solutions
from eigenfit.structures import (
    AbstractFullStructure,
    AbstractLinearStructure,
    AbstractStructure,
    Additive,
    Affine,
    Assembly,
    Banded,
    Bloch,
    Generalized,
    Hermitian,
    Laplacian,
    Parametric,
    Reparametrized,
    Symmetric,
    Toeplitz,
    Tridiagonal,
)

__version__ = _version("eigenfit")

load = Fit.load

__all__ = [  # noqa: RUF022 (sorted as by `sorted`)
    "AbstractFullStructure",
    "AbstractLinearStructure",
    "AbstractMethod",
    "AbstractObservation",
    "AbstractStructure",
    "Adam",
    "Additive",
    "Affine",
    "Alternating",
    "Assembly",
    "Banded",
    "Bloch",
    "Block",
    "ClusterMeans",
    "ClusterNewton",
    "Comparison",
    "Contours",
    "DeflationResult",
    "Differences",
    "DistinctSolutions",
    "Evaluation",
    "Explorer",
    "Fit",
    "FitError",
    "FreeShift",
    "Frequencies",
    "GaussNewton",
    "Generalized",
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
    "MAC",
    "MatchedFit",
    "ModeShapes",
    "MultistartResult",
    "Newton",
    "Parameters",
    "Parametric",
    "Posterior",
    "Prior",
    "Problem",
    "Profile",
    "Progress",
    "RelativeTo",
    "Reparametrized",
    "Result",
    "Solution",
    "Solver",
    "Symmetric",
    "Toeplitz",
    "Tridiagonal",
    "Uncertainty",
    "compare",
    "contours",
    "deflate",
    "distinct_solutions",
    "eigh",
    "eigvalsh",
    "explore",
    "fit_matched",
    "jacobi_from_two_spectra",
    "level_derivatives",
    "load",
    "mac",
    "match_levels",
    "multistart",
    "persymmetric_jacobi",
    "posterior",
    "profile",
    "smoothness",
    "spectral_loss",
    "uncertainty",
]


def __dir__() -> list[str]:
    # Without the modules that importing leaves here.
    return list(__all__)
