"""Jacobi matrices from spectra that are known in closed form."""

from __future__ import annotations

import numpy as np

from eigenfit.gallery.entry import GalleryProblem, parameters
from eigenfit.problem.blocks import Block
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.structures import Reparametrized, Tridiagonal


def laplacian_levels(order: int) -> np.ndarray:
    """Computes the levels of the Jacobi matrix with all a = 2 and b = 1: `[n]`."""
    return 2 - 2 * np.cos(np.arange(1, order + 1) * np.pi / (order + 1))


def without_first(order: int) -> np.ndarray:
    """Selects the parameters of a Jacobi matrix without its first row and column.

    Returns:
        `[2 n - 3, 2 n - 1]`: parameters of `Tridiagonal(n - 1)` from those of order n.
    """
    kept = np.delete(np.arange(2 * order - 1), [0, order])
    return np.eye(2 * order - 1)[kept]


def two_spectra() -> GalleryProblem:
    """Builds T12: order 10, all levels and those without the first row and column."""
    n = 10
    inner = Reparametrized(Tridiagonal(n - 1), without_first(n))
    targets = np.concatenate([laplacian_levels(n), laplacian_levels(n - 1)])
    rng = np.random.default_rng(0)
    names = [f"a{i}" for i in range(n)] + [f"b{i}" for i in range(n - 1)]
    exact = np.array([2.0] * n + [1.0] * (n - 1))
    return GalleryProblem(
        name="jacobi-two-spectra",
        title="Jacobi matrix from two spectra",
        source="H. Hochstadt, Arch. Math. 18 (1967) 201-207; C. de Boor & G. H. Golub, "
        "Linear Algebra Appl. 21 (1978) 245-260; closed form a = 2, b = 1",
        problem=Problem(
            [Block(Tridiagonal(n), label="whole"), Block(inner, label="inner")],
            parameters=Parameters(names),
        ),
        targets=targets,
        initial=exact + rng.uniform(-0.5, 0.5, size=2 * n - 1),
        answer=exact,
        levels=targets,
        published=(
            parameters(names[:n], exact[:n], 1e-9, indices=range(n)),
            parameters(
                names[n:], exact[n:], 1e-9, indices=range(n, 2 * n - 1), signs=False
            ),
        ),
        tolerance=1e-24,
        start_note="Uniform random numbers within 0.5 of the answer, seed 0.",
    )


def clement() -> GalleryProblem:
    """Builds T13: a persymmetric Jacobi matrix of order 8 from its spectrum alone."""
    n = 8
    half = n // 2
    names = [f"a{i}" for i in range(n)] + [f"b{i}" for i in range(n - 1)]
    ties = {f"a{n - 1 - i}": {f"a{i}": 1.0} for i in range(half)}
    ties |= {f"b{n - 2 - i}": {f"b{i}": 1.0} for i in range(half - 1)}
    k = np.arange(1, half + 1)
    exact = np.concatenate([np.zeros(half), np.sqrt(k * (n - k))])
    targets = np.arange(1.0 - n, n, 2)
    free = [name for name in names if name not in ties]
    rng = np.random.default_rng(0)
    return GalleryProblem(
        name="clement",
        title="Persymmetric Jacobi matrix with eigenvalues -7..7",
        source="Kac, Sylvester and Clement: a = 0, b_i^2 = i (8 - i); "
        "P. A. Clement, SIAM Review 1 (1959) 50-52",
        problem=Problem(Tridiagonal(n), parameters=Parameters(names, ties=ties)),
        targets=targets,
        initial=np.concatenate([rng.normal(size=half), rng.uniform(2, 4, half)]),
        answer=exact,
        levels=targets,
        published=(
            parameters(free[:half], exact[:half], 1e-9, indices=range(half)),
            parameters(
                free[half:], exact[half:], 1e-9, indices=range(half, n), signs=False
            ),
        ),
        tolerance=1e-22,
        start_note="Normal random numbers on the diagonal, uniform ones from 2 to 4 "
        "beside it, seed 0.",
    )
