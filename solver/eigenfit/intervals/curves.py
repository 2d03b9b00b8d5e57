"""The profile of one parameter, and where it reaches a given rise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.interpolate import BarycentricInterpolator

_CLOSE = 1e-5
"""Change of an end, in standard errors, at which it is found."""

_JUMP = 3.0
"""Deviation, over that which the points before it promise, from which a point is taken
for one of another branch."""

_FAR = 1e3
"""Distance in linear errors at which a side that has not risen counts as open."""


class End(NamedTuple):
    """An end of an interval."""

    value: float
    closing: str  # "closed", "bound", "open" or "not found"


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
        self._best = float(best[index])
        self.values = np.array([self._best])
        self.deviations = np.zeros(1)
        self._points = best[np.newaxis]
        self._tried = {-1: 0.0, 1: 0.0}  # farthest value aimed at, from the best
        self._crossings: dict[tuple[float, int], float] = {}  # as last estimated
        self._found: set[tuple[float, int]] = set()
        self._failed = {-1: np.inf, 1: np.inf}  # nearest value, times the side, dropped
        self._missed: set[float] = set()  # values at which no minimum was found
        self._doubted: set[float] = set()
        self._put_aside: dict[float, tuple[np.ndarray, float]] = {}

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

    def fail(self, aim: float) -> None:
        """Notes that no minimum was found where one was aimed at."""
        self._missed.add(aim)
        side = 1 if aim > self._best else -1
        self._failed[side] = min(self._failed[side], side * aim)
        if aim in self._put_aside:
            self.add(*self._put_aside[aim], aim)

    def doubtful(self) -> list[tuple[float, np.ndarray]]:
        """Takes out points that may be minima of another branch.

        A point far above what the two points before it promise is dropped; the ends are
        then approached by smaller steps. One that exceeds both neighbours is examined
        again, once.

        Returns:
            For each of the latter its value, and the neighbour nearer to the best one,
            `[p]`, from which to examine it.
        """
        again = []
        for side in (-1, 1):
            x, z = self._outwards(side)
            spikes = [
                k
                for k in range(1, len(x) - 1)
                if z[k] > max(z[k - 1], z[k + 1]) and side * x[k] not in self._doubted
            ]
            again += [(side * x[k], side * x[k - 1]) for k in spikes]
            if not spikes:
                self._drop_jumps(side, x, z)
        result = []
        for value, inner in again:
            self._doubted.add(value)
            at = self._place(value)
            self._put_aside[value] = self._points[at], self.deviations[at] ** 2
            result.append((value, self._points[self._place(inner)]))
        self._keep(~np.isin(self.values, [value for value, _ in again]))
        return result

    def _drop_jumps(self, side: int, x: np.ndarray, z: np.ndarray) -> None:
        for k in range(2, len(x)):
            slope = (z[k - 1] - z[k - 2]) / (x[k - 1] - x[k - 2])
            if z[k] > _JUMP * (z[k - 1] + max(slope, 0.0) * (x[k] - x[k - 1])):
                self._failed[side] = min(self._failed[side], x[k])
                self._keep(side * self.values < x[k])
                return

    def _place(self, value: float) -> int:
        return int(np.flatnonzero(self.values == value)[0])

    def _keep(self, chosen: np.ndarray) -> None:
        self.values, self.deviations = self.values[chosen], self.deviations[chosen]
        self._points = self._points[chosen]

    def predicted(self, value: float) -> np.ndarray | None:
        """Returns where the profile leads at a value, `[p]`, by its two nearest points.

        None with fewer points.
        """
        if len(self.values) < 2:
            return None
        a, b = sorted(np.argsort(abs(self.values - value), kind="stable")[:2])
        share = (value - self.values[a]) / (self.values[b] - self.values[a])
        return self._points[a] + share * (self._points[b] - self._points[a])

    def slope(self, value: float) -> float:
        """Returns the derivative of the rise by the value, as the points tell it."""
        if len(self.values) == 1:
            return 2 * (value - self.values[0]) / self._step**2
        last = len(self.values) - 2
        a = int(np.clip(np.searchsorted(self.values, value) - 1, 0, last))
        width = self.values[a + 1] - self.values[a]
        slope = (self.deviations[a + 1] - self.deviations[a]) / width
        deviation = self.deviations[a] + slope * (value - self.values[a])
        return 2 * deviation * slope

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
            reach = x[-1] - x[0]
            if x[-1] >= bound or self._tried[side] > _FAR * self._step:
                return None
            further = x[-1] + max(reach, self._step)
            failed = self._failed[side]
            if failed < np.inf:
                if failed - x[-1] < _CLOSE * self._step:
                    return None
                further = min(further, (x[-1] + failed) / 2)
            return side * min(bound, further)
        crossing = self._crossing(x, z, int(beyond[0]), limit)
        before = self._crossings.get((limit, side), np.inf)
        self._crossings[limit, side] = crossing
        if side * crossing in self._missed:  # it is as before, but was not confirmed
            self._found.discard((limit, side))
            return None
        if abs(crossing - before) <= _CLOSE * self._step:
            self._found.add((limit, side))
            return None
        self._found.discard((limit, side))
        return side * crossing

    def end(self, limit: float, side: int) -> End:
        """Returns where an interval ends; arguments as for `next`."""
        x, z = self._outwards(side)
        beyond = np.flatnonzero(z >= limit)
        if beyond.size and (limit, side) not in self._found:
            return End(np.nan, "not found")
        if beyond.size:
            return End(side * self._crossing(x, z, int(beyond[0]), limit), "closed")
        bound = self._high if side > 0 else self._low
        if np.isfinite(bound) and x[-1] >= side * bound:
            return End(float(bound), "bound")
        if self._failed[side] < np.inf or self._tried[side] <= _FAR * self._step:
            return End(np.nan, "not found")
        return End(side * np.inf, "open")

    def _outwards(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        # Values and deviations of one side, from the best value outwards, both times
        # the side.
        x, z = (side * a[::side] for a in (self.values, self.deviations))
        outside = x >= side * self._best
        return x[outside], z[outside]

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
