"""The eigendecomposition, with derivatives that hold where eigenvalues coincide."""

from eigenfit.eigen.clusters import cluster_width, loewner, rounding_width
from eigenfit.eigen.decompose import decompose
from eigenfit.eigen.derivatives import from_spectrum, rotate, unrotate
from eigenfit.eigen.perturbation import LevelDerivatives, level_derivatives
from eigenfit.eigen.rounding import epsilon
from eigenfit.eigen.spectral import eigh, eigvalsh, spectral_loss

__all__ = [
    "LevelDerivatives",
    "cluster_width",
    "decompose",
    "eigh",
    "eigvalsh",
    "epsilon",
    "from_spectrum",
    "level_derivatives",
    "loewner",
    "rotate",
    "rounding_width",
    "spectral_loss",
    "unrotate",
]
