"""What the targets imply for the whole spectrum of each matrix of a problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from eigenfit.observations import ClusterMeans, Frequencies, Levels, RelativeTo
from eigenfit.problem.problem import Problem
from eigenfit.structures import AbstractFullStructure, AbstractStructure


@dataclass
class Part:
    """One matrix of a problem as a function of the unknowns, and its targets.

    Levels, matrices and their derivatives are in a unit of their own, so that nothing
    depends on that of the problem.

    Attributes:
        name: Name of the matrix within a sentence.
        structure: The matrix as a function of all parameters.
        ties: All parameters are `ties @ x + offset`; None for x itself.
        offset: See `ties`.
        unit: Unit of levels: a power of two near the size of the targets.
        known: Level -> its target.
        measured: Levels whose targets have standard deviations.
        reference: The level from which known ones are measured; None if absolute.
        rows: Level -> number of its target.
        trace: Sum of the levels and its standard deviation for residuals of one unit
            of the problem, if the targets determine it; None otherwise.
        levels: All levels `[n]` and the root of their least weight in that unit, if
            each has a target; None otherwise.
    """

    name: str
    structure: AbstractStructure
    ties: np.ndarray | None
    offset: np.ndarray | None
    unit: float = 1.0
    known: dict[int, float] = field(default_factory=dict)
    measured: set[int] = field(default_factory=set)
    reference: int | None = None
    rows: dict[int, int] = field(default_factory=dict)
    trace: tuple[float, float] | None = None
    levels: tuple[np.ndarray, float] | None = None

    @property
    def title(self) -> str:
        """The name at the start of a sentence."""
        return self.name[0].upper() + self.name[1:]

    @property
    def is_linear(self) -> bool:
        """Whether the matrix is linear in the unknowns."""
        return self.structure.is_linear

    @cached_property
    def is_full(self) -> bool:
        """Whether every spectrum is within reach."""
        return self.ties is None and isinstance(self.structure, AbstractFullStructure)

    def parameters(self, x: np.ndarray) -> Any:
        """All parameters for unknowns `[..., p]`."""
        r = x if self.ties is None else x @ self.ties.T + self.offset
        return r.astype(self.structure.parameter_dtype.as_numpy_dtype)

    def matrix(self, x: np.ndarray) -> np.ndarray:
        """The matrix `[n, n]` at unknowns `[p]`."""
        import tensorflow as tf

        r = tf.constant(self.parameters(x))
        return self.structure.assemble(r).numpy() / self.unit

    def slopes(self, p: int) -> np.ndarray:
        """Derivatives of a linear matrix by the p unknowns, `[p, n, n]`."""
        import tensorflow as tf

        s = self.structure
        directions = np.eye(p) if self.ties is None else self.ties.T
        zero = tf.zeros([s.num_parameters], s.parameter_dtype)
        changes = [
            s.pushforward(zero, tf.constant(direction, s.parameter_dtype)).numpy()
            for direction in directions
        ]
        return np.array(changes) / self.unit

    def trace_at_zero(self) -> float:
        """Trace of the matrix with all unknowns 0."""
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
        # A sum of the diagonal that cancels to rounding is zero.
        slope = np.where(np.abs(slope) > 1e-12 * np.abs(size), slope, 0.0)
        return slope / self.unit


def parts_of(
    problem: Problem, targets: np.ndarray, unit: float, reach: float = 0.0
) -> list[Part]:
    """Collects what the targets imply for each matrix.

    Args:
        problem: A problem in float64.
        targets: `[m]`.
        unit: Unit of residuals, such as that of `problem.natural_size`.
        reach: Norm of the residual, in `unit`, up to which it costs at least what the
            weights of the levels say; they are not constant where frequencies are
            observed.
    """
    parts = []
    several = len(problem.blocks) > 1
    for label, block in zip(problem.labels, problem.blocks, strict=True):
        title = f"the matrix of block {label}" if several else "the matrix"
        part = Part(title, block.structure, *problem.block_ties)
        own = [(o, s) for name, o, s in problem.terms if name == label]
        _read(part, own, targets, problem.roots() / unit, reach)
        parts.append(part)
    return parts


def _read(
    part: Part,
    own: list[tuple[Any, slice]],
    targets: np.ndarray,
    roots: np.ndarray,
    reach: float,
) -> None:
    """Fills in what the targets imply; `roots` of the weights are in the unit."""
    n = part.structure.order
    part.unit = _unit_of(
        [_as_levels(o, targets[place], 0)[0] for o, place in own if not o.uses_modes]
    )
    covered = np.zeros(n, int)
    total = 0.0
    spread: list[float] = []  # of each term in the sum of the levels
    single: dict[int, tuple[float, float]] = {}  # level -> value, root of its weight
    relative: list[tuple[int, list[int], np.ndarray, range]] = []
    for observation, place in own:
        numbers = range(place.start, place.stop)
        t, slope = _as_levels(observation, targets[place], reach / roots[place])
        t = t / part.unit
        root = roots[place] / (slope / part.unit)
        levels: list[int] = []
        if isinstance(observation, RelativeTo):
            zero = observation.level % n
            others = observation.indices or [k for k in range(n) if k != zero]
            levels = [k % n for k in others]
            relative.append((zero, levels, t, numbers))
        elif isinstance(observation, (Levels, Frequencies)):
            chosen = observation.indices
            levels = [k % n for k in (range(n) if chosen is None else chosen)]
            for k, value, size, row in zip(levels, t, root, numbers, strict=True):
                single[k] = (float(value), float(size))
                covered[k] += 1
                total += value
                spread.append(1 / size)
                part.rows[k] = row
            part.known |= {k: single[k][0] for k in levels}
        elif isinstance(observation, ClusterMeans):
            for cluster, value, size in zip(observation.clusters, t, root, strict=True):
                covered[[k % n for k in cluster]] += 1
                total += len(cluster) * value
                spread.append(len(cluster) / size)
        if observation.has_sigma:
            part.measured.update(levels)
    for zero, levels, t, numbers in relative[:1] if not part.known else []:
        part.known = {zero: 0.0} | dict(zip(levels, t.tolist(), strict=True))
        part.rows = dict(zip(levels, numbers, strict=True))
        part.reference = zero
    if (covered == 1).all():
        part.trace = (float(total), float(np.linalg.norm(spread)))
    if len(single) == n:
        values = np.array([single[k][0] for k in range(n)])
        part.levels = (values, min(root for _, root in single.values()))


def _as_levels(
    observation: Any, t: np.ndarray, most: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Targets in the unit of levels, and by how much levels change with them.

    The latter is an upper bound, per unit of the target, for changes up to `most`:
    `(f + e)^2 - f^2 = (2 f + e) e`.
    """
    if not isinstance(observation, Frequencies):
        return t, np.ones_like(t)
    # A frequency of 0 determines its level more sharply than any other.
    floor = 1e-9 * np.abs(t).max() or 1.0
    slope = 8 * np.pi**2 * (np.maximum(t, floor) + most / 2)
    return (2 * np.pi * t) ** 2, slope


def _unit_of(targets: list[np.ndarray]) -> float:
    """A power of two near the largest target; 1 if all are 0."""
    largest = max((float(np.abs(t).max()) for t in targets if t.size), default=0.0)
    return (
        2.0 ** int(np.clip(np.round(np.log2(largest)), -1000, 1000)) if largest else 1.0
    )
