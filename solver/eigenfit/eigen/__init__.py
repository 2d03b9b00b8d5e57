"""The eigendecomposition, with derivatives that hold where eigenvalues coincide."""

from eigenfit.eigen.decompose import decompose
from eigenfit.eigen.derivatives import from_spectrum
from eigenfit.eigen.rounding import epsilon
from eigenfit.eigen.spectral import eigh, eigvalsh, spectral_loss

__all__ = ["decompose", "eigh", "eigvalsh", "epsilon", "from_spectrum", "spectral_loss"]
