"""Panels beside mode shapes: the MAC matrix, and frequencies with error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.observations import mac
from eigenfit.plots.canvas import (
    BLUE,
    INK,
    MINUS,
    TEXT,
    finite_span,
    label_axes,
    plain_numbers,
    room_for,
    thinned,
)
from eigenfit.plots.values import kind_of_each
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WEIGHING = 50.0  # per cent; a larger sigma is a weight, no error of a frequency
_MAX_NUMBERED = 8  # larger matrices have no numbers in their cells


def frequencies_of(record: Record) -> np.ndarray:
    """Returns the indices of the targets that are frequencies, or levels of modes."""
    kinds = kind_of_each(record)
    if "frequencies" in kinds:
        return np.flatnonzero(kinds == "frequencies")
    return np.flatnonzero(kinds == "levels")


def draw_frequencies(
    axes: Axes, record: Record, chosen: np.ndarray, quantity: str
) -> None:
    """Draws relative differences of frequencies with error bars, mode by mode.

    Args:
        axes: Where to draw.
        record: One fit.
        chosen: Indices of the targets that are frequencies.
        quantity: What they are, with their unit.
    """
    targets = record.targets[chosen]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = -100 * record.differences[chosen] / targets
        errors = 100 * record.question.sigma[chosen] / np.abs(targets)
    x = np.arange(len(chosen))
    kept = np.isfinite(shares)
    bars = np.nan_to_num(errors[kept], posinf=0.0)
    bars = np.where(bars < _WEIGHING, bars, 0.0)
    axes.axhline(0, color=BLUE, linewidth=1.2)
    axes.errorbar(
        x[kept],
        shares[kept],
        bars if bars.any() else None,
        linestyle="none",
        marker="o",
        markersize=6,
        markerfacecolor="white",
        markeredgecolor=INK,
        ecolor=INK,
        capsize=3,
    )
    low, high = finite_span(shares[kept] - bars, shares[kept] + bars, np.zeros(1))
    reach = 1.15 * max(abs(low), abs(high))
    axes.set_ylim(-reach, reach)
    axes.set_xlim(-0.6, len(chosen) - 0.4)
    shown = thinned(len(chosen), min(20, room_for(axes, 24)))
    levels = record.question.places[chosen, 1]
    axes.set_xticks(shown, [f"{levels[k] + 1}" for k in shown])
    word = quantity.partition(" / ")[0]
    label_axes(axes, x="mode", y=f"(obs. {MINUS} calc.) / obs. / %")
    axes.locator_params(axis="y", nbins=5)
    plain_numbers(axes.yaxis, (-reach, reach))
    axes.set_title(word, fontsize=10, parse_math=False)


def agreement_of(record: Record, shapes: list[Any]) -> np.ndarray:
    """Computes the MAC of measured with calculated shapes, `[k, l]`; NaN if unknown.

    Args:
        record: One fit.
        shapes: The l modes; k of them were measured.
    """
    measured = [shape for shape in shapes if len(shape.rows)]
    result = np.full([len(measured), len(shapes)], np.nan)
    for i, shape in enumerate(measured):
        for j, other in enumerate(shapes):
            if other.block != shape.block:
                continue
            own = other.whole[shape.rows]
            if not record.modes and np.array_equal(other.rows, shape.rows):
                own = other.at_sensors
            if np.isfinite(own).all() and own.any() and shape.measured.any():
                result[i, j] = mac([shape.measured], [own])[0, 0]
    return result


def draw_agreement(axes: Axes, record: Record, shapes: list[Any]) -> None:
    """Draws the MAC matrix: black cells agree, white ones do not.

    Args:
        axes: Where to draw.
        record: One fit.
        shapes: The modes.
    """
    values = agreement_of(record, shapes)
    measured = [shape for shape in shapes if len(shape.rows)]
    axes.imshow(values, cmap="Greys", vmin=0, vmax=1, aspect="equal")
    k, n = values.shape
    if max(k, n) <= _MAX_NUMBERED:
        for (i, j), value in np.ndenumerate(values):
            text = f"{value:.2f}" if np.isfinite(value) else "?"
            dark = value > 0.55
            look: dict[str, Any] = {"color": "white" if dark else INK, "fontsize": TEXT}
            axes.text(j, i, text, ha="center", va="center", **look)
    for numbers, size, set_ticks in (
        ([shape.level + 1 for shape in shapes], n, axes.set_xticks),
        ([shape.level + 1 for shape in measured], k, axes.set_yticks),
    ):
        shown = thinned(size, 12)
        set_ticks(shown, [str(numbers[place]) for place in shown])
    label_axes(axes, x="calculated mode", y="measured mode")
    axes.set_title("MAC", fontsize=10)
