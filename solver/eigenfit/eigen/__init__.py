"""The eigendecomposition, with derivatives that hold where eigenvalues coincide."""

from eigenfit.eigen.decompose import decompose
from eigenfit.eigen.derivatives import eigh, eigvalsh, from_spectrum, spectral_loss

__all__ = ["decompose", "eigh", "eigvalsh", "from_spectrum", "spectral_loss"]
