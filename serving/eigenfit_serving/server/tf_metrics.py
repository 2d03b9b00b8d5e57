"""Counters and histograms in the text form that TensorFlow Serving exports.

Its names hold colons, its counters have no suffix, and limits and labels are written as
C++ writes them, none of which prometheus_client does.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Literal

import numpy as np

_MAX_SERIES = 2000
"""Series of a metric; callers can invent names of models without end."""

_OTHER = "_other_"

_LONGEST = 256
"""Characters of a label; callers can invent long names, too."""


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """Lists the limits of buckets: `scale growth^i`.

    Example:
        >>> exponential(1, 2, 4)
        (1.0, 2.0, 4.0, 8.0)
    """
    return tuple(float(scale * growth**i) for i in range(count))


class Counter:
    """Counts, by labels.

    Args:
        name: With slashes, as TensorFlow names metrics.
        labels: Names of the labels.
    """

    def __init__(self, name: str, *labels: str) -> None:
        self.name, self._labels = prometheus_name(name), labels
        self._values: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, *values: str, by: int = 1) -> None:
        """Adds to the series of these label values."""
        with self._lock:
            key = _bounded(values, self._values)
            self._values[key] = self._values.get(key, 0) + by

    def lines(self) -> list[str]:
        """Writes the metric."""
        with self._lock:
            values = sorted(self._values.items())
        if not values:
            return []
        return [
            f"# TYPE {self.name} counter",
            *(f"{self.name}{{{_text(self._labels, k)}}} {v}" for k, v in values),
        ]


class Histogram:
    """Counts values in buckets, by labels.

    Args:
        name: With slashes, as TensorFlow names metrics.
        limits: Upper limits of the buckets.
        labels: Names of the labels.
        is_inclusive: Whether a value at a limit belongs below it, as Prometheus has it,
            or above it, as TensorFlow has it.
    """

    def __init__(
        self,
        name: str,
        limits: Sequence[float],
        *labels: str,
        is_inclusive: bool = False,
    ) -> None:
        self.name, self._labels = prometheus_name(name), labels
        self._limits = limits
        self._side: Literal["left", "right"] = "left" if is_inclusive else "right"
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def add(self, value: float, *values: str) -> None:
        """Adds a value to the series of these label values."""
        is_right = self._side == "right"
        find = bisect.bisect_right if is_right else bisect.bisect_left
        self._add([find(self._limits, value)], [1], value, values)

    def add_all(self, numbers: np.ndarray, *values: str) -> None:
        """Adds many values to one series."""
        places = np.searchsorted(self._limits, np.ravel(numbers), self._side)
        found, counts = np.unique(places, return_counts=True)
        total = float(np.sum(numbers, dtype=float))
        self._add(found.tolist(), counts.tolist(), total, values)

    def _add(
        self,
        places: list[int],
        counts: list[int],
        total: float,
        values: tuple[str, ...],
    ) -> None:
        with self._lock:
            key = _bounded(values, self._counts)
            if key not in self._counts:
                self._counts[key] = [0] * (len(self._limits) + 1)
                self._sums[key] = 0.0
            for place, count in zip(places, counts, strict=True):
                self._counts[key][place] += count
            self._sums[key] += total

    def lines(self) -> list[str]:
        """Writes the metric."""
        with self._lock:
            found = [(k, list(c), self._sums[k]) for k, c in self._counts.items()]
        if not found:
            return []
        lines = [f"# TYPE {self.name} histogram"]
        limits = [f"{limit:g}" for limit in self._limits] + ["+Inf"]
        for key, counts, total in sorted(found):
            labels = _text(self._labels, key)
            comma = "," if labels else ""
            sums = list(accumulate(counts))
            lines += [
                f'{self.name}_bucket{{{labels}{comma}le="{limit}"}} {count}'
                for limit, count in zip(limits, sums, strict=True)
            ]
            lines.append(f"{self.name}_sum{{{labels}}} {total:g}")
            lines.append(f"{self.name}_count{{{labels}}} {sums[-1]}")
        return lines


def prometheus_name(name: str) -> str:
    """Writes the name of a metric as Prometheus takes it.

    Example:
        >>> prometheus_name("/tensorflow/serving/request_count")
        ':tensorflow:serving:request_count'
    """
    return "".join(
        x if x.isascii() and (x.isalnum() or x == "_") else ":" for x in name
    )


def _bounded(
    values: tuple[str, ...], known: dict[tuple[str, ...], object] | dict
) -> tuple[str, ...]:
    values = tuple(value[:_LONGEST] for value in values)
    if values in known or len(known) < _MAX_SERIES:
        return values
    return (_OTHER, *values[1:])


def _text(names: Iterable[str], values: Iterable[str]) -> str:
    return ",".join(
        f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
