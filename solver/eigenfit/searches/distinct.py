"""Which parameters are the same solution: signs, periods, and the data's resolution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.problem.problem import Problem
from eigenfit.searches.mirrors import sign_symmetries, structure_symmetries
from eigenfit.searches.starts import scale_of
from eigenfit.structures import AbstractStructure

_ZERO = 20.0
"""Fraction of the largest scaled parameter up to which one has no sign, in roots of the
machine epsilon: a parameter whose sign has no effect is not known better near 0."""


_PROBES = 4
"""Random points where what is observed is compared with a period further on."""


class Freedom(NamedTuple):
    """Changes of the unknowns that leave everything observed unchanged."""

    generators: np.ndarray  # [g, p] bool, unknowns that may change sign together
    periods: np.ndarray  # [p], infinite where there is none
    centre: np.ndarray  # [p], centre of the period used for parameters; NaN for none
    scale: np.ndarray  # [p], weight of a unit of each parameter

    def difference(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Computes `one - other` without whole periods: `[..., p]`."""
        return self._wrapped(one - other, np.zeros(len(self.periods)))

    def _wrapped(self, x: np.ndarray, centre: np.ndarray) -> np.ndarray:
        # From centre - T/2, excluded, to centre + T/2.
        known = np.isfinite(self.periods) & np.isfinite(centre)
        T = np.where(known, self.periods, 1.0)
        middle = np.where(known, centre, 0.0)
        turns = np.where(known, np.ceil((x - middle) / T - 0.5), 0.0)
        return np.where(turns != 0, x - turns * T, x).astype(x.dtype)

    def canonical(self, parameters: np.ndarray) -> np.ndarray:
        """Chooses one of all equivalent solutions, for each of `[k, p]`.

        Periodic parameters are put in (-T/2, T/2], or in the period next to a bound.
        Then signs are changed so that, in turn, each parameter whose sign is still free
        becomes positive. Scaled parameters below 20 sqrt(eps) of the largest one have
        no sign.
        """
        x = self._wrapped(parameters, self.centre)
        for members, pivots in self._pivots(x):
            own = x[members]
            for k, flips in pivots:
                negative = own[:, k] < 0
                own = np.where(negative[:, np.newaxis] & flips, -own, own)
            x[members] = self._wrapped(own, self.centre)
        return x

    def num_copies(self, parameters: np.ndarray) -> np.ndarray:
        """Counts the solutions that differ by signs, itself included: `[k]` int."""
        number = np.ones(len(parameters), int)
        for members, pivots in self._pivots(parameters):
            number[members] = 2 ** min(len(pivots), 62)
        return number

    def copies(self, parameters: np.ndarray, most: int) -> np.ndarray:
        """Lists up to `most` sign copies of one `[p]`, itself first: `[c, p]`."""
        found = parameters[np.newaxis]
        for _, pivots in self._pivots(found):
            for _, flips in pivots:
                if len(found) < most:
                    found = np.concatenate([found, np.where(flips, -found, found)])
        return found[:most]

    def _pivots(
        self, parameters: np.ndarray
    ) -> list[tuple[np.ndarray, list[tuple[int, np.ndarray]]]]:
        # For members with the same zeros: each parameter whose sign can be chosen, with
        # all signs that change with it but none of the earlier choices.
        size = np.abs(parameters) * self.scale
        least = _ZERO * float(np.finfo(parameters.dtype).eps) ** 0.5
        nonzero = size > least * size.max(axis=1, initial=0, keepdims=True)
        if not len(self.generators) or not len(parameters):
            return []
        patterns, which = np.unique(nonzero, axis=0, return_inverse=True)
        result = []
        for number, pattern in enumerate(patterns):
            rest, pivots = self.generators.copy(), []
            for k in np.flatnonzero(pattern):
                able = np.flatnonzero(rest[:, k])
                if not len(able):
                    continue
                flips = rest[able[0]].copy()
                pivots.append((int(k), flips))
                rest[able] ^= flips
                if not rest.any():
                    break
            result.append((np.flatnonzero(which.ravel() == number), pivots))
        return result


def freedom_of(problem: Problem, scale: np.ndarray | None = None) -> Freedom:
    """Derives the freedom of a problem; see `eigenfit.searches.mirrors`.

    Args:
        problem: The problem whose unknowns may have copies.
        scale: `[p]`, weight of a unit of each; that of `scale_of` by default.
    """
    p = problem.num_parameters
    periods = _free_periods(problem)
    centre = np.zeros(p)
    if problem.bounds is not None:
        low, high = problem.bounds
        half = np.where(np.isfinite(periods), periods, 0.0) / 2
        centre = np.where(np.isfinite(high), high - half, centre)
        centre = np.where(np.isfinite(low), low + half, centre)
        centre = np.where(low == -high, 0.0, centre)
        # If the bounds are less than a period apart there is nothing to choose.
        centre = np.where(high - low < 2 * half, np.nan, centre)
    return Freedom(
        sign_symmetries(problem),
        periods,
        centre,
        scale_of(problem) if scale is None else scale,
    )


