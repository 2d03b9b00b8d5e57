"""The entries of the gallery, and their comparison with published numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eigenfit.fits.fit import Fit
from eigenfit.methods import AbstractMethod
from eigenfit.plots.choice import picture_of
from eigenfit.problem.problem import Problem
from eigenfit.reports.record import Record
from eigenfit.results import Solution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """One published number beside the one found."""

    quantity: str  # its name, with its unit if it has one
    published: float
    found: float
    difference: float  # found - published
    tolerance: float  # largest |difference| that counts as reproduced

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance; False for NaN."""
        return abs(self.difference) <= self.tolerance


class Comparison(NamedTuple):
    """All published numbers of a problem beside those found."""

    reproduced: bool  # whether every line agrees
    lines: list[Row]


@dataclass(frozen=True)
class Published:
    """Published numbers, and how to compute them from a solution.

    Attributes:
        names: Names of the q numbers, with units.
        values: `[a, q]`, a equally good answers, of which the one nearest to the
            numbers found is compared.
        tolerances: `[a, q]`, positive, usually half a unit of the last printed digit.
        find: Maps an entry and a solution (one member) to the `[q]` numbers found.
    """

    names: tuple[str, ...]
    values: np.ndarray
    tolerances: np.ndarray
    find: Callable[[GalleryProblem, Solution], Any]

    def rows(self, entry: GalleryProblem, solution: Solution) -> list[Row]:
        """Compares a solution with the nearest answer."""
        found = np.asarray(self.find(entry, solution), np.float64)
        differences = found - self.values
        # NaN is far from every answer.
        nearest = np.argmin(np.nan_to_num(np.sum(differences**2, axis=1), nan=np.inf))
        columns = (self.values, differences, self.tolerances)
        values, difference, tolerances = (x[nearest].tolist() for x in columns)
        numbers = (self.names, values, found.tolist(), difference, tolerances)
        return [Row(*row) for row in zip(*numbers, strict=True)]


def _nothing(record: Record) -> dict[str, Any]:
    del record
    return {}


@dataclass(frozen=True)
class GalleryProblem:
    """A published problem, ready to fit.

    Example:
        >>> import eigenfit as ef
        >>> from eigenfit import gallery
        >>> entry = gallery.load("clement")
        >>> solver = ef.Solver(entry.problem, entry.method)
        >>> solution = solver.fit(
        ...     entry.initial, entry.targets, tolerance=entry.tolerance
        ... )
        >>> entry.compare(solution).reproduced
        True

    Attributes:
        name: Short name, as for `load`.
        title: One line for readers.
        source: Where the problem was published.
        problem: Structures and observations.
        targets: `[m]`, in the order of the problem's observations.
        initial: Start, `[p]`.
        answer: Published parameters, `[p]`, or None if none were published. If other
            parameters meet the targets as well, it is one answer of several.
        levels: Published values of the observed quantities, `[m]`, or None.
        published: Numbers that `compare` sets beside a solution.
        tolerance: Loss at which a fit of the targets has converged.
        max_steps: Step limit of a fit; None for the method's own.
        start_note: Where the start comes from.
        method: Method for `Solver`; "auto" unless the published answer needs another.
        shown: Gives what a picture of a fit needs beside its record: options of
            `eigenfit.plots.picture_of`, such as what is observed and its unit.
    """

    name: str
    title: str
    source: str
    problem: Problem
    targets: np.ndarray
    initial: np.ndarray
    answer: np.ndarray | None
    levels: np.ndarray | None
    published: tuple[Published, ...]
    tolerance: float
    max_steps: int | None = None
    start_note: str = ""
    method: AbstractMethod | str = "auto"
    shown: Callable[[Record], dict[str, Any]] = _nothing

    @property
    def orders(self) -> tuple[int, ...]:
        """Order of each matrix."""
        levels = self.problem.split(np.arange(self.problem.num_levels))
        return tuple(len(own) for own in levels)

    def plot(self, fit: Solution) -> Figure:
        """Draws a fit as practitioners of the field do; needs matplotlib.

        Args:
            fit: What `Solver.fit` returned for this problem; of a batch, the best
                member is drawn.

        Raises:
            TypeError: If it is a solution that knows no problem.
        """
        if not isinstance(fit, Fit):
            raise TypeError(
                "`fit` must be what `Solver.fit` returns outside of graphs."
            )
        record = fit.record()
        return picture_of(record, **{"title": self.title, **self.shown(record)})

    def compare(self, solution: Solution) -> Comparison:
        """Compares the published numbers with those of a fit.

        Args:
            solution: Solution of `Solver.fit` for this problem, one member.

        Returns:
            A line for each published number; the problem is reproduced if all agree.

        Raises:
            ValueError: If the solution is a batch.
        """
        parameters = np.asarray(solution.parameters)
        if parameters.ndim != 1:
            raise ValueError(
                f"`solution` must be one member, with parameters of shape "
                f"[{self.problem.num_parameters}], got {list(parameters.shape)}. Fit "
                f"from one start, or take one member out of each of its arrays."
            )
        lines = [row for part in self.published for row in part.rows(self, solution)]
        return Comparison(all(row.agrees for row in lines), lines)


