"""The profile of one parameter, and where it reaches a given rise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.interpolate import BarycentricInterpolator

_CLOSE = 1e-5
"""Change of an end, in standard errors, at which it is found."""

_FAR = 1e3
"""Distance in linear errors at which a side that has not risen counts as open."""


class End(NamedTuple):
    """An end of an interval."""

    value: float
    closing: str  # "closed", "bound" or "open"


class Curve:
    """Points of a profile: values of the parameter and signed roots of the rise.

    The root of the rise, negative below the best value, is nearly linear in the value.

    Args:
        best: `[p]`, parameters of the fit.
        index: Which of them is examined.
        low: Its lower bound.
        high: Its upper bound.
        step: A step that changes the loss by about the variance.
    """

    def __init__(
        self, best: np.ndarray, index: int, low: float, high: float, step: float
    ) -> None:
        self.index, self._low, self._high, self._step = int(index), low, high, step
        self.values = np.array([best[index]])
        self.deviations = np.zeros(1)
        self._points = best[np.newaxis]
        self._tried = {-1: 0.0, 1: 0.0}  # farthest value aimed at, from the best
        self._crossings: dict[tuple[float, int], float] = {}  # as last estimated
        self._doubted: set[float] = set()
        self._put_aside: dict[float, tuple[np.ndarray, float]] = {}

    @property
    def _best(self) -> float:
        return float(self.values[np.argmin(abs(self.deviations))])

    def inside(self, values: np.ndarray) -> list[float]:
        """Returns the values within the bounds, the bounds in place of those beyond."""
        return np.unique(np.clip(values, self._low, self._high)).tolist()

    def add(self, point: np.ndarray, rise: float, aim: float) -> None:
        """Adds a point of the profile.

        Args:
            point: `[p]`, parameters.
            rise: Rise of the loss over the variance.
            aim: Value at which it was aimed.
        """
        if aim in self._put_aside:
            before = self._put_aside.pop(aim)
            if not rise < before[1]:
                point, rise = before
            self._doubted.add(float(point[self.index]))
        value = point[self.index]
        side = np.sign(value - self._best)
        deviation = side * np.sqrt(max(rise, 0.0))
        for way in (-1, 1):
            self._tried[way] = max(self._tried[way], way * (aim - self._best))
        if value in self.values:
            return
        at = int(np.searchsorted(self.values, value))
        self.values = np.insert(self.values, at, value)
        self.deviations = np.insert(self.deviations, at, deviation)
        self._points = np.insert(self._points, at, point, axis=0)

    def doubtful(self) -> list[tuple[float, np.ndarray]]:
        """Takes out points that may be minima of another branch.

        Their deviation exceeds those of both neighbours, or three times what the two
        points before it promise. A point is doubted once: what is added in its place
        stays.

        Returns:
            For each the value to examine again, and `[p]` from which: the neighbour
            nearer to the best value.
        """
        found = []
        for side in (-1, 1):
            x, z = self._outwards(side)
            for k in range(1, len(x)):
                value = side * x[k]
                if value in self._doubted:
                    continue
                if k + 1 < len(x):
                    spike = z[k] > max(z[k - 1], z[k + 1])
                else:
                    slope = (
                        (z[k - 1] - z[k - 2]) / (x[k - 1] - x[k - 2]) if k > 1 else 0
                    )
                    spike = k > 1 and z[k] > 3 * (z[k - 1] + slope * (x[k] - x[k - 1]))
                if spike:
                    found.append((value, side * x[k - 1]))
        result = []
        for value, inner in found:
            self._doubted.add(value)
            at = int(np.flatnonzero(self.values == value)[0])
            self._put_aside[value] = self._points[at], self.deviations[at] ** 2
            start = self._points[int(np.flatnonzero(self.values == inner)[0])]
            result.append((value, start))
        for value, _ in result:
            keep = self.values != value
            self.values, self.deviations = self.values[keep], self.deviations[keep]
            self._points = self._points[keep]
        return result

    def near(self, value: float) -> tuple[np.ndarray, float]:
        """Returns the nearest point `[p]`, and the slope of the rise at a value."""
        k = int(np.argmin(abs(self.values - value)))
        if len(self.values) == 1:
            return self._points[k], 2 * (value - self.values[k]) / self._step**2
        a = int(
            np.clip(np.searchsorted(self.values, value) - 1, 0, len(self.values) - 2)
        )
        width = self.values[a + 1] - self.values[a]
        slope = (self.deviations[a + 1] - self.deviations[a]) / width
        deviation = self.deviations[a] + slope * (value - self.values[a])
        return self._points[k], 2 * deviation * slope

    def next(self, limit: float, side: int) -> float | None:
        """Returns the next value to examine for an end; None if the end is found.

        Args:
            limit: Deviation at which the interval ends, in standard errors.
            side: -1 for the lower end, 1 for the upper one.
        """
        x, z = self._outwards(side)
        bound = side * (self._high if side > 0 else self._low)
        beyond = np.flatnonzero(z >= limit)
        if not beyond.size:
            if x[-1] >= bound or self._tried[side] > _FAR * self._step:
                return None
            return side * min(bound, x[0] + 2 * max(self._tried[side], self._step))
        crossing = self._crossing(x, z, int(beyond[0]), limit)
        before = self._crossings.get((limit, side), np.inf)
        self._crossings[limit, side] = crossing
        if abs(crossing - before) <= _CLOSE * self._step:
            return None
        return side * crossing

    def end(self, limit: float, side: int) -> End:
        """Returns where an interval ends; arguments as for `next`."""
        x, z = self._outwards(side)
        beyond = np.flatnonzero(z >= limit)
        if beyond.size:
            return End(side * self._crossing(x, z, int(beyond[0]), limit), "closed")
        bound = self._high if side > 0 else self._low
        if np.isfinite(bound) and x[-1] >= side * bound:
            return End(float(bound), "bound")
        return End(side * np.inf, "open")

    def _outwards(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        # Values and deviations of one side, from the best value outwards, both times
        # the side.
        x, z = side * self.values, side * self.deviations
        order = np.argsort(x)
        x, z = x[order], z[order]
        first = int(np.argmin(abs(z)))
        return x[first:], z[first:]

    @staticmethod
    def _crossing(x: np.ndarray, z: np.ndarray, k: int, limit: float) -> float:
        # Where the deviation reaches the limit between points k - 1 and k: by a cubic
        # through four points where the deviation rises among them, else by a line.
        near = slice(max(0, k - 2), k + 2)
        a, b = x[k - 1], x[k]
        line = a + (b - a) * (limit - z[k - 1]) / (z[k] - z[k - 1])
        if len(z[near]) < 3 or not (np.diff(z[near]) > 0).all():
            return float(line)
        value = float(BarycentricInterpolator(z[near], x[near])(limit))
        return value if a < value < b else float(line)
