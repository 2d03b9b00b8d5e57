"""Targets of the wrong sign or in another unit, judged by the values at the start."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from eigenfit.observations import Differences, FreeShift, RelativeTo
from eigenfit.problem.problem import Problem

FACTORS = {
    "2 pi (angular frequencies and frequencies)": 2 * np.pi,
    "(2 pi)^2 (squares of them)": 4 * np.pi**2,
    "1000 (a prefix, such as kHz and MHz)": 1e3,
    "1e6 (two prefixes, such as kHz and GHz)": 1e6,
    "1e9 (three prefixes, such as Hz and GHz)": 1e9,
    "29979.2458 (MHz and 1/cm)": 29979.2458,
    "29.9792 (GHz and 1/cm)": 29.9792458,
    "241.799 (GHz and meV)": 241.7989242,
    "241799 (MHz and meV, or GHz and eV)": 241798.9242,
    "8.06554 (1/cm and meV)": 8.065543937,
    "8065.54 (1/cm and eV)": 8065.543937,
    "11.6045 (K and meV)": 11.604518,
    "11604.5 (K and eV)": 11604.518,
    "1.43878 (K and 1/cm)": 1.438776877,
    "20.8366 (GHz and K)": 20.836619,
    "27.2114 (eV and hartree)": 27.211386,
    "13.6057 (eV and rydberg)": 13.605693,
    "219475 (1/cm and hartree)": 219474.6314,
    "96.4853 (kJ/mol and eV)": 96.485332,
    "4.184 (kJ and kcal)": 4.184,
}
"""Factors between units that are often confused; the larger number comes first."""

_SCATTER = 0.1
"""Relative scatter up to which ratios of targets to values count as constant."""
_NEAR = 0.05
"""Relative distance up to which a ratio counts as a factor."""


class _Ratio(NamedTuple):
    """How the targets of one observation compare with their values."""

    name: str
    centre: float  # median of target / value
    scatter: float  # largest relative distance from it
    number: int  # number of targets that say so


def in_order(problem: Any) -> Iterator[tuple[list[int], slice]]:
    """Lists differences of levels of one matrix, whose signs are known.

    Yields:
        1 or -1 for each target, the sign of its difference, or 0 for one between
        matrices; and which targets they are.
    """
    orders = [block.structure.order for block in problem.blocks]
    starts = np.cumsum([0, *orders])
    for label, observation, place in problem.terms:
        n = starts[-1] if label is None else orders[problem.labels.index(label)]
        if isinstance(observation, Differences):
            pairs = np.array(observation.pairs) % n
        elif isinstance(observation, RelativeTo):
            zero = observation.level % n
            others = observation.indices or [k for k in range(n) if k != zero]
            pairs = np.array([(k, zero) for k in others]) % n
        else:
            continue
        signs = np.sign(pairs[:, 0] - pairs[:, 1])
        if label is None:
            # Numbered over all matrices.
            first, second = np.searchsorted(starts, pairs, side="right").T
            signs = np.where(first == second, signs, 0)
        yield signs.tolist(), place


def units(problem: Problem, targets: np.ndarray, values: np.ndarray) -> list[str]:
    """Returns hints on targets that seem to be in another unit than the matrices.

    That is so if all ratios of targets to values at the start are the same number and a
    factor between units, or if such a factor separates those of two observations.

    Args:
        problem: The problem to examine.
        targets: `[m]`.
        values: `[m]`, the values calculated for them at the start.
    """
    ratios = [
        ratio
        for label, observation, place in problem.terms
        for ratio in _ratio(problem, label, observation, targets[place], values[place])
    ]
    found = []
    for ratio in ratios:
        name = _factor(ratio.centre)
        if name and ratio.number > 1 and problem.num_parameters > 1:
            found.append(
                f"The targets of {ratio.name} are all about {ratio.centre:.4g} times "
                f"what is calculated at the start, near the factor {name}. If that is "
                f"why, give targets and matrices in the same units."
            )
    if found:
        return found
    for one, other in itertools.combinations(ratios, 2):
        name = _factor(one.centre / other.centre)
        if name:
            found.append(
                f"Compared with what is calculated at the start, the targets of "
                f"{one.name} are {one.centre / other.centre:.4g} times those of "
                f"{other.name}, near the factor {name}. If that is why, give all in "
                f"the same units."
            )
    return found[:3]


def _ratio(
    problem: Problem,
    label: str | None,
    observation: Any,
    t: np.ndarray,
    v: np.ndarray,
) -> Iterator[_Ratio]:
    """Compares an observation's targets with its values; nothing if ratios scatter."""
    if isinstance(observation, FreeShift):
        observation = observation.observation
        t, v = t - t.mean(), v - v.mean()
    if observation.uses_modes or not np.isfinite(v).all():
        return
    # Numbers near 0 have no meaningful ratio.
    large = (np.abs(t) > 1e-6 * np.abs(t).max()) & (np.abs(v) > 1e-6 * np.abs(v).max())
    ratio = t[large] / v[large]
    if not len(ratio) or (ratio <= 0).any():
        return
    centre = float(np.median(ratio))
    scatter = float(np.abs(ratio / centre - 1).max())
    if scatter > _SCATTER:
        return
    kind = type(observation).__name__
    several = len(problem.terms) > 1
    where = "" if label is None or not several else f" of block {label}"
    yield _Ratio(f"{kind}{where}", centre, scatter, len(ratio))


def _factor(ratio: float) -> str | None:
    """Names the factor between units that a ratio or its inverse is near."""
    size = max(ratio, 1 / ratio)
    near = [name for name, factor in FACTORS.items() if abs(size / factor - 1) < _NEAR]
    return near[0] if near else None
