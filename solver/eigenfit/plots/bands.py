"""Levels of several matrices against what tells them apart: bands, field sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.plots.canvas import (
    BLUE,
    GREY,
    INK,
    TEXT,
    as_axes,
    finite_span,
    label_axes,
    legend_above,
    literal_ticks,
    new_figure,
    room_for,
    shortened,
    thinned,
    unit_of,
)
from eigenfit.plots.differences import draw_differences, note_nothing
from eigenfit.plots.values import data_of, groups, levels_of, width_of
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("levels", "relative", "differences", "means")
"""Kinds of observations of a block that are drawn."""


def plot_bands(
    record: Record,
    axes: Any = None,
    *,
    quantity: str = "",
    axis: str = "",
    labels: Sequence[str] | None = None,
    places: Any = None,
    lines: tuple[Any, Any] | None = None,
    title: str = "",
) -> np.ndarray:
    """Draws the levels of each block against the block, with the observed ones.

    Bands at points of a Brillouin zone, levels in a field, transitions in a sweep: the
    labels of the blocks are the axis, a numeric one if they are numbers. Lines are
    calculated, circles observed, with error bars where standard deviations are known;
    differences stand below.

    Args:
        record: One fit, from `Fit.record`, of several blocks.
        axes: Two axes of matplotlib, for levels and differences, or one for levels
            alone; new ones by default.
        quantity: What is observed, with its unit, such as "energy / eV".
        axis: What the blocks differ in, with its unit, such as "field / T".
        labels: What is written at the B blocks; their labels by default.
        places: `[B]`, where they stand on the axis; by default their labels if all
            are numbers, else one after another.
        lines: Places `[k]` and values `[k, n]` calculated at further points of the
            axis, drawn instead of lines from block to block; a NaN ends a line.
        title: Title above a new figure; that of the problem by default.

    Returns:
        The axes, `[2]`, or `[1]` without differences.

    Raises:
        ValueError: If no levels of blocks were observed, or an argument does not fit.

    Example:
        >>> import eigenfit as ef
        >>> coupling = [[0.0, 1.0], [1.0, 0.0]]
        >>> blocks = [
        ...     ef.Block(ef.Affine([coupling], np.diag([-field, field])), label=label)
        ...     for label, field in (("0.5", 0.5), ("1.0", 1.0), ("2.0", 2.0))
        ... ]
        >>> targets = [-1.12, 1.12, -1.41, 1.41, -2.24, 2.24]
        >>> fit = ef.Solver(ef.Problem(blocks)).fit([0.8], targets)
        >>> levels, differences = plot_bands(fit.record(), axis="field / T")
        >>> differences.get_xlabel()
        'field / T'
    """
    number = len(record.question.labels)
    data = [data_of(record, b, KINDS) for b in range(number)]
    if not sum(map(len, data)):
        raise ValueError(
            "No levels of blocks were observed. Draw what was: "
            "`eigenfit.plots.picture_of`."
        )
    x, numeric = _places(record, places, labels)
    names = list(record.question.labels if labels is None else labels)
    if axes is None:
        figure = new_figure(6.5, title or record.question.title)
        axes = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1.2])
    own = as_axes(axes, 2)
    at = np.full(len(record.targets), np.nan)
    for block, mine in enumerate(data):
        at[mine] = x[block]
    if lines is not None:
        own[0].plot(*lines, color=BLUE, linewidth=1.3)
    _draw_lines(own[0], record, x, numeric, lines is None)
    _draw_data(own[0], record, at)
    if len(own) > 1:
        draw_differences(own[1], record, at, unit=unit_of(quantity), named=False)
    for part in own:
        _set_axis(part, x, names, numeric)
    own[0].tick_params(labelbottom=len(own) == 1)
    label_axes(own[0], y=quantity or "level")
    label_axes(own[-1], x=axis, y=own[-1].get_ylabel())
    legend_above(own[0])
    if not np.isfinite(record.values).any():
        note_nothing(own[0])
    return np.array(own, object)


def _places(record: Record, places: Any, labels: Any) -> tuple[np.ndarray, bool]:
    """Returns where blocks stand, `[B]`, and whether the axis is one of numbers."""
    number = len(record.question.labels)
    for name, given in (("places", places), ("labels", labels)):
        if given is not None and len(given) != number:
            raise ValueError(f"`{name}` has {len(given)} entries for {number} blocks.")
    if places is not None:
        return np.asarray(places, float), labels is None
    try:
        x = np.array([float(label) for label in record.question.labels])
    except ValueError:
        x = np.full(number, np.nan)
    if np.isfinite(x).all() and labels is None:
        return x, True
    return np.arange(number, dtype=float), False


def curves(record: Record) -> np.ndarray:
    """Returns what is calculated of each block, `[B, c]`, NaN where a block has less.

    All levels if levels are observed, whether they have targets or not; else the values
    that are compared with targets.
    """
    number = len(record.question.labels)
    rows = []
    for block in range(number):
        own = data_of(record, block, KINDS)
        as_levels = data_of(record, block, ("levels", "relative"))
        if len(as_levels) == len(own):
            rows.append(levels_of(record, block))
        else:
            rows.append(record.values[own])
    result = np.full([number, max(map(len, rows))], np.nan)
    for row, values in zip(result, rows, strict=True):
        row[: len(values)] = values
    return result


def _draw_lines(
    axes: Axes, record: Record, x: np.ndarray, numeric: bool, joined: bool
) -> None:
    values = curves(record)
    order = np.argsort(x, kind="stable")
    label = "calculated"
    if numeric:
        if joined:
            axes.plot(x[order], values[order], color=BLUE, linewidth=1.3)
    else:
        half = 0.13 * _distance(x)
        if joined:
            look: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": ":"}
            axes.plot(x[order], values[order], **look)
            for place, row in zip(x, values, strict=True):
                own = row[np.isfinite(row)]
                axes.hlines(own, place - half, place + half, color=BLUE, linewidth=1.8)
        _name_degenerate(axes, record, x, values, half)
    axes.plot([], [], color=BLUE, linewidth=1.5, label=label)


def _distance(x: np.ndarray) -> float:
    gaps = np.diff(np.unique(x))
    return float(gaps.min()) if gaps.size else 1.0


def _name_degenerate(
    axes: Axes, record: Record, x: np.ndarray, values: np.ndarray, half: float
) -> None:
    if len(x) > 12:
        return
    width = width_of(record, finite_span(values))
    for place, row in zip(x, values, strict=True):
        last = place == x.max()
        for group in groups(row, width):
            if group.number > 1:
                axes.annotate(
                    f"× {group.number}",
                    (place - half if last else place + half, group.value),
                    xytext=(-3 if last else 3, 3),
                    textcoords="offset points",
                    horizontalalignment="right" if last else "left",
                    fontsize=TEXT,
                    bbox={"facecolor": "white", "linewidth": 0, "pad": 0.6},
                    zorder=3,
                )


def _draw_data(axes: Axes, record: Record, at: np.ndarray) -> None:
    kept = np.isfinite(at) & np.isfinite(record.targets)
    sigma = np.nan_to_num(record.question.sigma[kept])
    few = kept.sum() <= 600
    axes.errorbar(
        at[kept],
        record.targets[kept],
        sigma if sigma.any() else None,
        linestyle="none",
        marker="o",
        markersize=5 if few else 2.5,
        markerfacecolor="white",
        markeredgecolor=INK,
        ecolor=INK,
        elinewidth=1,
        capsize=2.5 if few else 0,
        zorder=4,
        label="observed",
    )


def _set_axis(axes: Axes, x: np.ndarray, names: list[str], numeric: bool) -> None:
    low, high = finite_span(x)
    margin = (0.03 if numeric else 0.3 * _distance(x) / (high - low)) * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.grid(axis="x", alpha=0.3)
    if numeric:
        return
    order = np.argsort(x, kind="stable")
    longest = min(max(map(len, names)), 14)
    across = 7 * longest + 10
    flat = len(x) * across <= 640
    room = room_for(axes, across if flat else 16)
    shown = order[thinned(len(order), room)]
    texts = [shortened(names[k], 14) for k in shown]
    axes.set_xticks(x[shown], texts, rotation=0 if flat else 90)
    literal_ticks(axes.get_xticklabels())
