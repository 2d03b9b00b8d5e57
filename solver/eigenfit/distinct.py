"""Which parameters are the same solution: symmetries by signs, and groups."""

from __future__ import annotations

import numpy as np

from eigenfit.structures import AbstractStructure, Toeplitz
from eigenfit.structures.packed import AbstractPacked


def canonical(structure: AbstractStructure, parameters: np.ndarray) -> np.ndarray:
    """Chooses one of the parameters that differ by signs without effect on levels.

    - `Symmetric`, `Banded` and `Tridiagonal`: A is replaced by `S A S` with a diagonal
      S of signs, for which the entries off the diagonal that join rows not yet joined
      are positive, taken in the order of the parameters. For a tridiagonal matrix
      these are all.
    - `Toeplitz`: the same with `S = diag(1, -1, 1, ...)`, which turns `r_k` into
      `(-1)^k r_k`; the first `r_k` of odd k is positive.
    - Other structures have no such freedom that is known; theirs are given back.

    Entries up to `1e-6` of the largest one count as zero.

    Args:
        structure: Whose parameters they are.
        parameters: `[k, p]`.

    Returns:
        `[k, p]`.
    """
    nonzero = np.abs(parameters) > 1e-6 * np.abs(parameters).max(axis=1, keepdims=True)
    if isinstance(structure, Toeplitz):
        odd = np.arange(structure.order) % 2 == 1
        values = np.where(nonzero & odd, parameters, 0.0)
        first = np.argmax(values != 0, axis=1)
        negative = values[np.arange(len(values)), first] < 0
        return np.where(negative[:, None] & odd, -parameters, parameters)
    if not isinstance(structure, AbstractPacked):
        return parameters
    # A forest grows until it joins what nonzero entries join.
    rows, columns = structure._row, structure._column
    tree = np.broadcast_to(
        np.arange(structure.order), [len(parameters), structure.order]
    )
    tree, sign = tree.copy(), np.ones(tree.shape, parameters.dtype)
    for k in range(structure.order, structure.num_parameters):
        a, b = rows[k], columns[k]
        joins = nonzero[:, k] & (tree[:, a] != tree[:, b])
        if not joins.any():
            continue
        flips = joins & (parameters[:, k] * sign[:, a] * sign[:, b] < 0)
        side = tree == tree[:, a, None]
        sign = np.where(side & flips[:, None], -sign, sign)
        tree = np.where(side & joins[:, None], tree[:, b, None], tree)
    # The sign of a whole tree does not matter.
    return parameters * sign[:, rows] * sign[:, columns]


def clusters(points: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
    """Groups points: each belongs to the first earlier one that is near.

    Args:
        points: `[k, p]`.
        rtol: Distance of near points, relative to the norm of the first one.

    Returns:
        `[k]`, the group of each point, and `[s]`, the first point of each group.
    """
    label = np.full(len(points), -1)
    size = np.linalg.norm(points, axis=1)
    leaders: list[int] = []
    while (label < 0).any():
        k = int(np.argmax(label < 0))
        near = np.linalg.norm(points - points[k], axis=1) <= rtol * size[k]
        label[(near | (np.arange(len(points)) == k)) & (label < 0)] = len(leaders)
        leaders.append(k)
    return label, np.array(leaders, int)
