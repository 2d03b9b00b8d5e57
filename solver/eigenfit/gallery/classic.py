"""Classical problems of one matrix: additive, multiple levels, Toeplitz, graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eigenfit.gallery.entry import (
    GalleryProblem,
    Published,
    level_names,
    observed,
    parameters,
    printed,
    published,
)
from eigenfit.methods import AbstractMethod, ClusterNewton
from eigenfit.observations import Levels
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.results import Solution
from eigenfit.structures import Additive, Affine, Laplacian, Symmetric, Toeplitz

_FNO = (
    "S. Friedland, J. Nocedal, M. L. Overton, SIAM J. Numer. Anal. 24(3) (1987) "
    "634-667, doi:10.1137/0724043"
)

FNO_OFFSET = np.array(
    [
        [0, 4, -1, 1, 1, 5, -1, 1],
        [4, 0, -1, 2, 1, 4, -1, 2],
        [-1, -1, 0, 3, 1, 3, -1, 3],
        [1, 2, 3, 0, 1, 2, -1, 4],
        [1, 1, 1, 1, 0, 1, -1, 5],
        [5, 4, 3, 2, 1, 0, -1, 6],
        [-1, -1, -1, -1, -1, -1, 0, 7],
        [1, 2, 3, 4, 5, 6, 7, 0],
    ]
)
"""Example 1 of Friedland, Nocedal and Overton: `A(c) = FNO_OFFSET + diag(c)`."""

FNO_TARGETS = np.arange(10.0, 81.0, 10.0)
"""Targets and start of that example, `[8]`."""

FNO_PRINTED = (
    "11.90787610 19.70552151 30.54549819 40.06265749 "
    "51.58714029 64.70213143 70.17067582 71.31849917"
)
"""Answer of that example as printed."""

FNO_ANSWER = [
    11.9078761024727,
    19.705521508087,
    30.545498186977,
    40.062657488448,
    51.5871402907255,
    64.7021314321795,
    70.1706758208911,
    71.3184991702191,
]
"""The same answer, refined to all digits."""

FNO_MULTIPLE_PRINTED = "2.12075361 9.21886818 17.28136579 35.70821864 722.68079377"
"""Levels above the triple level 1 of `fno_multiple_basis` at `c = (1, ..., 1)`."""

IDENTITY_START = [0.12108588, 0.8856114, 0.00449729, 0.22199583, 0.8411281, 0.54751956]
"""Random start of the example `identity`, packed by diagonals, `[6]`."""

TOEPLITZ_PRINTED = {
    4: "2.5 .4114378277661 0 -1.4114378277661",
    6: "3.5 .2448249280464 -.5672961299296 1.3773834464456 "
    "-.3256509369677 -1.122208374492",
    8: "4.5 -.387847683965 -.104427019208 -1.111508369912 "
    ".4299386373088 1.2598012685416 -1.5975733054291 -1.7604452146646",
}
"""First row, by order n, of one of many Toeplitz matrices with eigenvalues 1..n."""


def fno_multiple_basis() -> np.ndarray:
    """Builds `A(c)_ij = c_max(i,j) b_ij` with `B = I + V V^T`: `[8, 8, 8]`."""
    V = np.array(
        [
            [1, -1, -3, -5, -6],
            [1, 1, -2, -5, -17],
            [1, -1, -1, 5, 18],
            [1, 1, 1, 2, 0],
            [1, -1, 2, 0, 1],
            [1, 1, 3, 0, -1],
            [2.5, 0.2, 0.3, 0.5, 0.6],
            [2, -0.2, 0.3, 0.5, 0.8],
        ]
    )
    B = np.eye(8) + V @ V.T
    last = np.maximum(*np.indices([8, 8]))
    return np.array([np.where(last == k, B, 0) for k in range(8)])


def identity() -> GalleryProblem:
    """Builds T19: the only symmetric matrix with levels 1, 1, 1."""
    exact = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    names = ["A00", "A11", "A22", "A10", "A21", "A20"]
    return GalleryProblem(
        name="identity",
        title="The identity matrix from its eigenvalues",
        source="The article that eigenfit grew from: Adam needs 2300-3100 steps.",
        problem=Problem(Symmetric(3), parameters=Parameters(names)),
        targets=np.ones(3),
        initial=np.array(IDENTITY_START),
        answer=exact,
        levels=np.ones(3),
        published=(parameters(names, exact, 1e-9),),
        tolerance=1e-20,
        start_note="Uniform random numbers from 0 to 1, as published.",
    )


def fno_additive() -> GalleryProblem:
    """Builds T1, the standard test of quadratic convergence."""
    answer, half = printed(FNO_PRINTED)
    names = [f"c{k + 1}" for k in range(8)]
    return GalleryProblem(
        name="fno-additive",
        title="Additive inverse eigenvalue problem",
        source=_FNO,
        problem=Problem(Additive(FNO_OFFSET), parameters=Parameters(names)),
        targets=FNO_TARGETS,
        initial=FNO_TARGETS,
        answer=answer,
        levels=FNO_TARGETS,
        published=(parameters(names, answer, half),),
        tolerance=1e-22,
        start_note="The targets themselves, as published.",
    )


def fno_multiple() -> GalleryProblem:
    """Builds T2 with all eight levels, three of which coincide."""
    values, half = printed("1.00000000 " * 3 + FNO_MULTIPLE_PRINTED)
    # The printed digits cannot be met exactly: 11 conditions on 8 parameters.
    targets = np.linalg.eigvalsh(fno_multiple_basis().sum(axis=0))
    targets[:3] = 1.0
    return _fno_multiple(
        name="fno-multiple",
        title="A triple eigenvalue among eight",
        observation=Levels(),
        targets=targets,
        answer=np.ones(8),
        # The answer is exact; 1e-9 is the error that `tolerance` leaves in the levels,
        # 1e-12, times the condition number of the Jacobian, 1e3.
        compared=lambda names: (
            parameters(names, np.ones(8), 1e-9),
            observed(level_names(8), values, half),
        ),
    )


def fno_multiple_5() -> GalleryProblem:
    """Builds T2 in its well-posed form: as many conditions as parameters."""
    targets, _ = printed("1 1 1 2.1208 9.2189")
    answer, half = printed(
        "1.00001017 1.00002063 1.00001963 0.99991724 "
        "1.00014886 1.00006979 1.00005931 1.00009413"
    )
    others, half_others = printed("17.28243634 35.7090455 722.69559101")

    def upper(entry: GalleryProblem, solution: Solution) -> np.ndarray:
        del entry
        return np.asarray(solution.eigenvalues)[5:]

    return _fno_multiple(
        name="fno-multiple-5",
        title="A triple eigenvalue and two more, well-posed",
        observation=Levels(range(5)),
        targets=targets,
        answer=answer,
        compared=lambda names: (
            parameters(names, answer, half),
            published(level_names(3, 5), others, half_others, upper),
        ),
        # Eight conditions, of which methods that see five sorted levels miss some.
        method=ClusterNewton(),
    )


def toeplitz(order: int) -> GalleryProblem:
    """Builds T11: one of many symmetric Toeplitz matrices with eigenvalues 1..n."""
    targets = np.arange(1.0, order + 1)
    initial = np.random.default_rng(0).normal(size=order)
    initial[0] = targets.mean()
    answer = None
    if order in TOEPLITZ_PRINTED:
        answer, _ = printed(TOEPLITZ_PRINTED[order])
    return GalleryProblem(
        name=f"toeplitz-{order}",
        title=f"Toeplitz matrix with eigenvalues 1..{order}",
        source="W. F. Trench, SIAM J. Sci. Comput. 18 (1997) 1722-1736; existence: "
        "H. J. Landau, J. Amer. Math. Soc. 7 (1994) 749-767",
        problem=Problem(Toeplitz(order)),
        targets=targets,
        initial=initial,
        answer=answer,
        levels=targets,
        # Many matrices have these levels; their trace fixes only the first parameter.
        published=(
            observed(level_names(order), targets, 1e-9),
            parameters(["r0"], [targets.mean()], 1e-9, indices=[0]),
        ),
        tolerance=1e-20,
        start_note="The mean of the targets on the diagonal; the others normal random "
        "numbers, seed 0.",
    )


def complete_graph() -> GalleryProblem:
    """Builds T14: the complete graph, from levels that no other graph has."""
    n = 6
    edges = [(i, j) for j in range(n) for i in range(j)]
    names = [f"w{i}{j}" for i, j in edges]
    targets = np.array([0.0] + [float(n)] * (n - 1))
    return GalleryProblem(
        name="complete-graph",
        title="Complete graph from its Laplacian spectrum",
        source="Closed form: among weighted Laplacians of n vertices only that of the "
        "complete graph has the eigenvalues 0 and n, n - 1 times",
        problem=Problem(Laplacian(edges), parameters=Parameters(names)),
        targets=targets,
        initial=np.random.default_rng(0).uniform(0.5, 1.5, size=len(edges)),
        answer=np.ones(len(edges)),
        levels=targets,
        published=(parameters(names, np.ones(len(edges)), 1e-9),),
        tolerance=1e-20,
        start_note="Uniform random weights from 0.5 to 1.5, seed 0.",
    )


def _fno_multiple(
    *,
    name: str,
    title: str,
    observation: Levels,
    targets: np.ndarray,
    answer: np.ndarray,
    compared: Callable[[list[str]], tuple[Published, ...]],
    method: AbstractMethod | str = "auto",
) -> GalleryProblem:
    names = [f"c{k + 1}" for k in range(8)]
    return GalleryProblem(
        name=name,
        title=title,
        source=_FNO,
        problem=Problem(
            Affine(fno_multiple_basis()), observation, parameters=Parameters(names)
        ),
        targets=targets,
        initial=np.array([0.99] * 4 + [1.01] * 4),
        answer=answer,
        levels=targets,
        published=compared(names),
        tolerance=1e-24,
        start_note="One percent off the answer, as published.",
        method=method,
    )