def printed(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads published numbers with their precision.

    Args:
        text: Decimal numbers as printed, separated by blanks.

    Returns:
        The numbers `[q]`, and half a unit of the last printed digit of each `[q]`.

    Example:
        >>> values, half = printed("11.90 -9.531e-03")
        >>> values.tolist(), half.tolist()
        ([11.9, -0.009531], [0.005, 5e-07])
    """
    words = text.lower().split()
    half = []
    for word in words:
        digits, _, exponent = word.partition("e")
        decimals = len(digits.partition(".")[2])
        half.append(float(f"5e{int(exponent or 0) - decimals - 1}"))
    return np.array([float(word) for word in words]), np.array(half)


def published(
    names: Sequence[str],
    values: Any,
    tolerances: Any,
    find: Callable[[GalleryProblem, Solution], Any],
) -> Published:
    """Makes the `Published` of numbers of any kind.

    Args:
        names: Names of the q numbers, with units.
        values: `[q]`, or `[a, q]` for several answers.
        tolerances: Like `values`, or one for all.
        find: Maps an entry and a solution to the `[q]` numbers found.

    Raises:
        ValueError: If a shape does not fit.
    """
    values = np.atleast_2d(np.asarray(values, np.float64))
    tolerances = np.broadcast_to(np.asarray(tolerances, np.float64), values.shape)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ValueError(
            f"`values` must have shape [{len(names)}] or [a, {len(names)}] like "
            f"`names`, got {list(values.shape)}."
        )
    return Published(tuple(names), values, tolerances, find)


def parameters(
    names: Sequence[str],
    values: Any,
    tolerances: Any,
    *,
    indices: Sequence[int] | None = None,
    signs: bool = True,
) -> Published:
    """Makes the `Published` of unknowns; see `published`.

    Args:
        names: Names of the q unknowns, with units.
        values: `[q]` or `[a, q]`.
        tolerances: Like `values`, or one for all.
        indices: Indices of these unknowns; all by default.
        signs: Whether signs count; if they are convention, magnitudes are compared.
    """

    def find(entry: GalleryProblem, solution: Solution) -> np.ndarray:
        del entry
        found = np.asarray(solution.parameters)
        found = found if indices is None else found[list(indices)]
        return found if signs else np.abs(found)

    if not signs:
        names, values = [f"|{name}|" for name in names], np.abs(values)
    return published(names, values, tolerances, find)


def observed(names: Sequence[str], values: Any, tolerances: Any) -> Published:
    """Makes the `Published` of the observed values, `[m]`; see `published`."""

    def find(entry: GalleryProblem, solution: Solution) -> np.ndarray:
        return calculated(entry, solution)

    return published(names, values, tolerances, find)


def calculated(entry: GalleryProblem, solution: Solution) -> np.ndarray:
    """Computes the observed values of a solution, `[m]`, in the targets' units."""
    return np.asarray(entry.problem.values(solution.parameters, entry.targets))


def level_names(count: int, first: int = 0, unit: str = "") -> list[str]:
    """Names levels in order.

    Example:
        >>> level_names(2, unit="Hz")
        ['level 0 (Hz)', 'level 1 (Hz)']
    """
    suffix = f" ({unit})" if unit else ""
    return [f"level {i}{suffix}" for i in range(first, first + count)]
