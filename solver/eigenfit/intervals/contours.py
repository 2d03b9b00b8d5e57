"""How chi-square rises when two parameters are moved together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.fits.fit import Fit
from eigenfit.intervals.criteria import check_levels, criterion_of
from eigenfit.intervals.profile import check_single, indices_of
from eigenfit.intervals.pulled import pulled_fits
from eigenfit.intervals.shown import limits_by_share
from eigenfit.plots.profiles import plot_contours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STRENGTH = 100.0  # as for profiles
_WIDTH = 1.3  # of the grid, relative to the largest linear contour


@dataclass(frozen=True, eq=False)
class Contours:
    """Rises of the loss on a grid of two parameters, the others fitted at each point.

    The grid follows where the pulled parameters end: nearly, not quite rectangular, as
    `Axes.contour(x, y, rise, limits)` takes it.
    """

    names: tuple[str, str]
    levels: np.ndarray  # [L] shares of cases
    limits: np.ndarray  # [L] rises at which the regions end
    x: np.ndarray  # [g, g] values of the first parameter
    y: np.ndarray  # [g, g] values of the second one
    rise: np.ndarray  # [g, g] over the variance
    best: tuple[float, float]

    def plot(self, axes: Any = None, title: str = "") -> Figure:
        """Draws the edges of the regions; needs matplotlib.

        Args:
            axes: Axes of matplotlib; new ones by default.
            title: Title above a new figure.
        """
        drawn = plot_contours(
            self.x,
            self.y,
            self.rise,
            axes,
            names=self.names,
            levels=limits_by_share(self.levels, self.limits),
            value=self.best,
            title=title,
        )
        figure: Any = drawn.figure
        return figure


def contours(
    fit: Fit,
    names: Sequence[str],
    levels: Sequence[float] = (0.68, 0.95),
    points: int = 21,
) -> Contours:
    """Computes joint confidence regions of two parameters in one batch of fits.

    Args:
        fit: A successful fit, one member, not loaded from a file.
        names: Two unknowns whose errors are determined.
        levels: Shares of cases that the regions shall hold.
        points: Points of the grid in each direction, at least 3.

    Raises:
        ValueError: As `profile`; or if there are not two names, or one of them is not
            determined or lies on a bound.

    Example:
        >>> import eigenfit as ef
        >>> basis = [np.diag([0.0, 1.0, 2.0]), np.ones([3, 3])]
        >>> observed, known = ef.Levels(sigma=0.1), ef.Parameters(["a", "b"])
        >>> problem = ef.Problem(ef.Affine(basis), observed, parameters=known)
        >>> fit = ef.Solver(problem).fit([1.0, 0.5], [0.2, 1.2, 3.2])
        >>> ef.contours(fit, ("a", "b"), points=5).rise.shape
        (5, 5)
    """
    check_single(fit)
    shares = check_levels(levels)
    indices = indices_of(fit, names)
    if len(set(indices.tolist())) != 2:
        raise ValueError(f"`names` must be two different unknowns, got {names!r}.")
    if isinstance(points, bool) or not isinstance(points, int) or points < 3:
        raise ValueError(f"`points` must be an integer of at least 3, got {points!r}.")
    criterion, found = criterion_of(fit), fit.uncertainty()
    errors = found.standard_errors[indices]
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise ValueError(
            f"{names[int(np.argmin(np.isfinite(errors)))]!r} has no finite error: it "
            f"is not determined, or lies on a bound."
        )
    limits = np.array([criterion.limit(level, 2) for level in shares])
    best = np.asarray(fit.parameters)
    far = _WIDTH * np.sqrt(limits.max())
    steps = far * np.linspace(-1, 1, points)
    moved = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    moved = moved * errors
    problem = fit.known().problem
    lower, upper = problem.bounds or (-np.inf, np.inf)
    C = found.covariance
    slopes = np.linalg.lstsq(C[np.ix_(indices, indices)], C[indices], rcond=None)[0]
    starts = np.clip(best + moved @ slopes, lower, upper)
    weights = np.full(moved.shape, criterion.variance * _STRENGTH) / errors**2
    parameters, loss, _ = pulled_fits(fit, indices.tolist())(
        starts, fit.targets, best[indices] + moved, weights
    )
    shape = points, points
    return Contours(
        names=(fit.question.names[indices[0]], fit.question.names[indices[1]]),
        levels=shares,
        limits=limits,
        x=parameters[:, indices[0]].reshape(shape),
        y=parameters[:, indices[1]].reshape(shape),
        rise=((loss - float(fit.loss)) / criterion.variance).reshape(shape),
        best=(float(best[indices[0]]), float(best[indices[1]])),
    )
