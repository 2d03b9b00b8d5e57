"""Observed less calculated values, in standard deviations where these are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eigenfit.observations.robust import OUTLYING
from eigenfit.plots.canvas import (
    BLUE,
    GREY,
    INK,
    MINUS,
    RED,
    TEXT,
    as_axes,
    finite_span,
    label_axes,
    legend_above,
    literal_ticks,
    new_figure,
    plain_numbers,
    room_for,
    shortened,
    thinned,
)
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = 6  # outliers that are named, the largest ones


class Differences(NamedTuple):
    """What is drawn of the differences of m data."""

    values: np.ndarray  # [m] observed less calculated
    label: str  # what they are measured in
    in_sigmas: bool
    outlier: np.ndarray  # [m] bool


def differences(record: Record, unit: str = "") -> Differences:
    """Returns observed less calculated values in the best unit that all data have.

    That is their standard deviations if all have one; their own unit if none has one
    and all weigh the same; else they are multiplied by the roots of their weights.

    Args:
        record: One fit with m data.
        unit: Unit of the targets, for the label.
    """
    asked = record.question
    values = -record.differences
    outlier = record.outliers
    name = f"obs. {MINUS} calc."
    if asked.is_measured:
        return Differences(-record.deviations, f"{name} / σ", True, outlier)
    if not asked.has_sigma.any() and np.ptp(asked.weights) == 0:
        return Differences(values, f"{name} / {unit}" if unit else name, False, outlier)
    values = values * np.sqrt(asked.weights)
    return Differences(values, f"({name}) × √weight", False, outlier)


def plot_differences(record: Record, axes: Any = None, *, title: str = "") -> Axes:
    """Draws observed less calculated values, one target beside the next.

    For data of different quantities, which no other picture has a common axis for.

    Args:
        record: One fit, from `Fit.record`.
        axes: Axes of matplotlib; new ones by default.
        title: Title above a new figure; that of the problem by default.

    Returns:
        The axes.

    Example:
        >>> import eigenfit as ef
        >>> problem = ef.Problem(ef.Symmetric(2), ef.Levels(sigma=0.1))
        >>> fit = ef.Solver(problem).fit([0.1, 0.2, 0.3], [1.0, 2.0])
        >>> plot_differences(fit.record()).get_ylabel()
        'obs. − calc. / σ'
    """
    if axes is None:
        title = title or record.question.title
        axes = new_figure(4.5, title).subplots()
    (own,) = as_axes(axes, 1)
    number = len(record.targets)
    draw_differences(own, record, np.arange(number))
    shown = thinned(number, min(60, room_for(own, 15)))
    names = [shortened(record.question.target_names[k]) for k in shown]
    own.set_xticks(shown, names, rotation=90, fontsize=TEXT)
    literal_ticks(own.get_xticklabels())
    own.set_xlim(-0.7, number - 0.3)
    return own


def draw_differences(
    axes: Axes,
    record: Record,
    places: np.ndarray,
    *,
    unit: str = "",
    upright: bool = False,
    chosen: np.ndarray | None = None,
    named: bool = True,
) -> None:
    """Draws differences with lines at one and two standard deviations.

    Args:
        axes: Where to draw.
        record: One fit with m data.
        places: `[m]`, where each datum stands along the axis.
        unit: Unit of the targets, for the label.
        upright: Whether data stand one above the other, differences to the right.
        chosen: `[m]` bool, which data are drawn; all by default.
        named: Whether the names of outliers are written.
    """
    found = differences(record, unit)
    kept = np.isfinite(found.values) & np.isfinite(places)
    if chosen is not None:
        kept &= chosen
    _draw_sigmas(axes, found.in_sigmas, upright)
    points = _points(axes, upright)
    few = kept.sum() <= 300
    stems = axes.hlines if upright else axes.vlines
    if few:
        stems(places[kept], 0, found.values[kept], color=GREY, linewidth=0.8)
    usual, far = kept & ~found.outlier, kept & found.outlier
    size = 5 if few else 2
    if usual.any():  # (No points at all, not clipped, would be laid out at a corner.)
        look = {"marker": "o", "color": BLUE, "markersize": size}
        points(places[usual], found.values[usual], **look)
    if far.any():
        in_sigmas = record.question.has_sigma[far].all()
        label = f"beyond {OUTLYING:g} σ" if in_sigmas else "outliers"
        cross = {"marker": "X", "color": RED, "markersize": 8, "label": label}
        points(places[far], found.values[far], **cross)
        if named and not upright:
            _name_outliers(axes, record, places, found, far)
    least = 2.4 if found.in_sigmas else 0.0
    low, high = finite_span(found.values[kept], np.zeros(1))
    reach = 1.2 * max(abs(low), abs(high), least)
    (axes.set_xlim if upright else axes.set_ylim)(-reach, reach)
    label_axes(axes, **{"x" if upright else "y": found.label})
    axes.locator_params(axis="x" if upright else "y", nbins=3 if upright else 5)
    plain_numbers(axes.xaxis if upright else axes.yaxis, (-reach, reach))
    if far.any() or (found.in_sigmas and not upright):
        legend_above(axes, columns=1 if upright else 3)
    if not kept.any():
        note_nothing(axes)


def note_nothing(axes: Axes) -> None:
    """Says that a fit without an answer has nothing to draw."""
    axes.text(
        0.5,
        0.5,
        "no values\nwere calculated",
        in_layout=False,
        transform=axes.transAxes,
        horizontalalignment="center",
        verticalalignment="center",
        fontsize=10,
        bbox={"facecolor": "white", "linewidth": 0},
    )


def _points(axes: Axes, upright: bool) -> Any:
    def plot(places: np.ndarray, values: np.ndarray, **look: Any) -> None:
        pair = (values, places) if upright else (places, values)
        axes.plot(*pair, linestyle="none", zorder=4, clip_on=False, **look)

    return plot


def _draw_sigmas(axes: Axes, in_sigmas: bool, upright: bool) -> None:
    line = axes.axvline if upright else axes.axhline
    line(0, color=INK, linewidth=0.9)
    if not in_sigmas:
        return
    for size, style in ((1, (0, (5, 2))), (2, (0, (1.2, 1.5)))):
        for sign in (1, -1):
            look: dict[str, Any] = {"color": GREY, "linewidth": 1.1, "linestyle": style}
            named = sign > 0 and not upright  # Ticks name those that stand upright.
            line(sign * size, label=f"±{size} σ" if named else None, **look)


def _name_outliers(
    axes: Axes,
    record: Record,
    places: np.ndarray,
    found: Differences,
    far: np.ndarray,
) -> None:
    size = np.where(far, np.abs(found.values), -1)
    low, high = finite_span(places)
    for k in np.argsort(-size, kind="stable")[: min(_NAMED, int(far.sum()))]:
        right = places[k] > (low + high) / 2
        axes.annotate(
            shortened(record.question.target_names[k]),
            (places[k], found.values[k]),
            xytext=(-7 if right else 7, 0),
            textcoords="offset points",
            horizontalalignment="right" if right else "left",
            verticalalignment="center",
            fontsize=TEXT,
            parse_math=False,
        )
