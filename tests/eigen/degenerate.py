"""Published problems whose solutions have eigenvalues that coincide."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from tests import zoo

import eigenfit as ef


@dataclass(frozen=True)
class Degenerate:
    """A structure at a point, dense matrices for it, and targets."""

    structure: Any  # dtype -> structure
    basis: np.ndarray  # [p, n, n]
    point: np.ndarray  # [p]
    targets: np.ndarray  # [m]
    multiplicities: list[int]
    indices: list[int] | None = None

    def problem(self, dtype: tf.DType = tf.float64) -> ef.Problem:
        observation = ef.Levels(self.indices)
        return ef.Problem(self.structure(dtype), observation)

    def spread(self) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights of all levels."""
        t, c = np.zeros([2, self.basis.shape[1]])
        observed = slice(None) if self.indices is None else self.indices
        t[observed], c[observed] = self.targets, 1
        return t, c


def complex_of(dtype):
    return tf.complex64 if dtype == tf.float32 else tf.complex128


def affine(basis):
    def structure(dtype):
        return ef.Affine(
            basis, dtype=complex_of(dtype) if np.iscomplexobj(basis) else dtype
        )

    return structure


def crystal_field() -> np.ndarray:
    """Cubic crystal field of Ce3+, J = 5/2, by Stevens operators.

    H = B40 (O40 + 5 O44) + shift; K. W. H. Stevens, Proc. Phys. Soc. A 65 (1952) 209.
    Operators of rank 6 vanish for J = 5/2.
    """
    J = 2.5
    m = np.arange(J, -J - 1, -1)
    X = J * (J + 1)
    raising = np.diag(np.sqrt(X - m[1:] * (m[1:] + 1)), 1)
    o40 = np.diag(35 * m**4 - (30 * X - 25) * m**2 + 3 * X**2 - 6 * X)
    fourth = np.linalg.matrix_power(raising, 4)
    return np.array([o40 + 2.5 * (fourth + fourth.T), np.eye(6)])


def gallium_arsenide() -> np.ndarray:
    """sp3s* tight binding at Gamma, 13 parameters.

    P. Vogl, H. P. Hjalmarson, J. D. Dow, J. Phys. Chem. Solids 44 (1983) 365.
    Orbitals s, px, py, pz, s* of the anion, then of the cation; at Gamma g0 = 1 and
    g1 = g2 = g3 = 0. A gauge of i on the cation's orbitals makes the matrix complex.
    """
    basis = np.zeros([13, 10, 10], complex)
    for k, places in enumerate([[0], [1, 2, 3], [5], [6, 7, 8], [4], [9]]):
        basis[k, places, places] = 1
    for k, places in ((6, [0]), (7, [1, 2, 3])):
        for place in places:
            basis[k, place, place + 5] = 1j
            basis[k, place + 5, place] = -1j
    # The five others couple only away from Gamma. In their place, at 0, perturbations
    # without symmetry, which see what is inside the triplets.
    rng = np.random.default_rng(10)
    X = rng.normal(size=[5, 10, 10]) + 1j * rng.normal(size=[5, 10, 10])
    basis[8:] = X + X.conj().swapaxes(-1, -2)
    return basis


GALLIUM_ARSENIDE = [-8.3431, 1.0414, -2.6569, 3.6686, 8.5914, 6.7386, -6.4513, 1.9546]
EDGES = [(i, j) for i in range(6) for j in range(i)]


def laplacian() -> np.ndarray:
    """Of each edge of the complete graph."""
    basis = np.zeros([len(EDGES), 6, 6])
    for X, (i, j) in zip(basis, EDGES, strict=True):
        X[i, i] = X[j, j] = 1
        X[i, j] = X[j, i] = -1
    return basis


def targets_of(basis, point, multiplicities):
    """The levels, with each cluster set to its mean."""
    w = np.linalg.eigvalsh(np.tensordot(point, basis, 1))
    parts = np.split(w, np.cumsum(multiplicities)[:-1])
    return np.concatenate([np.full(len(x), x.mean()) for x in parts])


def made(structure, basis, point, multiplicities, indices=None):
    point = np.asarray(point, float)
    targets = targets_of(basis, point, multiplicities)
    if indices is not None:
        targets = targets[indices]
    return Degenerate(structure, basis, point, targets, multiplicities, indices)


_SEED = np.array([zoo.numpy_symmetric(e, 3) for e in np.eye(6)])
_TRIPLE = zoo.fno_multiple_basis()
_CERIUM = crystal_field()
_GALLIUM = gallium_arsenide()
_GALLIUM_POINT = GALLIUM_ARSENIDE + [0.0] * 5

CASES = {
    "seed": made(lambda d: ef.Symmetric(3, d), _SEED, [1, 1, 1, 0, 0, 0], [3]),
    "triple": made(affine(_TRIPLE), _TRIPLE, np.ones(8), [3, 1, 1, 1, 1, 1]),
    "triple, five levels": made(
        affine(_TRIPLE), _TRIPLE, np.ones(8), [3, 1, 1, 1, 1, 1], [0, 1, 2, 3, 4]
    ),
    "complete graph": made(
        lambda d: ef.Laplacian(EDGES, dtype=d), laplacian(), np.ones(15), [1, 5]
    ),
    "crystal field": made(affine(_CERIUM), _CERIUM, [1.0, 240.0], [2, 4]),
    "gallium arsenide": made(
        affine(_GALLIUM), _GALLIUM, _GALLIUM_POINT, [1, 3, 1, 3, 1, 1]
    ),
}
