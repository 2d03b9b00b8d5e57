"""Data of the compared problems, in NumPy only: what every peer is given.

Each problem has a matrix `A(r)`, targets for all its eigenvalues and a batch of starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

SOLVED = 1e-10
"""A start is solved when the norm of its residual is at or below this."""

# S. Friedland, J. Nocedal, M. L. Overton, SIAM J. Numer. Anal. 24 (1987), Example 1.
FRIEDLAND_OFFSET = np.array(
    [
        [0, 4, -1, 1, 1, 5, -1, 1],
        [4, 0, -1, 2, 1, 4, -1, 2],
        [-1, -1, 0, 3, 1, 3, -1, 3],
        [1, 2, 3, 0, 1, 2, -1, 4],
        [1, 1, 1, 1, 0, 1, -1, 5],
        [5, 4, 3, 2, 1, 0, -1, 6],
        [-1, -1, -1, -1, -1, -1, 0, 7],
        [1, 2, 3, 4, 5, 6, 7, 0],
    ],
    dtype=np.float64,
)
FRIEDLAND_TARGETS = np.arange(10.0, 81.0, 10.0)


@dataclass(frozen=True)
class Data:
    """One problem with its starts.

    Attributes:
        name: Short, for `--only`.
        title: For people.
        kind: `"packed"` (every symmetric matrix), `"additive"` (a free diagonal) or
            `"affine"`; a peer may use it to build the matrix and its derivative fast.
        basis: `[p, n, n]`, dA/dr.
        offset: `[n, n]`, A at r = 0.
        targets: `[n]`, ascending.
        starts: `[b, p]`.
        relative: Whether the residual is `(lambda - t) / t` and not `lambda - t`.
    """

    name: str
    title: str
    kind: str
    basis: np.ndarray
    offset: np.ndarray
    targets: np.ndarray
    starts: np.ndarray
    relative: bool = False

    @property
    def order(self) -> int:
        """The order n of the matrix."""
        return len(self.offset)

    @cached_property
    def scale(self) -> np.ndarray:
        """What the difference of levels and targets is divided by: `[n]`."""
        return self.targets if self.relative else np.ones(self.order)

    @cached_property
    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Row and column in the lower triangle of each packed parameter."""
        return packed_entries(self.order)

    @cached_property
    def index(self) -> np.ndarray:
        """The packed parameter that stands at each entry: `[n, n]`."""
        rows, columns = self.entries
        index = np.empty([self.order, self.order], int)
        index[rows, columns] = index[columns, rows] = np.arange(len(rows))
        return index

    def assemble(self, parameters: np.ndarray) -> np.ndarray:
        """Builds A(r): `[..., p]` to `[..., n, n]`."""
        if self.kind == "packed":
            return parameters[..., self.index]
        return self.offset + np.tensordot(parameters, self.basis, 1)

    def jacobian(self, V: np.ndarray) -> np.ndarray:
        """Computes `v_i^T A_k v_i` from eigenvectors: `[n, n]` to `[n, p]`."""
        if self.kind == "packed":
            rows, columns = self.entries
            J = V[rows] * V[columns] * np.where(rows == columns, 1, 2)[:, None]
            J = J.T
        elif self.kind == "additive":
            J = V.T**2
        else:
            J = np.sum((self.basis @ V) * V, axis=-2).T
        return J / self.scale[:, None]

    def residual_norms(self, parameters: np.ndarray) -> np.ndarray:
        """Computes the norms of the residuals: `[..., p]` to `[...]`."""
        A = self.assemble(parameters)
        finite = np.isfinite(A).all(axis=(-2, -1), keepdims=True)
        levels = np.linalg.eigvalsh(np.where(finite, A, 0.0))
        norms = np.linalg.norm((levels - self.targets) / self.scale, axis=-1)
        return np.where(finite[..., 0, 0], norms, np.inf)


