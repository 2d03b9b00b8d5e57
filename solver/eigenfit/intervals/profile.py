"""Intervals of parameters from the rise of chi-square along their profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.fits.fit import Fit
from eigenfit.intervals.criteria import (
    Criterion,
    check_levels,
    criterion_of,
    single_errors,
)
from eigenfit.intervals.curves import Curve
from eigenfit.intervals.pulled import pulled_fits
from eigenfit.intervals.shown import Shown, limits_by_share
from eigenfit.plots.profiles import Curve as Drawn
from eigenfit.plots.profiles import plot_profiles
from eigenfit.reports.sections import Section, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIRST = np.array([0.35, 0.7, 1.0, 1.3, 1.7])
"""First points of each side, relative to the farthest linear limit."""

_ROUNDS = 30
"""Most batches: a few that close in on the ends, more where a side reaches far."""

_STRENGTH = 100.0
"""Weight of a pull relative to the curvature of the profile: parameters go nearly where
they are pulled, and the other terms of the loss still count."""


@dataclass(frozen=True, eq=False)
class Profile(Shown):
    """Intervals of k parameters at L levels, and the curves they were read from."""

    names: tuple[str, ...]  # k
    levels: np.ndarray  # [L] shares of cases
    best: np.ndarray  # [k]
    standard_errors: np.ndarray  # [k], linear ones
    low: np.ndarray  # [k, L] lower ends; a bound, -inf where nothing holds it, or NaN
    high: np.ndarray  # [k, L] upper ends, likewise
    closing: np.ndarray  # [k, L, 2] "closed", "bound", "open" or "not found"
    values: tuple[np.ndarray, ...]  # [j] of each parameter, ascending
    rises: tuple[np.ndarray, ...]  # [j] of the loss there, over the variance
    limits: np.ndarray  # [L] rises at which intervals end
    criterion: Criterion
    lower: np.ndarray | None = field(default=None)
    # [p] of a minimum below that of the fit, if one was met

    def interval(self, name: str, level: float | None = None) -> tuple[float, float]:
        """Returns the interval of a parameter.

        Args:
            name: Name of the parameter.
            level: One of `levels`; the first one by default.
        """
        k = self.names.index(name)
        at = 0 if level is None else int(np.argmin(abs(self.levels - level)))
        return float(self.low[k, at]), float(self.high[k, at])

    def section(self) -> Section:
        """Lists the intervals as distances from the best values."""
        columns = ["parameter", "value", "linear error"]
        columns += [f"{level:.4g}" for level in self.levels]
        rows = []
        for k, name in enumerate(self.names):
            row = [name, f"{self.best[k]:.8g}", f"{self.standard_errors[k]:.3g}"]
            for at in range(len(self.levels)):
                ends = (self.low[k, at], self.high[k, at])
                pairs = zip(ends, self.closing[k, at], strict=True)
                row.append(" ".join(_end(x - self.best[k], how) for x, how in pairs))
            rows.append(row)
        return table(f"Intervals by {self.criterion.name}", columns, rows)

    @property
    def remark(self) -> str:
        """Says whether a lower minimum was met."""
        found = self.lower is not None
        return "A lower minimum was met: fit again from `lower`." if found else ""

    def plot(self, axes: Any = None, title: str = "") -> Figure:
        """Draws how the loss rises with each parameter; needs matplotlib.

        Args:
            axes: k axes of matplotlib; new ones by default.
            title: Title above a new figure.
        """
        drawn = plot_profiles(
            [
                Drawn(
                    name,
                    self.values[k],
                    self.rises[k],
                    float(self.best[k]),
                    (float(self.low[k, 0]), float(self.high[k, 0])),
                )
                for k, name in enumerate(self.names)
            ],
            axes,
            levels=limits_by_share(self.levels, self.limits),
            rise=f"rise of {self.criterion.name}",
            title=title,
        )
        return drawn[0].figure


def _end(distance: float, closing: str) -> str:
    if closing == "not found":
        return "(not found)"
    return f"{distance:+.3g}" + (f" ({closing})" if closing != "closed" else "")


def profile(
    fit: Fit,
    names: Sequence[str] | None = None,
    levels: Sequence[float] = (0.68, 0.95),
) -> Profile:
    """Computes intervals from how far chi-square rises when one parameter is moved.

    For each value of a parameter all others are fitted again. The interval of a level
    are the values where the loss rises by no more than the quantile of chi-square with
    one degree of freedom (likelihood ratio), or, where standard deviations are taken
    from the scatter, `F(1, freedom)` times the variance, as lmfit's `conf_interval`.
    All points of all parameters are members of one batch; a few batches close in on
    the ends. Unlike `uncertainty` this holds where the model is curved.

    An end is a bound where the bound is reached before the rise; then the level is not
    held on that side. It is infinite where the loss does not rise so far within a
    thousand linear errors, and NaN ("not found") where fits on the way to it fail.

    Args:
        fit: A successful fit, one member, not loaded from a file.
        names: Unknowns to examine; all by default.
        levels: Shares of cases that the intervals shall hold.

    Raises:
        ValueError: If the fit is a batch or no success, a name is unknown or its
            parameter undetermined, a level is not between 0 and 1, a loss is robust,
            only some data have standard deviations, or shapes are scaled by their
            largest component.

    Example:
        >>> import eigenfit as ef
        >>> basis = [np.diag([0.0, 1.0, 2.0]), np.ones([3, 3])]
        >>> known = ef.Parameters(["a", "b"])
        >>> problem = ef.Problem(
        ...     ef.Affine(basis), ef.Levels(sigma=0.1), parameters=known
        ... )
        >>> fit = ef.Solver(problem).fit([1.0, 0.5], [0.2, 1.2, 3.2])
        >>> low, high = ef.profile(fit).interval("a", 0.95)
    """
    check_single(fit)
    shares = check_levels(levels)
    indices = indices_of(fit, names)
    criterion = criterion_of(fit)
    _check_determined(fit, indices)
    search = _Search(fit, indices, shares, criterion)
    for _ in range(_ROUNDS):
        if not search.advance():
            break
    ends = [[curve.end(z, side) for side in (-1, 1)] for curve in search.curves
            for z in search.limits]  # fmt: skip
    shape = len(indices), len(shares)
    return Profile(
        names=tuple(fit.question.names[k] for k in indices),
        levels=shares,
        best=search.best[indices],
        standard_errors=search.errors,
        low=np.reshape([low.value for low, _ in ends], shape),
        high=np.reshape([high.value for _, high in ends], shape),
        closing=np.reshape([[x.closing for x in pair] for pair in ends], (*shape, 2)),
        values=tuple(curve.values for curve in search.curves),
        rises=tuple(curve.deviations**2 for curve in search.curves),
        limits=search.limits**2,
        criterion=criterion,
        lower=search.lower,
    )


def _check_determined(fit: Fit, indices: np.ndarray) -> None:
    found = fit.uncertainty()
    for k in indices:
        if np.isinf(found.standard_errors[k]):
            open_ends = "; ".join(found.undetermined())
            raise ValueError(
                f"The data do not determine {fit.question.names[k]} ({open_ends}): its "
                f"profile is flat there. Leave it out of `names`, or give a prior."
            )


def check_single(fit: Fit) -> None:
    """Checks that a fit is a single one.

    Raises:
        ValueError: If it is a batch.
    """
    if np.ndim(fit.loss):
        raise ValueError(
            f"`fit` must be one fit, got a batch of shape {list(np.shape(fit.loss))}. "
            f"Take one of its members: `fit.member(index)`."
        )


def indices_of(fit: Fit, names: Sequence[str] | None) -> np.ndarray:
    """Finds unknowns by name.

    Raises:
        ValueError: If a name is unknown.
    """
    known = fit.question.names
    wanted = list(known) if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise ValueError(
                f"`names` has {name!r}, but the unknowns are {', '.join(known)}."
            )
    return np.array([known.index(name) for name in wanted], int)


class _Search:
    """Closes in on the ends of all intervals, a batch at a time."""

    def __init__(
        self, fit: Fit, indices: np.ndarray, levels: np.ndarray, criterion: Criterion
    ) -> None:
        problem, found = fit.known().problem, fit.uncertainty()
        self._indices, self._variance = indices, criterion.variance
        self._targets = fit.targets
        self._fits = pulled_fits(fit, indices.tolist())
        self.best = np.asarray(fit.parameters)
        self._loss = float(fit.loss)
        self.limits = np.sqrt([criterion.limit(level) for level in levels])
        C = found.covariance
        self.errors = found.standard_errors[indices]
        alone = np.sqrt(criterion.variance) * single_errors(fit)[indices]
        usable = np.isfinite(self.errors) & (self.errors > 0)
        self._steps = np.where(usable, self.errors, alone)
        variances = np.where(usable, np.diag(C)[indices], 1.0)
        self._directions = np.where(usable[:, None], C[indices] / variances[:, None], 0)
        self._directions[np.arange(len(indices)), indices] = 1.0
        everywhere = np.full(len(self.best), np.inf)
        bounds = problem.bounds or (-everywhere, everywhere)
        # As fits see them, which in single precision end on a rounded bound.
        self._low, self._high = (x.astype(self.best.dtype) for x in bounds)
        self.curves = [
            Curve(self.best, int(k), float(self._low[k]), float(self._high[k]), step)
            for k, step in zip(indices, self._steps, strict=True)
        ]
        self.lower: np.ndarray | None = None
        self._begun = False

    def advance(self) -> bool:
        """Fits another batch; returns whether there was anything left to do."""
        wanted: list[tuple[int, float, np.ndarray | None]] = []
        for number, curve in enumerate(self.curves):
            if not self._begun:
                far = _FIRST * self.limits.max() * self._steps[number]
                values = curve.inside(self.best[curve.index] + np.r_[-far, far])
                wanted += [(number, value, None) for value in values]
                continue
            again = curve.doubtful()
            wanted += [(number, value, start) for value, start in again]
            if again:  # before anything is read from the curve
                continue
            for z in self.limits:
                for side in (-1, 1):
                    value = curve.next(z, side)
                    if value is not None:
                        wanted.append((number, value, None))
        self._begun = True
        if wanted:
            self._fit(wanted)
        return bool(wanted)

    def _fit(self, wanted: list[tuple[int, float, np.ndarray | None]]) -> None:
        rows = np.arange(len(wanted))
        numbers = np.array([number for number, *_ in wanted])
        values = np.array([value for _, value, _ in wanted])
        starts, slopes = [], []
        for number, value, given in wanted:
            curve = self.curves[number]
            start = curve.predicted(value) if given is None else given
            if start is None:
                moved = value - self.best[curve.index]
                start = self.best + self._directions[number] * moved
            starts.append(start)
            slopes.append(curve.slope(value) * self._variance)
        usual = _STRENGTH * self._variance / self._steps**2
        weight = usual[numbers]
        means = np.tile(self.best[self._indices], [len(wanted), 1])
        weights = np.zeros_like(means)
        weights[rows, numbers] = weight
        # Where the profile pulls back by its slope, the parameter ends at `value`.
        means[rows, numbers] = values + np.array(slopes) / (2 * weight)
        initial = np.clip(starts, self._low, self._high)
        found, loss = self._fits(initial, self._targets, means, weights, usual)
        rise = (loss - self._loss) / self._variance
        for row, number in enumerate(numbers):
            if np.isfinite(rise[row]):
                self.curves[number].add(found[row], rise[row], values[row])
            else:
                self.curves[number].fail(values[row])
        worst = int(np.nanargmin(rise)) if np.isfinite(rise).any() else 0
        if rise[worst] < -1e-4:
            self.lower = found[worst]
