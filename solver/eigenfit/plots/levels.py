"""Level diagrams: observed beside calculated levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.plots.canvas import (
    BLUE,
    GREY,
    INK,
    TEXT,
    as_axes,
    figure_of,
    finite_span,
    label_axes,
    literal_ticks,
    new_figure,
    room_for,
    shortened,
    spread,
    thinned,
    unit_of,
)
from eigenfit.plots.differences import draw_differences, note_nothing
from eigenfit.plots.values import (
    LEVELS,
    data_of,
    decimals_of,
    groups,
    levels_of,
    width_of,
)
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR = (0.0, 1.0), (1.6, 2.6)  # ends of the bars of observed and calculated levels
_STEP = 4.2  # from one matrix to the next
_MAX_NUMBERED = 2  # with more matrices there is no room for numbers


def plot_levels(
    record: Record, axes: Any = None, *, quantity: str = "", title: str = ""
) -> np.ndarray:
    """Draws a level diagram: observed levels beside the calculated ones.

    Levels that coincide are one line with its number, such as "× 2"; calculated levels
    without a target are dotted. Differences stand beside them, in standard deviations
    if all data have one. Several matrices stand side by side.

    Args:
        record: One fit, from `Fit.record`; levels are among what was observed.
        axes: Two axes of matplotlib, for levels and differences, or one for levels
            alone; new ones by default.
        quantity: What the levels are, with their unit, such as "energy / meV".
        title: Title above a new figure; that of the problem by default.

    Returns:
        The axes, `[2]`, or `[1]` without differences.

    Raises:
        ValueError: If no levels were observed, or `axes` do not fit.

    Example:
        >>> import eigenfit as ef
        >>> fit = ef.Solver(ef.Problem(ef.Symmetric(2))).fit(np.ones(3), [1.0, 1.0])
        >>> diagram, differences = plot_levels(fit.record(), quantity="energy / eV")
        >>> [text.get_text() for text in diagram.texts]
        ['1.000 × 2', '1.000 × 2']
    """
    blocks = range(len(record.question.labels))
    drawn = [b for b in blocks if data_of(record, b, LEVELS).size]
    if not drawn:
        raise ValueError(
            "No levels were observed. Draw what was: `eigenfit.plots.picture_of`."
        )
    if axes is None:
        figure = new_figure(6, title or record.question.title)
        ratios = [3.4, 1.2]
        axes = figure.subplots(1, 2, sharey=True, width_ratios=ratios)
    own = as_axes(axes, 2)
    chosen = np.concatenate([data_of(record, b, LEVELS) for b in drawn])
    everything = [levels_of(record, b) for b in drawn]
    span = finite_span(record.targets[chosen], record.values[chosen], *everything)
    margin = 0.05 * (span[1] - span[0])
    for part in own:
        part.set_ylim(span[0] - margin, span[1] + margin)
    numbered = len(drawn) <= _MAX_NUMBERED
    for number, block in enumerate(drawn):
        _draw_matrix(own[0], record, block, number * _STEP, span, numbered)
    room = 1.1 if numbered else 0.5
    own[0].set_xlim(-room, _STEP * (len(drawn) - 1) + 2.6 + room)
    _name_columns(own[0], [record.question.labels[b] for b in drawn])
    if len(own) > 1:
        used = np.isin(np.arange(len(record.targets)), chosen)
        unit = unit_of(quantity)
        look: dict[str, Any] = {"upright": True, "unit": unit, "chosen": used}
        draw_differences(own[1], record, record.targets, **look)
        own[1].grid(axis="y", alpha=0.25)
    label_axes(own[0], y=quantity or "level")
    if not np.isfinite(record.values[chosen]).any():
        note_nothing(own[0])
    return np.array(own, object)


def _draw_matrix(
    axes: Axes,
    record: Record,
    block: int,
    x: float,
    span: tuple[float, float],
    numbered: bool,
) -> None:
    own = data_of(record, block, LEVELS)
    targets, values = record.targets[own], record.values[own]
    levels = levels_of(record, block)
    observed = np.isin(np.arange(len(levels)), record.question.places[own, 1])
    (a, b), (c, d) = _BAR
    axes.hlines(targets, x + a, x + b, color=INK, linewidth=1.6)
    axes.hlines(values, x + c, x + d, color=BLUE, linewidth=1.6)
    open_ends = levels[~observed]
    if (record.question.places[own, 1] >= 0).all():
        axes.hlines(open_ends, x + c, x + d, color=BLUE, linewidth=1, linestyle=":")
        values = np.concatenate([values, open_ends])
    ties = [[(x + b, t), (x + c, v)] for t, v in zip(targets, values, strict=False)]
    _draw_ties(axes, ties)
    sigma = record.question.sigma[own]
    size = span[1] - span[0]
    # Smaller ones are thinner than a line, larger ones are weights more than errors.
    seen = (sigma > 0.004 * size) & (sigma < 0.1 * size)
    if seen.any():
        axes.errorbar(
            np.full(seen.sum(), x + (a + b) / 2),
            targets[seen],
            sigma[seen],
            fmt="none",
            ecolor=INK,
            elinewidth=1,
            capsize=3,
        )
    for numbers, edge, side in ((targets, x + a, -1), (values, x + d, 1)):
        _write_numbers(axes, record, numbers, edge, side, span, numbered)


def _draw_ties(axes: Axes, ties: list[Any]) -> None:
    from matplotlib.collections import LineCollection

    finite = [tie for tie in ties if np.isfinite(tie).all()]
    look = {"colors": GREY, "linewidths": 0.7, "linestyles": "--"}
    axes.add_collection(LineCollection(finite, **look))


def _write_numbers(
    axes: Axes,
    record: Record,
    values: np.ndarray,
    edge: float,
    side: int,
    span: tuple[float, float],
    numbered: bool,
) -> None:
    """Writes levels beside the ends of their bars, without overlap."""
    found = groups(values, width_of(record, span))
    if not numbered:
        found = [group for group in found if group.number > 1]
    room = room_for(axes, 14, vertical=True)
    found = [found[k] for k in thinned(len(found), room)]
    low, high = axes.get_ylim()
    gap = (high - low) / room
    at = np.array([group.value for group in found])
    decimals = decimals_of(span)
    for group, place in zip(
        found, spread(at, gap, low + gap / 2, high - gap / 2), strict=True
    ):
        # (No minus zero.)
        value = round(group.value, decimals) + 0.0
        text = f"{value:.{decimals}f}" if numbered else ""
        if group.number > 1:
            text = f"{text} × {group.number}".strip()
        moved = abs(place - group.value) > 0.3 * gap
        if moved:
            xs = [edge, edge + 0.1 * side]
            axes.plot(xs, [group.value, place], color=GREY, linewidth=0.6)
        axes.text(
            edge + 0.13 * side,
            place,
            text.replace("-", "\N{MINUS SIGN}"),
            horizontalalignment="left" if side > 0 else "right",
            verticalalignment="center_baseline",
            fontsize=TEXT,
        )


def _name_columns(axes: Axes, labels: list[str]) -> None:
    ticks, names = [], []
    size = figure_of(axes).get_size_inches()[0] * 100 * axes.get_position().width
    narrow = size / (2 * len(labels)) < 90
    words = ("obs.", "calc.") if narrow else ("observed", "calculated")
    for number, label in enumerate(labels):
        for (a, b), word in zip(_BAR, words, strict=True):
            ticks.append(number * _STEP + (a + b) / 2)
            own = shortened(label, 12) if len(labels) > 1 else ""
            names.append(f"{word}\n{own}".strip())
    axes.set_xticks(ticks, names)
    literal_ticks(axes.get_xticklabels())
    axes.tick_params(axis="x", length=0)
