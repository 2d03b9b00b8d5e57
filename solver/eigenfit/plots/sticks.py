"""Observed and calculated lines as mirrored sticks, with their differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.plots.canvas import (
    BLUE,
    GREY,
    INK,
    RED,
    TEXT,
    as_axes,
    figure_of,
    finite_span,
    label_axes,
    new_figure,
    room_for,
    shortened,
    spread,
    unit_of,
)
from eigenfit.plots.differences import differences, draw_differences
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTER = 6.0  # pixels along a label
_LINE = 13.5  # pixels across it


def plot_sticks(
    record: Record,
    axes: Any = None,
    *,
    quantity: str = "",
    labels: Sequence[str] | None = None,
    intensities: Any = None,
    title: str = "",
) -> np.ndarray:
    """Draws observed values upwards, calculated ones downwards, differences below.

    The picture of a spectrum of lines. Differences are in standard deviations if all
    data have one. Labels are left out where there is no room; outliers, which lie
    beyond 5 standard deviations, keep theirs and are marked.

    Args:
        record: One fit, from `Fit.record`.
        axes: Two axes of matplotlib, for sticks and differences, or one for sticks
            alone; new ones by default.
        quantity: What is observed, with its unit, such as "frequency / MHz".
        labels: The m assignments; the names of the targets by default.
        intensities: `[m]`, heights of the sticks; all 1 by default.
        title: Title above a new figure; that of the problem by default.

    Returns:
        The axes, `[2]`, or `[1]` without differences.

    Raises:
        ValueError: If `axes`, `labels` or `intensities` do not fit.

    Example:
        >>> import eigenfit as ef
        >>> lines = ef.Differences([(1, 0), (2, 0), (2, 1)], sigma=0.1)
        >>> problem = ef.Problem(ef.Additive(np.ones([3, 3])), lines)
        >>> fit = ef.Solver(problem).fit([0.0, 1.0, 2.0], [3.0, 5.1, 2.0])
        >>> sticks, differences = plot_sticks(fit.record(), quantity="line / MHz")
        >>> differences.get_xlabel()
        'line / MHz'
    """
    m = len(record.targets)
    names = list(record.question.target_names if labels is None else labels)
    heights = np.ones(m) if intensities is None else np.asarray(intensities, float)
    heights = heights / (np.nanmax(np.abs(heights), initial=0.0) or 1.0)
    for name, size in (("labels", len(names)), ("intensities", np.size(heights))):
        if size != m:
            raise ValueError(f"`{name}` has {size} entries for {m} targets.")
    if axes is None:
        figure = new_figure(6, title or record.question.title)
        axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    own = as_axes(axes, 2)
    span = finite_span(record.targets, record.values)
    margin = 0.03 * (span[1] - span[0])
    own[0].set_xlim(span[0] - margin, span[1] + margin)
    _draw_sticks(own[0], record, heights)
    _draw_names(own[0], record, names, heights)
    if len(own) > 1:
        own[1].set_xlim(own[0].get_xlim())
        draw_differences(
            own[1], record, record.targets, unit=unit_of(quantity), named=False
        )
        own[1].grid(axis="x", alpha=0.25)
    label_axes(own[-1], x=quantity or "observed value", y=own[-1].get_ylabel())
    return np.array(own, object)


def _draw_sticks(axes: Axes, record: Record, heights: np.ndarray) -> None:
    width = 1.3 if len(heights) <= 150 else 0.6
    for values, sign, colour in (
        (record.targets, 1, INK),
        (record.values, -1, BLUE),
    ):
        kept = np.isfinite(values)
        axes.vlines(
            values[kept], 0, sign * heights[kept], color=colour, linewidth=width
        )
    far = differences(record).outlier & np.isfinite(record.values)
    if far.any():
        axes.plot(
            record.values[far], -heights[far], "X", color=RED, markersize=7, zorder=4
        )
    axes.axhline(0, color=INK, linewidth=0.8)
    label_axes(axes)
    axes.set_yticks([0.05, -0.05], ["observed", "calculated"], rotation=90)
    # Away from each other, however long the names above are.
    for label, alignment in zip(axes.get_yticklabels(), ("bottom", "top"), strict=True):
        label.set_verticalalignment(alignment)
    axes.tick_params(axis="y", length=0, labelsize=10)


def _draw_names(
    axes: Axes, record: Record, names: Sequence[str], heights: np.ndarray
) -> None:
    """Writes names above the sticks they belong to, with lines where they moved."""
    room = room_for(axes, _LINE)
    low, high = axes.get_xlim()
    gap = (high - low) / room
    shown = _chosen(record, room, gap)
    texts = [shortened(names[int(k)]) for k in shown]
    longest = max(map(len, texts), default=0)
    pixels = 100 * axes.get_position().height * figure_of(axes).get_size_inches()[1]
    share = min(0.62, (_LETTER * longest + 22) / pixels)
    below = 1.12
    top = 1.02 + (1.02 + below) * share / (1 - share)
    start = 1.02 + 18 * (top + below) / pixels
    axes.set_ylim(-below, top)
    places = spread(record.targets[shown], gap, low + gap / 2, high - gap / 2)
    for k, place, text in zip(shown, places, texts, strict=True):
        x = record.targets[k]
        knee = [heights[k] + 0.01, (2 + start) / 3, start - 0.02]
        axes.plot([x, x, place], knee, color=GREY, linewidth=0.6)
        axes.text(
            place,
            start,
            text,
            rotation=90,
            horizontalalignment="center",
            verticalalignment="bottom",
            fontsize=TEXT,
            parse_math=False,
        )


def _chosen(record: Record, room: int, gap: float) -> np.ndarray:
    """Chooses the sticks with names, ascending: all, or outliers and what fits."""
    x = record.targets
    known = np.flatnonzero(np.isfinite(x))
    order = known[np.argsort(x[known], kind="stable")]
    if len(order) <= room:
        return order
    far = differences(record).outlier
    taken: list[int] = []
    for k in sorted(order, key=lambda k: (not far[k], x[k])):
        if len(taken) == room:
            break
        if all(abs(x[k] - x[j]) >= gap for j in taken):
            taken.append(int(k))
    return np.array(sorted(taken, key=lambda k: x[k]))
