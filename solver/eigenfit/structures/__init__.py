"""Structures: maps from parameters r to a Hermitian matrix A(r)."""

from eigenfit.structures.additive import Additive
from eigenfit.structures.affine import Affine
from eigenfit.structures.assembly import Assembly
from eigenfit.structures.base import (
    AbstractFullStructure,
    AbstractLinearStructure,
    AbstractStructure,
)
from eigenfit.structures.bloch import Bloch
from eigenfit.structures.free_entries.banded import Banded, Tridiagonal
from eigenfit.structures.free_entries.hermitian import Hermitian
from eigenfit.structures.free_entries.symmetric import Symmetric
from eigenfit.structures.free_entries.toeplitz import Toeplitz
from eigenfit.structures.generalized import Generalized
from eigenfit.structures.laplacian import Laplacian
from eigenfit.structures.parametric import Parametric
from eigenfit.structures.reparametrized import Reparametrized

__all__ = [
    "AbstractFullStructure",
    "AbstractLinearStructure",
    "AbstractStructure",
    "Additive",
    "Affine",
    "Assembly",
    "Banded",
    "Bloch",
    "Generalized",
    "Hermitian",
    "Laplacian",
    "Parametric",
    "Reparametrized",
    "Symmetric",
    "Toeplitz",
    "Tridiagonal",
]
