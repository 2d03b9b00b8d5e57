"""Rewrites structures as matrix products where their own formulas do not convert."""

from __future__ import annotations

import tensorflow as tf

from eigenfit import Problem
from eigenfit.structures import AbstractFullStructure, Additive, Affine, Laplacian
from eigenfit.structures.base import AbstractStructure
from eigenfit.structures.free_entries.packed import AbstractPacked

_AS_THEY_ARE = (AbstractFullStructure, AbstractPacked, Additive, Affine, Laplacian)

_LARGEST = 2**14
"""Most numbers in a basis that is stored in a model: 128 KB in float64."""


def portable(problem: Problem) -> Problem:
    """Gives a problem structures whose operations ONNX has.

    Linear structures that use Fourier transforms (Toeplitz), sums over segments
    (Assembly) or automatic differentiation (user-defined ones) become `Affine`, with
    the matrices `dA/dr_k` written out, unless these are too large.

    Args:
        problem: Any problem; structures that need no change, or that this does not
            help, stay as they are.

    Example:
        >>> import eigenfit as ef
        >>> portable(ef.Problem(ef.Toeplitz(3))).structure
        Affine(order=3, num_parameters=3, dtype=float64)
    """
    return problem.with_structures(_written_out)


def _written_out(structure: AbstractStructure) -> AbstractStructure:
    size = structure.num_parameters * structure.order**2
    fits = structure.is_linear and size <= _LARGEST
    if isinstance(structure, _AS_THEY_ARE) or not fits:
        return structure
    p, dtype = structure.num_parameters, structure.parameter_dtype
    offset = structure.assemble(tf.zeros([p], dtype))
    basis = structure.assemble(tf.eye(p, dtype=dtype)) - offset
    return Affine(basis.numpy(), offset.numpy(), structure.dtype)
