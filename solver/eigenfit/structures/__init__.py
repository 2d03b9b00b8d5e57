"""What may vary: the map from parameters r to a Hermitian matrix A(r)."""

from eigenfit.structures.affine import Affine
from eigenfit.structures.base import AbstractFullStructure, AbstractStructure
from eigenfit.structures.parametric import Parametric
from eigenfit.structures.symmetric import Symmetric

__all__ = [
    "AbstractFullStructure",
    "AbstractStructure",
    "Affine",
    "Parametric",
    "Symmetric",
]
