"""Equal targets: how many conditions a multiple level takes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy.sparse.csgraph import connected_components

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
        sizes, sectors = _symmetry(problem, part, x)
        for group in levels:
            codimension = _codimension(
                len(group), sizes, sectors, part.structure.dtype.is_complex
            )
            if codimension:
                conditions += codimension
                clusters.append((part, group, codimension))
    p = problem.num_parameters
    if not clusters or conditions <= p:
        return None
    part, group, codimension = max(clusters, key=lambda entry: entry[2])
    kind = "Hermitian" if part.structure.dtype.is_complex else "real symmetric"
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


def _symmetry(problem: Problem, part: Part, x: np.ndarray) -> tuple[list[int], int]:
    """Multiplicities of levels the structure has anyway, and the number of sectors.

    Levels of different sectors, which no parameter couples, cross freely.
    """
    n = part.structure.order
    if n > _MAX_ORDER:
        return [1] * n, 1
    generator = np.random.default_rng(0)
    step = 0.1 * np.maximum(np.abs(x), _natural(problem, part, x))
    A, B = (part.matrix(x + step * generator.normal(size=len(x))) for _ in range(2))
    if not (np.isfinite(A).all() and np.isfinite(B).all()):
        return [1] * n, 1
    w, V = np.linalg.eigh(A)
    # Levels closer than this may have been split by rounding of the matrix.
    width = 16 * n * np.finfo(float).eps * np.abs(w).max()
    owner = np.cumsum(np.diff(w, prepend=w[0]) > width)
    coupled = np.abs(V.conj().T @ B @ V) > 1e-9 * np.abs(B).max()
    joined = np.zeros([owner[-1] + 1] * 2)
    np.add.at(joined, (owner[:, None], owner[None, :]), coupled)
    sectors, _ = connected_components(joined, directed=False)
    return np.bincount(owner).tolist(), int(sectors)


def _natural(problem: Problem, part: Part, x: np.ndarray) -> np.ndarray:
    """Changes of the unknowns `[p]` that move levels by the size of the targets."""
    point = problem.evaluate(x, np.zeros(problem.num_targets))
    slopes = np.asarray(problem.level_jacobian_at(point)) / part.unit
    columns = np.abs(slopes).max(axis=0)
    moves = columns > 0
    natural = np.zeros_like(columns)
    natural[moves] = 1 / columns[moves]
    return np.where(moves, natural, np.median(natural[moves]) if moves.any() else 1.0)


def _codimension(s: int, sizes: list[int], sectors: int, is_complex: bool) -> int:
    """Least number of conditions for an s-fold level.

    Args:
        s: Multiplicity.
        sizes: Multiplicities the structure has anyway; as few as possible are merged.
        sectors: Number of sectors over which they may be spread.
        is_complex: Whether the matrix is complex Hermitian.
    """
    ordered = np.cumsum(sorted(sizes, reverse=True))
    number = int(np.searchsorted(ordered, s)) + 1
    used = min(sectors, number)
    each = np.bincount(np.arange(number) % used)
    # If levels are multiple anyway, the real formula is a lower bound.
    if is_complex and max(sizes) == 1:
        inside = each**2 - 1
    else:
        inside = each * (each + 1) // 2 - 1
    return int(inside.sum()) + used - 1
