"""Equal targets: how many conditions a multiple level takes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.sparse.csgraph import (
    breadth_first_order,
    connected_components,
    minimum_spanning_tree,
)

from eigenfit.analysis.spectra import Part
from eigenfit.problem.problem import Problem

_MAX_ORDER = 500
"""Largest order for which symmetries are looked for."""


def multiplicity_finding(
    problem: Problem, parts: list[Part], x: np.ndarray, fixed: Collection[int]
) -> str | None:
    """Tells whether equal targets take more conditions than there are unknowns.

    Targets with standard deviations are left out: they are equal only within errors.

    Args:
        problem: A problem in float64.
        parts: Its matrices.
        x: `[p]`, near which the symmetries of the matrices are looked for.
        fixed: Numbers of targets that do not depend on the unknowns.

    Returns:
        A message, or None if there are enough unknowns or no targets are equal.
    """
    conditions, clusters = 0, []
    for part in parts:
        groups = _equal(part.known)
        levels = [
            group
            for group in groups
            if len(group) > 1 and not part.measured.intersection(group)
        ]
        conditions += sum(_is_condition(part, group, fixed) for group in groups)
        if not levels:
            continue
        sizes, sectors, is_real = _symmetry(problem, part, x)
        kind = "real symmetric" if is_real else "Hermitian"
        for group in levels:
            codimension = _codimension(len(group), sizes, sectors, is_real)
            if codimension:
                conditions += codimension
                clusters.append((part, group, codimension, kind))
    p = problem.num_parameters
    if not clusters or conditions <= p:
        return None
    part, group, codimension, kind = max(clusters, key=lambda entry: entry[2])
    return (
        f"Levels {group[0]} to {group[-1]} of {part.name} have equal targets. A {kind} "
        f"matrix has such a {len(group)}-fold level only where {codimension} "
        f"conditions hold, fewer where its structure makes entries zero; with them the "
        f"targets are {conditions} conditions on {p} unknowns, and can be met only if "
        f"they come from this very structure. Give sigma if they were measured, else "
        f'fewer targets, or means of the equal levels (kind = "cluster-means").'
    )


def _is_condition(part: Part, group: list[int], fixed: Collection[int]) -> bool:
    """Whether the value of equal levels is one condition on the unknowns."""
    moves = any(k in part.rows and part.rows[k] not in fixed for k in group)
    return moves and part.reference not in group


def _equal(known: dict[int, float]) -> list[list[int]]:
    """Groups levels by equal targets; levels between equal ones belong to the group."""
    if not known:
        return []
    levels = sorted(known)
    scale = max(map(abs, known.values()))
    groups = [[levels[0]]]
    for k in levels[1:]:
        if abs(known[k] - known[groups[-1][0]]) <= 1e-9 * scale:
            groups[-1] = list(range(groups[-1][0], k + 1))
        else:
            groups.append([k])
    return groups


def _symmetry(
    problem: Problem, part: Part, x: np.ndarray
) -> tuple[list[int], int, bool]:
    """Multiplicities of levels the structure has anyway, and the number of sectors.

    Levels of different sectors, which no parameter couples, cross freely. At the end
    whether the matrices are real, in some basis.
    """
    n, is_real = part.structure.order, not part.structure.dtype.is_complex
    if n > _MAX_ORDER:
        return [1] * n, 1, is_real
    generator = np.random.default_rng(0)
    step = 0.1 * np.maximum(np.abs(x), _natural(problem, part, x))
    A, B, C = (part.matrix(x + step * generator.normal(size=len(x))) for _ in range(3))
    if not all(np.isfinite(x).all() for x in (A, B, C)):
        return [1] * n, 1, is_real
    w, V = np.linalg.eigh(A)
    # Levels closer than this may have been split by rounding of the matrix.
    width = 16 * n * np.finfo(float).eps * np.abs(w).max()
    owner = np.cumsum(np.diff(w, prepend=w[0]) > width)
    B, C = (V.conj().T @ X @ V for X in (B, C))
    coupled = np.abs(B) > 1e-9 * np.abs(B).max()
    joined = np.zeros([owner[-1] + 1] * 2)
    np.add.at(joined, (owner[:, None], owner[None, :]), coupled)
    sectors, _ = connected_components(joined, directed=False)
    is_real = is_real or _are_real(B, C, coupled)
    return np.bincount(owner).tolist(), int(sectors), is_real


def _are_real(B: np.ndarray, C: np.ndarray, coupled: np.ndarray) -> bool:
    """Whether phases of the basis make two Hermitian matrices `[n, n]` real.

    The phases are those that do so along a tree of the largest couplings of `B`.
    """
    costs = np.zeros(B.shape)
    costs[coupled] = 1 / np.abs(B[coupled])
    np.fill_diagonal(costs, 0)
    tree = minimum_spanning_tree(costs)
    number, owner = connected_components(tree, directed=False)
    phases = np.ones(len(B), complex)
    for k in range(number):
        first = int(np.argmax(owner == k))
        order, before = breadth_first_order(tree, first, directed=False)
        for j in order[1:]:
            entry = B[before[j], j]
            phases[j] = phases[before[j]] * np.conj(entry) / np.abs(entry)
    turned = (phases.conj()[:, np.newaxis] * X * phases for X in (B, C))
    return all(np.abs(X.imag).max() <= 1e-9 * np.abs(X).max() for X in turned)


def _natural(problem: Problem, part: Part, x: np.ndarray) -> np.ndarray:
    """Changes of the unknowns `[p]` that move levels by the size of the targets."""
    point = problem.evaluate(x, np.zeros(problem.num_targets))
    slopes = np.asarray(problem.level_jacobian_at(point)) / part.unit
    columns = np.abs(slopes).max(axis=0)
    moves = columns > 0
    natural = np.zeros_like(columns)
    natural[moves] = 1 / columns[moves]
    return np.where(moves, natural, np.median(natural[moves]) if moves.any() else 1.0)


def _codimension(s: int, sizes: list[int], sectors: int, is_real: bool) -> int:
    """Least number of conditions for an s-fold level.

    Args:
        s: Multiplicity.
        sizes: Multiplicities the structure has anyway; as few as possible are merged.
        sectors: Number of sectors over which they may be spread.
        is_real: Whether the matrix is real in some basis.
    """
    ordered = np.cumsum(sorted(sizes, reverse=True))
    number = int(np.searchsorted(ordered, s)) + 1
    used = min(sectors, number)
    each = np.bincount(np.arange(number) % used)
    # If levels are multiple anyway, the real formula is a lower bound.
    counts_as_real = is_real or max(sizes) > 1
    inside = (each * (each + 1) // 2 if counts_as_real else each**2) - 1
    return int(inside.sum()) + used - 1
