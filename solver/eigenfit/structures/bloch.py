"""Bloch Hamiltonians `H(k) = sum_R H_R e^{ik.R}` at one wave vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigenfit.structures.affine import Affine
from eigenfit.structures.matrices import as_array, check_hermitian, real_array
from eigenfit.tensors.types import DTypeLike, TensorLike

_ROWS = 2**10
"""Number of vectors compared with all others at a time."""


class Bloch(Affine):
    """The Hamiltonian of a periodic lattice at a wave vector k.

    `H(k) = sum_R e^{ik.R} (offset_R + sum_j r_j basis_jR)`, plus the Hermitian
    conjugate for each R other than zero, which is the hopping to -R: give one of each
    pair. The Hamiltonians of several k share their parameters as blocks of one
    `Problem`.

    Args:
        vectors: `[R, d]`, lattice vectors.
        basis: `[p, R, n, n]`, hoppings, real or complex; Hermitian where R is zero.
        kpoint: `[d]`, such that `kpoint . vector` is an angle in radians.
        offset: `[R, n, n]`, constant hoppings; zero by default.
        dtype: complex64 or complex128 (default).
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If a shape does not fit, a number is not finite, two vectors are
            equal or opposite, or the matrix of R = 0 is not Hermitian.

    Example:
        A chain with one orbital: `e + 2 t cos k`.

        >>> basis = [[[[1.0]], [[0.0]]], [[[0.0]], [[1.0]]]]
        >>> chain = Bloch([[0], [1]], basis, kpoint=[np.pi])
        >>> from tensorflow import constant
        >>> chain.assemble(constant([3.0, 0.5], "float64")).numpy().real
        array([[2.]])
    """

    def __init__(
        self,
        vectors: TensorLike,
        basis: TensorLike,
        kpoint: TensorLike,
        offset: TensorLike | None = None,
        dtype: DTypeLike = "complex128",
        name: str | None = None,
    ) -> None:
        vectors = real_array("vectors", vectors)
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise ValueError(
                f"`vectors` must have shape [R, d], got {list(vectors.shape)}."
            )
        self.vectors = vectors = _with_zeros(vectors)
        self.kpoint = real_array("kpoint", kpoint)
        if self.kpoint.shape != vectors.shape[1:]:
            raise ValueError(
                f"`kpoint` must have shape [{vectors.shape[1]}] like a vector, got "
                f"{list(self.kpoint.shape)}."
            )
        _check_pairs(vectors)
        basis = _finite("basis", basis)
        number = len(vectors)
        if basis.ndim != 4 or basis.shape[1] != number or 0 in basis.shape:
            raise ValueError(
                f"`basis` must have shape [p, {number}, n, n], a matrix for each "
                f"parameter and vector, got {list(basis.shape)}."
            )
        matrices = self._at_kpoint(basis)
        constant = None
        if offset is not None:
            offset = _finite("offset", offset)
            if offset.shape != basis.shape[1:]:
                raise ValueError(
                    f"`offset` must have shape {list(basis.shape[1:])}, a matrix for "
                    f"each vector, got {list(offset.shape)}."
                )
            constant = self._at_kpoint(offset[np.newaxis])[0]
        super().__init__(matrices, constant, dtype, name)

    def __repr__(self) -> str:
        return (
            f"Bloch(order={self.order}, num_parameters={self.num_parameters}, "
            f"kpoint={self.kpoint.tolist()})"
        )

    def _at_kpoint(self, hoppings: np.ndarray) -> np.ndarray:
        # [p, R, n, n] -> [p, n, n]; a matrix at R = 0 counts once.
        phase = np.exp(1j * self.vectors @ self.kpoint)
        phase = np.where(self.vectors.any(axis=1), phase, 0.5)
        half = np.einsum("r,prij->pij", phase, hoppings)
        here = hoppings[:, ~self.vectors.any(axis=1)]
        for matrix in here.reshape([-1, *here.shape[-2:]]):
            check_hermitian("The matrix that belongs to the vector 0", matrix)
        return half + np.conj(np.swapaxes(half, -1, -2))


def _finite(name: str, value: Any) -> np.ndarray:
    array = as_array(name, value)
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite; it has a NaN or an infinity.")
    return array


def _with_zeros(vectors: np.ndarray) -> np.ndarray:
    # A vector that is zero up to rounding is not a lattice vector.
    lengths = np.linalg.norm(vectors / (np.abs(vectors).max() or 1.0), axis=1)
    return np.where(lengths[:, None] > 1e-9 * lengths.max(), vectors, 0.0)


def _check_pairs(vectors: np.ndarray) -> None:
    found = equal_or_opposite(vectors)
    if found:
        j, i = found
        raise ValueError(
            f"`vectors` {j} and {i} are equal or opposite: {vectors[j].tolist()} and "
            f"{vectors[i].tolist()}. Give one of each pair; the conjugate is added."
        )


def equal_or_opposite(vectors: np.ndarray) -> tuple[int, int] | None:
    """Finds two vectors of `[R, d]` that are equal or opposite, j < i.

    The tolerance is 1e-5 of their length: vectors may be in metres or lattice units.

    Example:
        >>> equal_or_opposite(1e-10 * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
        (0, 2)
    """
    scaled = vectors / max(np.abs(vectors).max(), np.finfo(float).tiny)
    squares = np.sum(scaled**2, axis=1)
    for first in range(0, len(scaled), _ROWS):
        rows = slice(first, first + _ROWS)
        # |a - b|^2 or |a + b|^2, whichever is less
        gaps = squares[rows, None] + squares - 2 * np.abs(scaled[rows] @ scaled.T)
        close = gaps <= 1e-10 * np.maximum(squares[rows, None], squares)
        pairs = np.argwhere(np.tril(close, first - 1))
        if len(pairs):
            i, j = pairs[0].tolist()
            return j, i + first
    return None
