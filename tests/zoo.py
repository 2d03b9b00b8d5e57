"""Problems that every method and every way of running must treat right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

import eigenfit as ef
from eigenfit.gallery.classic import FNO_ANSWER as FNO_ANSWER
from eigenfit.gallery.classic import FNO_OFFSET as FNO_OFFSET
from eigenfit.gallery.classic import FNO_TARGETS as FNO_TARGETS
from eigenfit.gallery.classic import IDENTITY_START
from eigenfit.gallery.classic import fno_multiple_basis as fno_multiple_basis

SEED_STARTS = np.random.default_rng(2020).uniform(size=[1000, 6])
"""Uniform random starts of the published example."""


@dataclass(frozen=True)
class Case:
    """A problem that can be met, with a start from which methods meet it."""

    name: str
    structure: Any  # dtype -> structure
    observation: Any  # () -> observation
    initial: list[float]
    targets: list[float]

    def problem(self, dtype: tf.DType = tf.float64) -> ef.Problem:
        return ef.Problem(self.structure(dtype), self.observation())

    def __str__(self) -> str:
        return self.name


def numpy_symmetric(r: np.ndarray, order: int) -> np.ndarray:
    """Packs by diagonals outwards, written independently of the package."""
    A = np.zeros([order, order])
    k = 0
    for offset in range(order):
        for column in range(order - offset):
            A[column + offset, column] = A[column, column + offset] = r[k]
            k += 1
    return A


def chain(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Offset and basis of a fixed-ends chain of springs: linear, p = order + 1."""
    basis = np.zeros([order + 1, order, order])
    for k in range(order + 1):
        for i in (k - 1, k):
            if 0 <= i < order:
                basis[k, i, i] = 1
        if 0 < k < order:
            basis[k, k, k - 1] = basis[k, k - 1, k] = -1
    return np.diag(np.linspace(0.1, 0.5, order)), basis


def levels_of(matrix: np.ndarray) -> list[float]:
    return np.linalg.eigvalsh(matrix).tolist()


def exponential(r: tf.Tensor) -> tf.Tensor:
    """A structure that is not linear: `diag(exp(r)) + sum(r) * ones / 4`."""
    n = r.shape[-1]
    ones = tf.ones([n, n], r.dtype)
    mean = tf.reduce_sum(r, axis=-1)[..., tf.newaxis, tf.newaxis] / 4
    return tf.exp(r)[..., tf.newaxis] * tf.eye(n, dtype=r.dtype) + mean * ones


def hermitian_basis(order: int) -> np.ndarray:
    """Pauli-like basis of all complex Hermitian matrices, p = order^2."""
    basis = []
    for i in range(order):
        for j in range(i + 1):
            X = np.zeros([order, order], complex)
            X[i, j] = X[j, i] = 1
            basis.append(X)
            if i != j:
                Y = np.zeros([order, order], complex)
                Y[i, j], Y[j, i] = -1j, 1j
                basis.append(Y)
    return np.array(basis)


_OFFSET, _SPRINGS = chain(4)
_STIFFNESS = np.array([1.0, 2.0, 1.5, 0.8, 1.2])
_HERMITIAN = hermitian_basis(2)


def _complex(dtype: tf.DType) -> tf.DType:
    return tf.complex64 if dtype == tf.float32 else tf.complex128


CASES = [
    Case(
        "seed",
        lambda dtype: ef.Symmetric(3, dtype),
        ef.Levels,
        IDENTITY_START,
        [1.0, 1.0, 1.0],
    ),
    Case(
        "distinct targets",
        lambda dtype: ef.Symmetric(3, dtype),
        ef.Levels,
        [0.3, -0.2, 0.9, 0.4, 0.1, -0.6],
        [-1.0, 0.5, 2.0],
    ),
    Case("one by one", lambda dtype: ef.Symmetric(1, dtype), ef.Levels, [0.3], [0.8]),
    Case(
        "lowest and highest",
        lambda dtype: ef.Symmetric(4, dtype),
        lambda: ef.Levels([0, -1], weights=[1.0, 4.0]),
        [0.1, 0.5, 0.2, 0.9, 0.3, -0.2, 0.4, 0.1, -0.3, 0.2],
        [-1.0, 2.0],
    ),
    Case(
        "springs",
        lambda dtype: ef.Affine(_SPRINGS, _OFFSET, dtype),
        ef.Levels,
        [1.1, 1.9, 1.4, 0.9, 1.3],
        levels_of(np.tensordot(_STIFFNESS, _SPRINGS, 1) + _OFFSET),
    ),
    Case(
        "complex Hermitian",
        lambda dtype: ef.Affine(_HERMITIAN, None, _complex(dtype)),
        ef.Levels,
        [0.4, 0.3, 0.7, -0.2],
        [0.25, 1.5],
    ),
    Case(
        "not linear",
        lambda dtype: ef.Parametric(exponential, 3, 3, dtype),
        ef.Levels,
        [0.1, 0.5, 1.1],
        levels_of(np.diag(np.exp([0.0, 0.6, 1.0])) + 0.4 * np.ones([3, 3])),
    ),
]


def levels(problem: ef.Problem, parameters: Any) -> np.ndarray:
    """Eigenvalues by NumPy in double precision of the matrices a structure builds."""
    r = tf.convert_to_tensor(parameters, problem.parameter_dtype)
    A = problem.structure.assemble(r).numpy()
    return np.linalg.eigvalsh(A.astype(np.result_type(A, np.float64)))


def loss(problem: ef.Problem, parameters: Any, targets: Any) -> np.ndarray:
    """The loss by NumPy in double precision."""
    observation = problem.observation
    w = levels(problem, parameters)[..., observation.positions(problem.order)]
    weights = 1.0 if observation.weights is None else observation.weights
    return np.sum(weights * (w - np.asarray(targets)) ** 2, axis=-1)


def finite_differences(function: Any, x: np.ndarray, step: float) -> np.ndarray:
    """Central differences by every entry of a vector: `[..., p]`.

    The error is `step^2 |f'''| / 6 + eps |f| / step`; for |f|, |f'''| of order 1 in
    float64 a step of 6e-6 balances both at 1e-10.
    """
    columns = [
        (np.asarray(function(x + step * e)) - np.asarray(function(x - step * e)))
        / (2 * step)
        for e in np.eye(len(x))
    ]
    return np.stack(columns, axis=-1)