def _free_periods(problem: Problem) -> np.ndarray:
    # Periods that nothing observed tells apart, [p]; levels do not, by declaration.
    if problem.periods is None:
        return np.full(problem.num_parameters, np.inf)
    periods = problem.periods.copy()
    if not problem.has_modes:
        return periods
    rng = np.random.default_rng(0)
    size = 1.0 if problem.scales is None else problem.scales
    dtype = problem.parameter_dtype
    x = size * rng.standard_normal([_PROBES, problem.num_parameters])
    x = problem.limit(tf.constant(x, dtype)).numpy()
    targets = tf.constant(rng.uniform(0.5, 1.0, problem.num_targets), dtype)
    first = problem.values(x, targets + tf.zeros([_PROBES, 1], dtype))
    before = problem.residual(x, first).numpy()  # rounding; signs and scales are given
    size = np.linalg.norm(problem.weighted(first), axis=-1)
    for k in np.flatnonzero(np.isfinite(periods)):
        moved = x + (periods[k] * (np.arange(len(periods)) == k)).astype(x.dtype)
        change = np.linalg.norm(
            problem.residual(moved, first).numpy() - before, axis=-1
        )
        if not (change <= np.finfo(x.dtype).eps ** 0.5 * size).all():
            periods[k] = np.inf
    return periods


def canonical(structure: AbstractStructure, parameters: np.ndarray) -> np.ndarray:
    """Chooses one of the parameters that differ by signs without effect on levels.

    Args:
        structure: The structure that has these parameters.
        parameters: `[k, p]`.

    Returns:
        `[k, p]`; see `Freedom.canonical`.

    Example:
        >>> from eigenfit.structures import Tridiagonal
        >>> canonical(Tridiagonal(2), np.array([[1.0, 2.0, -3.0]]))
        array([[1., 2., 3.]])
    """
    p = structure.num_parameters
    squares = structure.squared_norms()
    scale = (
        np.ones(p) if squares is None else np.sqrt(np.where(squares > 0, squares, 1))
    )
    generators = structure_symmetries(structure)
    none = np.full(p, np.inf)
    return Freedom(generators, none, np.zeros(p), scale).canonical(parameters)


def column_norms(J: np.ndarray) -> np.ndarray:
    """Computes the norms of columns without overflow of squares: `[..., p]`."""
    largest = np.abs(J).max(axis=-2, initial=0)
    unit = np.where(largest > 0, largest, 1.0)
    return largest * np.linalg.norm(J / unit[..., np.newaxis, :], axis=-2)


class Points(NamedTuple):
    """Where fits ended, in a common unit of the residuals."""

    parameters: np.ndarray  # [k, p], canonical ones
    jacobian: np.ndarray  # [k, m, p]
    residual: np.ndarray  # [k], norms
    met: np.ndarray  # [k] bool, whether the targets are met
    size: float  # natural size of residuals


def clusters(
    points: Points, freedom: Freedom, rtol: float
) -> tuple[np.ndarray, np.ndarray]:
    """Groups points: each joins the first earlier one that is the same.

    Two points are the same if the data do not resolve their difference: to first order
    at either point it changes residuals by no more than the fits left open. That is
    four times their residuals where the targets are met, elsewhere 1e-4 of them or what
    moves the loss by its rounding, plus the rounding of residuals. A thousand times as
    much is allowed if no parameter differs by more than `rtol` of its own size (of its
    period over 2 pi).

    Args:
        points: Points, the best first.
        freedom: Freedom of the unknowns.
        rtol: Relative distance up to which parameters are the same.

    Returns:
        `[k]`, the group of each point, and `[s]`, the first point of each group.
    """
    x, J = points.parameters, points.jacobian
    k = len(x)
    label = np.full(k, -1)
    columns = column_norms(J).max(axis=0, initial=0)
    norm = np.linalg.norm(x * columns, axis=1)
    rounding = np.finfo(x.dtype).eps * points.size
    missed = np.maximum(1e-4 * points.residual, np.sqrt(8 * rounding * points.residual))
    least = np.where(points.met, 4 * points.residual, missed) + 100 * rounding
    # Points that the data tell apart by far more differ, however alike they are.
    most = 1e3 * least
    leaders: list[int] = []
    whole = np.isfinite(freedom.periods)
    with np.errstate(over="ignore", invalid="ignore"):
        while (label < 0).any():
            j = int(np.argmax(label < 0))
            difference = freedom.difference(x, x[j])
            own = np.maximum(np.abs(x), np.abs(x[j]))
            own = np.where(whole, freedom.periods / (2 * np.pi), own)
            alike = (np.abs(difference) <= rtol * own).all(axis=1)
            near = np.linalg.norm(difference * columns, axis=1)
            near = near <= 0.1 * np.maximum(norm, norm[j])
            here = np.linalg.norm(difference @ J[j].T, axis=1)
            there = np.linalg.norm(np.einsum("kmp,kp->km", J, difference), axis=1)
            change = np.maximum(here, there)
            open_ = change <= least + least[j]
            same = near & open_ & (points.met == points.met[j])
            same |= alike & (change <= most + most[j])
            same |= np.arange(k) == j
            label[same & (label < 0)] = len(leaders)
            leaders.append(j)
    return label, np.array(leaders, int)
