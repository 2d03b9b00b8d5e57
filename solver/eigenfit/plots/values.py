"""Which levels and values of a fit belong together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eigenfit.reports.record import Record

LEVELS = ("levels", "relative", "means")
"""Kinds of observations that stand in a level diagram."""


def kind_of_each(record: Record) -> np.ndarray:
    """Returns the kind of the observation of each target, `[m]` of text."""
    asked = record.question
    result = np.full(len(record.targets), "other", object)
    for kind, part in zip(asked.kinds, asked.parts, strict=True):
        result[part] = kind
    return result


def data_of(record: Record, block: int, kinds: tuple[str, ...]) -> np.ndarray:
    """Returns the indices of the targets of a block that are of some kinds."""
    own = record.question.places[:, 0] == block
    return np.flatnonzero(own & np.isin(kind_of_each(record), kinds))


def levels_of(record: Record, block: int) -> np.ndarray:
    """Returns the levels of a block, `[n]`, from the zero of what was observed.

    Levels that were observed from one of them, or with a free shift, are moved.
    """
    w = record.levels[block]
    own = data_of(record, block, ("levels", "relative"))
    if not own.size:
        return w
    moved = record.values[own] - w[record.question.places[own, 1]]
    size = np.abs(w).max(initial=0.0)
    shift = float(np.mean(moved))
    # Rounding is no shift.
    return w if abs(shift) <= 1e-12 * size else w + shift


def levels_with_targets(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Lists the levels that are targets themselves, without a shift.

    Returns:
        Their places `[k]` among all levels, block after block, and the indices `[k]` of
        their targets.
    """
    asked = record.question
    own = np.flatnonzero(kind_of_each(record) == "levels")
    first = np.concatenate([[0], np.cumsum(asked.orders)])
    at = first[asked.places[own, 0]] + asked.places[own, 1]
    w = record.eigenvalues
    size = 1e-6 * np.abs(w).max(initial=0.0)
    same = ~(np.abs(record.values[own] - w[at]) > size)
    return at[same], own[same]


class Group(NamedTuple):
    """Numbers that coincide."""

    value: float  # their mean
    number: int


def groups(values: np.ndarray, width: float) -> list[Group]:
    """Groups numbers whose neighbours lie within a width, ascending; no NaN.

    Example:
        >>> groups(np.array([2.0, 1.0, 1.0 + 1e-12]), 1e-9)
        [Group(value=1.0, number=2), Group(value=2.0, number=1)]
    """
    ascending = np.sort(values[np.isfinite(values)])
    if not ascending.size:
        return []
    ends = np.flatnonzero(np.diff(ascending) > width) + 1
    return [Group(float(own.mean()), len(own)) for own in np.split(ascending, ends)]


def width_of(record: Record, span: tuple[float, float]) -> float:
    """Returns how near levels must be to be called degenerate in a picture."""
    single = record.question.dtype == "float32"
    return (1e-4 if single else 1e-6) * (span[1] - span[0])


def decimals_of(span: tuple[float, float]) -> int:
    """Returns the decimals with which levels of a range can be told apart.

    Example:
        >>> decimals_of((0.0, 360.0)), decimals_of((-10.0, 12.0))
        (1, 2)
    """
    size = span[1] - span[0]
    return int(np.clip(3 - np.floor(np.log10(size)), 0, 9))