def packed_entries(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists rows and columns by diagonals outwards, the main diagonal first."""
    columns = np.concatenate([np.arange(order - k) for k in range(order)])
    rows = np.concatenate([np.arange(k, order) for k in range(order)])
    return rows, columns


def packed(order: int, count: int, name: str) -> Data:
    """Every symmetric matrix, targets 1..n, starts U(0, 1)."""
    rows, columns = packed_entries(order)
    basis = np.zeros([len(rows), order, order])
    k = np.arange(len(rows))
    basis[k, rows, columns] = basis[k, columns, rows] = 1
    return Data(
        name,
        f"symmetric n={order}, {count} start{'s'[: count != 1]}",
        "packed",
        basis,
        np.zeros([order, order]),
        np.arange(1.0, order + 1),
        np.random.default_rng(0).uniform(size=[count, len(rows)]),
    )


def friedland(count: int, name: str) -> Data:
    """The additive problem, from the published start or from t + U(-30, 30)."""
    moves = np.random.default_rng(0).uniform(-30, 30, size=[count, 8])
    if count == 1:
        moves = np.zeros([1, 8])
    return Data(
        name,
        f"additive n=8, {'published start' if count == 1 else f'{count} starts'}",
        "additive",
        np.einsum("ki,kj->kij", np.eye(8), np.eye(8)),
        FRIEDLAND_OFFSET,
        FRIEDLAND_TARGETS,
        FRIEDLAND_TARGETS + moves,
    )


def frame_matrices() -> tuple[np.ndarray, np.ndarray]:
    """Basis and actual parameters of an 18-storey shear frame.

    Y. Otsuki et al., Adv. Struct. Eng. 25(4) (2022) 698-715: `K(a) x = lambda M x` with
    stiffnesses `k_i (1 + a_i)`, written as a symmetric problem by `M^(-1/2)`.

    Returns:
        `[18, 18, 18]` and `[18]`; the offset is the sum of the basis.
    """
    mass = np.r_[np.full(11, 208e3), np.full(6, 206e3), 202e3] / 9.8
    stiffness = np.fromstring(
        "1155 1092 1073 1028 1028 990 963 938 876 840 824 788 712 660 619 562 491 363",
        sep=" ",
    )
    stiffness *= 1e5
    actual = np.fromstring(
        ".05 .05 -.05 -.1 .1 -.15 .15 .25 -.1 .2 .3 .25 -.15 .05 -.15 .1 .2 .2",
        sep=" ",
    )
    basis = np.zeros([18, 18, 18])
    for k in range(18):
        basis[k, k, k] = 1
        if k:
            basis[k, k - 1, k - 1] = 1
            basis[k, k, k - 1] = basis[k, k - 1, k] = -1
    basis *= stiffness[:, None, None] / np.sqrt(mass[:, None] * mass)
    return basis, actual


def frame(count: int, name: str) -> Data:
    """The frame, from the nominal stiffnesses or from U(-0.4, 0.4)."""
    basis, actual = frame_matrices()
    offset = basis.sum(axis=0)
    starts = np.random.default_rng(0).uniform(-0.4, 0.4, size=[count, 18])
    if count == 1:
        starts = np.zeros([1, 18])
    return Data(
        name,
        f"18-storey frame, {'nominal start' if count == 1 else f'{count} starts'}",
        "affine",
        basis,
        offset,
        np.linalg.eigvalsh(offset + np.tensordot(actual, basis, 1)),
        starts,
        relative=True,
    )


PROBLEMS: dict[str, Callable[[bool], Data]] = {
    "sym3": lambda quick: packed(3, 200 if quick else 10_000, "sym3"),
    "sym8": lambda quick: packed(8, 50 if quick else 1000, "sym8"),
    "sym32": lambda quick: packed(32, 1, "sym32"),
    "additive": lambda quick: friedland(1, "additive"),
    "additive-many": lambda quick: friedland(20 if quick else 1000, "additive-many"),
    "frame": lambda quick: frame(1, "frame"),
    "frame-many": lambda quick: frame(4 if quick else 100, "frame-many"),
}
"""By name; the argument says whether to make it small."""
