"""Sign changes of parameters that leave every spectrum unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import tensorflow as tf
from scipy.sparse import csgraph

from eigenfit.observations.shapes import AbstractShapes
from eigenfit.problem.problem import Problem
from eigenfit.structures import AbstractStructure, Generalized, Reparametrized
from eigenfit.structures.free_entries.packed import AbstractPacked

_LARGEST = 1 << 28
"""Most entries of all dA/dx_k for which sign symmetries are looked for."""


class _Pattern(NamedTuple):
    # Where a part of A(x) is not zero; all these entries change sign with x_k.
    unknown: int  # k, or -1 for the constant part
    rows: np.ndarray
    columns: np.ndarray
    imaginary: bool  # whether these are imaginary parts


def sign_symmetries(problem: Problem) -> np.ndarray:
    """Derives which unknowns may change sign together without any effect.

    Signs s have no effect if signature matrices D (diagonal, of signs), one for each
    block, give `D A(s x) D = A(x)` or its complex conjugate, so that all levels stay;
    observed components of mode shapes must all have the same sign in D. Bounds and
    priors must be the same for x and s x. With bits for signs this is a linear system
    over GF(2): `d_i + d_j + s_k = 0` for each nonzero entry (i, j) of `dA/dx_k`,
    without s_k for the constant part.

    Args:
        problem: A problem whose structures are linear in their parameters, including
            pencils and `Reparametrized` of such; no symmetries are found for others.

    Returns:
        `[g, p]` bool, g independent changes that generate all.

    Example:
        A coupling may have either sign, since a chain's levels depend on its square:

        >>> from eigenfit import Affine
        >>> chain = Affine([[[1.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [1.0, 0.0]]])
        >>> sign_symmetries(Problem(chain)).tolist()
        [[False, True]]
    """
    p = problem.num_parameters
    structures = [block.structure for block in problem.blocks]
    T, c = np.eye(p), np.zeros(p)
    if problem.block_ties.matrix is not None:
        T, c = map(np.asarray, problem.block_ties)
    seen: list[list[int]] = [[] for _ in structures]
    for label, observation, _ in problem.terms:
        if observation.uses_modes:
            block = problem.labels.index(label)
            order = structures[block].order
            known = isinstance(observation, AbstractShapes)
            rows = observation.places(order)[1] if known else None
            seen[block] += range(order) if rows is None else rows.tolist()
    return _generators(structures, T, c, seen, _fixed_signs(problem))


def structure_symmetries(structure: AbstractStructure) -> np.ndarray:
    """Derives the same for all levels of one structure: `[g, p]` bool."""
    p = structure.num_parameters
    return _generators([structure], np.eye(p), np.zeros(p), [[]], [])


def _generators(
    structures: Sequence[AbstractStructure],
    T: np.ndarray,
    c: np.ndarray,
    seen: Sequence[Sequence[int]],
    together: Iterable[Sequence[int]],
) -> np.ndarray:
    p = T.shape[1]
    none = np.zeros([0, p], bool)
    orders = [s.order for s in structures]
    nodes, parts = sum(orders), len(structures)
    # Bits: signs of rows, conjugation of blocks, signs of unknowns.
    first = nodes + parts
    system = _System(first + p)
    for group in together:
        system.add(sum(1 << first + k for k in group))
    moving, start = np.zeros(p, bool), 0
    for b, structure in enumerate(structures):
        patterns = _patterns(structure, T, c)
        if patterns is None:
            return none
        own = [start + i for i in seen[b]]
        for i in own[1:]:
            system.add(1 << own[0] | 1 << i)
        for pattern in patterns:
            label = 0
            if pattern.unknown >= 0:
                label = 1 << first + pattern.unknown
                moving[pattern.unknown] |= len(pattern.rows) > 0
            if pattern.imaginary:
                label ^= 1 << nodes + b
            system.add_pattern(pattern, structure.order, start, label)
        start += structure.order
    for k in np.flatnonzero(~moving).tolist():
        system.add(1 << first + k)  # Unknowns without influence keep their sign.
    return system.solutions(first, p)


class _System:
    # Linear equations over GF(2) in echelon form; an equation is a set of bits.

    def __init__(self, size: int) -> None:
        self._size = size
        self._rows: dict[int, int] = {}  # by their highest bit

    def add(self, row: int) -> None:
        while row:
            pivot = row.bit_length() - 1
            if pivot not in self._rows:
                self._rows[pivot] = row
                return
            row ^= self._rows[pivot]

    def add_pattern(self, pattern: _Pattern, n: int, start: int, label: int) -> None:
        # d_i + d_j = label for all entries: it suffices to take those of a spanning
        # forest, and label = 0 if there is a closed walk of odd length.
        i, j = pattern.rows, pattern.columns
        if len(i) < 2:
            for a, b in zip(i.tolist(), j.tolist(), strict=True):
                self.add(1 << start + a ^ 1 << start + b ^ label)
            return
        ones = np.ones(len(i))
        double = scipy.sparse.coo_array(
            (np.tile(ones, 2), (np.r_[i, j], np.r_[j, i] + n)), shape=(2 * n, 2 * n)
        )
        which = csgraph.connected_components(double, directed=False)[1]
        used = np.unique(i)
        if (which[used] == which[used + n]).any():
            self.add(label)
        graph = scipy.sparse.coo_array((ones, (i, j)), shape=(n, n)).tocsr()
        forest = csgraph.minimum_spanning_tree(graph).tocoo()
        for a, b in zip(forest.row.tolist(), forest.col.tolist(), strict=True):
            self.add(1 << start + a ^ 1 << start + b ^ label)

    def solutions(self, first: int, number: int) -> np.ndarray:
        # Independent solutions, restricted to bits first, first + 1, ...: [g, number].
        values, free = [], 0
        for bit in range(self._size):
            row = self._rows.get(bit)
            if row is None:
                values.append(1 << free)
                free += 1
                continue
            value, rest = 0, row ^ 1 << bit
            while rest:
                lowest = rest & -rest
                value ^= values[lowest.bit_length() - 1]
                rest ^= lowest
            values.append(value)
        basis = _System(number)
        for k in range(free):
            own = (values[first + j] >> k & 1 for j in range(number))
            basis.add(sum(bit << j for j, bit in enumerate(own)))
        rows = [basis._rows[bit] for bit in sorted(basis._rows)]
        bits = [[row >> j & 1 for j in range(number)] for row in rows]
        return np.array(bits, bool).reshape(-1, number)


def _fixed_signs(problem: Problem) -> list[list[int]]:
    # Sets of unknowns whose signs must multiply to plus, because of bounds and priors.
    rows: list[list[int]] = []
    if problem.bounds is not None:
        rows += [
            [int(k)] for k in np.flatnonzero(problem.bounds[0] != -problem.bounds[1])
        ]
    if (prior := problem.prior) is not None:
        p = problem.num_parameters
        zero = tf.zeros([p], problem.parameter_dtype)
        J = prior.extend_jacobian(tf.zeros([0, p], zero.dtype)).numpy()
        means = prior.extend(zero[:0], zero).numpy()
        for row, mean in zip(J, means, strict=True):
            own = np.flatnonzero(row).tolist()
            rows += [[k] for k in own] if mean else [[own[0], k] for k in own[1:]]
    return rows


def _patterns(
    structure: AbstractStructure, T: np.ndarray, c: np.ndarray
) -> list[_Pattern] | None:
    # Patterns of A(T x + c) as a function of x; None unless it is known to be linear.
    if isinstance(structure, Reparametrized):
        M = structure.matrix
        return _patterns(structure.structure, M @ T, M @ c + structure.offset)
    if isinstance(structure, Generalized):
        own = _patterns(structure.stiffness, T, c)
        mass = (
            _constant(structure._inverse)
            if structure.mass is None
            else _patterns(structure.mass, T, c)
        )
        return None if own is None or mass is None else own + mass
    p, n = T.shape[1], structure.order
    same = T.shape[0] == p and not c.any() and (np.eye(p) == T).all()
    if isinstance(structure, AbstractPacked) and same:
        places = zip(structure._row, structure._column, strict=True)
        return [
            _Pattern(k, np.array([i]), np.array([j]), False)
            for k, (i, j) in enumerate(places)
        ]
    if not structure.is_linear or p * n**2 > _LARGEST:
        return None
    dtype = structure.parameter_dtype
    zero = tf.zeros([len(c)], dtype)
    found = _entries(structure.assemble(tf.constant(c, dtype)).numpy(), -1)
    chunk = max(1, (1 << 22) // n**2)
    for k in range(0, p, chunk):
        directions = tf.constant(T[:, k : k + chunk].T, dtype)
        copies = zero + tf.zeros_like(directions)
        A = structure.pushforward(copies, directions).numpy()
        for i, matrix in enumerate(A):
            found += _entries(matrix, k + i)
    return found


def _constant(factor: tf.Tensor) -> list[_Pattern]:
    # D M D = M if and only if its inverse Cholesky factor has the same property.
    return [] if factor.shape.rank == 1 else _entries(factor.numpy(), -1)


def _entries(A: np.ndarray, unknown: int) -> list[_Pattern]:
    # Where real and imaginary parts are not zero to rounding, relative to their row and
    # column, since a stiff support elsewhere does not make a coupling negligible.
    of_rows, of_columns = (np.sqrt(np.abs(A).max(axis=k, initial=0)) for k in (1, 0))
    least = 64 * np.finfo(A.dtype).eps * of_rows[:, np.newaxis] * of_columns
    parts: list[tuple[Any, bool]] = [(np.real(A), False)]
    if np.iscomplexobj(A):
        parts.append((np.imag(A), True))
    found = []
    for part, imaginary in parts:
        i, j = np.nonzero(np.tril(np.abs(part) > least))
        found.append(_Pattern(unknown, i, j, imaginary))
    return found
