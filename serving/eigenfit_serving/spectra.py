"""What the targets say about the whole spectrum of each matrix of a problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import eigenfit as ef


@dataclass
class Part:
    """One matrix of a problem as a function of the unknowns, and its targets.

    Attributes:
        name: Of the matrix, in a sentence.
        structure: As a function of all parameters.
        ties: All parameters are `ties @ x + offset`; None for x itself.
        offset: See there.
        known: Level -> target of it, in the unit of levels.
        reference: The level from which the known ones are measured, if they are.
        rows: Level -> number of its target.
        trace: Sum of the levels and its variance with the weights, if the targets
            tell; None otherwise.
        levels: All levels `[n]` and the least weight, if each has a target.
    """

    name: str
    structure: ef.AbstractStructure
    ties: np.ndarray | None
    offset: np.ndarray | None
    known: dict[int, float] = field(default_factory=dict)
    reference: int | None = None
    rows: dict[int, int] = field(default_factory=dict)
    trace: tuple[float, float] | None = None
    levels: tuple[np.ndarray, float] | None = None

    @property
    def title(self) -> str:
        """The name, to begin a sentence with."""
        return self.name[0].upper() + self.name[1:]

    @property
    def is_linear(self) -> bool:
        """Whether the matrix is linear in the unknowns."""
        return self.structure.is_linear

    @cached_property
    def is_full(self) -> bool:
        """Whether every spectrum is within reach."""
        import eigenfit as ef

        return self.ties is None and isinstance(
            self.structure, ef.AbstractFullStructure
        )

    def parameters(self, x: np.ndarray) -> Any:
        """All parameters of unknowns `[..., p]`."""
        r = x if self.ties is None else x @ self.ties.T + self.offset
        return r.astype(self.structure.parameter_dtype.as_numpy_dtype)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        """The matrix `[n, n]` at unknowns `[p]`."""
        import tensorflow as tf

        r = tf.constant(self.parameters(x))
        return self.structure.assemble(r).numpy()

    def slopes(self, p: int) -> np.ndarray:
        """Derivatives of a linear matrix by the p unknowns, `[p, n, n]`."""
        zero = self.matrix(np.zeros(p))
        return np.array([self.matrix(unit) - zero for unit in np.eye(p)])

    def trace_at_zero(self) -> float:
        """Trace where all unknowns are 0."""
        p = self.structure.num_parameters if self.ties is None else self.ties.shape[1]
        return float(np.trace(self.matrix(np.zeros(p))).real)

    def trace_slope(self) -> np.ndarray:
        """Derivatives of the trace of a linear matrix by the unknowns, `[p]`."""
        import tensorflow as tf

        s = self.structure
        r = tf.zeros([s.num_parameters], s.parameter_dtype)
        noise = np.random.default_rng(0).normal(size=s.order)
        slope, size = (
            s.pullback(r, tf.linalg.diag(tf.constant(d, s.dtype))).numpy()
            for d in (np.ones(s.order), noise)
        )
        if self.ties is not None:
            slope, size = slope @ self.ties, np.abs(size) @ np.abs(self.ties)
        # What cancels in the sum of the diagonal is zero.
        return np.where(np.abs(slope) > 1e-12 * np.abs(size), slope, 0.0)


def parts_of(problem: ef.Problem, targets: np.ndarray) -> list[Part]:
    """Collects what targets `[m]` say about each matrix."""
    import eigenfit as ef

    if not isinstance(problem, ef.JointProblem):
        # Ties are part of the structure here.
        part = Part("the matrix", problem.structure, None, None)
        _read(part, [(problem.observation, slice(0, len(targets)))], targets, problem)
        return [part]
    parts = []
    several = len(problem.blocks) > 1
    for label, block in zip(problem.labels, problem.blocks, strict=True):
        title = f"the matrix of block {label}" if several else "the matrix"
        ties = problem.tie_matrix
        part = Part(title, block.structure, ties, problem.tie_offset)
        own = [(o, s) for name, o, s in problem.terms if name == label]
        _read(part, own, targets, problem)
        parts.append(part)
    return parts


def _read(
    part: Part, own: list[tuple[Any, slice]], targets: np.ndarray, problem: ef.Problem
) -> None:
    import eigenfit as ef

    n = part.structure.order
    weights = problem.roots() ** 2
    covered = np.zeros(n, int)
    total = variance = 0.0
    single: dict[int, tuple[float, float]] = {}  # level -> value, weight as a level
    relative: list[tuple[int, list[int], np.ndarray, range]] = []
    for observation, place in own:
        t, w = targets[place], weights[place]
        numbers = range(place.start, place.stop)
        if isinstance(observation, ef.RelativeTo):
            zero = observation.level % n
            others = observation.indices or [k for k in range(n) if k != zero]
            levels = [k % n for k in others]
            relative.append((zero, levels, t, numbers))
        elif isinstance(observation, (ef.Levels, ef.Frequencies)):
            chosen = observation.indices
            levels = [k % n for k in (range(n) if chosen is None else chosen)]
            slope = np.ones_like(t)
            if isinstance(observation, ef.Frequencies):
                slope = 8 * np.pi**2 * t
                t = (2 * np.pi * t) ** 2
            w = w / np.maximum(slope, 1e-150) ** 2
            for k, value, weight, row in zip(levels, t, w, numbers, strict=True):
                single[k] = (float(value), float(weight))
                covered[k] += 1
                total, variance = total + value, variance + 1 / weight
                part.rows[k] = row
            part.known |= {k: single[k][0] for k in levels}
        elif isinstance(observation, ef.ClusterMeans):
            for cluster, value, weight in zip(observation.clusters, t, w, strict=True):
                covered[[k % n for k in cluster]] += 1
                total += len(cluster) * value
                variance += len(cluster) ** 2 / weight
    for zero, levels, t, numbers in relative[:1] if not part.known else []:
        part.known = {zero: 0.0} | dict(zip(levels, t.tolist(), strict=True))
        part.rows = dict(zip(levels, numbers, strict=True))
        part.reference = zero
    if (covered == 1).all():
        part.trace = (float(total), float(variance))
    if len(single) == n:
        values = np.array([single[k][0] for k in range(n)])
        part.levels = (values, min(weight for _, weight in single.values()))
