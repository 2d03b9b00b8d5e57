"""Mode shapes at the sensors and between them, their agreement, and frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eigenfit.plots.agreement import draw_agreement, draw_frequencies, frequencies_of
from eigenfit.plots.canvas import (
    BLUE,
    GREY,
    INK,
    TEXT,
    as_axes,
    label_axes,
    new_figure,
    shortened,
    unit_of,
)
from eigenfit.plots.values import kind_of_each
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_SHAPES = 12  # more modes are too small to see


class Shape(NamedTuple):
    """A mode, measured at c sensors and calculated at n components."""

    block: int
    level: int
    rows: np.ndarray  # [c] int, components with sensors
    measured: np.ndarray  # [c]
    at_sensors: np.ndarray  # [c] calculated
    whole: np.ndarray  # [n] calculated, in the same scale; NaN where unknown


def plot_modes(
    record: Record,
    axes: Any = None,
    *,
    upright: bool = False,
    places: Any = None,
    supports: Sequence[float] = (),
    axis: str = "component",
    quantity: str = "frequency",
    title: str = "",
) -> np.ndarray:
    """Draws mode shapes, measured at sensors and calculated, and how they agree.

    Circles are measured, dots and lines calculated; both are scaled as they were
    compared, or to a largest component of 1 where only frequencies were measured. Below
    or beside them stand relative differences of frequencies with error bars, and the
    modal assurance criterion (MAC) of each measured with each calculated shape.

    Args:
        record: One fit, from `Fit.record`; frequencies or mode shapes were observed.
        axes: As many axes of matplotlib as modes, for the shapes alone; a new figure
            with everything by default.
        upright: Whether components stand above each other, as the floors of a house.
        places: `[n]`, where the components are; 0, 1, ... by default.
        supports: Places that do not move, such as walls.
        axis: What the components are, such as "floor" or "position / m".
        quantity: What goes with each mode, with its unit, such as "frequency / Hz".
        title: Title above a new figure; that of the problem by default.

    Returns:
        All axes that were drawn on, those of the shapes first.

    Raises:
        ValueError: If neither frequencies nor shapes were observed, or an argument does
            not fit.

    Example:
        >>> import eigenfit as ef
        >>> structure = ef.Affine([np.diag([1.0, 0.0]), [[1.0, -1.0], [-1.0, 1.0]]])
        >>> shapes = ef.ModeShapes([0, 1])
        >>> problem = ef.Problem(structure, observations=[ef.Levels(), shapes])
        >>> targets = [0.38, 2.62, 0.62, 1.0, 1.0, -0.62]
        >>> fit = ef.Solver(problem).fit([1.2, 0.9], targets)
        >>> len(plot_modes(fit.record()))  # two modes, their frequencies and the MAC
        4
    """
    shapes = shapes_of(record)[:_MAX_SHAPES]
    measured = [shape for shape in shapes if len(shape.rows)]
    frequencies = frequencies_of(record)
    if not shapes and not len(frequencies):
        raise ValueError(
            "Neither frequencies nor mode shapes were observed. Draw what was: "
            "`eigenfit.plots.picture_of`."
        )
    extra: list[Axes] = []
    if axes is None:
        panels = bool(len(frequencies)) + bool(measured)
        own, extra = _layout(record, len(shapes), panels, upright, title)
    else:
        own = as_axes(axes, max(1, len(shapes)))
    for number, (shape, part) in enumerate(zip(shapes, own, strict=False)):
        at = _places(shape, places)
        _draw_shape(part, shape, at, upright, supports)
        _name_shape(part, record, shape, quantity, upright)
        first = number == 0
        if first:
            _legend(part, bool(measured))
    _label_shapes(own, upright, axis)
    rest = list(extra)
    if rest and len(frequencies):
        draw_frequencies(rest.pop(0), record, frequencies, quantity)
    if rest and measured:
        draw_agreement(rest.pop(0), record, shapes)
    return np.array([*own, *extra], object)


def shapes_of(record: Record) -> list[Shape]:
    """Lists the modes that were measured, or those of the measured frequencies."""
    places, kinds = record.question.places, kind_of_each(record)
    shaped = np.isin(kinds, ["shapes"])
    seen = shaped if shaped.any() else np.isin(kinds, ["frequencies", "MAC"])
    pairs = dict.fromkeys(map(tuple, places[seen, :2].tolist()))
    found = []
    for block, level in pairs:
        own = shaped & (places[:, 0] == block) & (places[:, 1] == level)
        rows = places[own, 2]
        whole = np.full(record.question.orders[block], np.nan)
        if record.modes:
            whole = record.modes[block][:, level].astype(float)
            whole = whole * _scale(whole, rows, record.values[own])
        elif not len(rows):
            continue
        measured, calculated = record.targets[own], record.values[own]
        found.append(Shape(block, level, rows, measured, calculated, whole))
    return found


def _scale(whole: np.ndarray, rows: np.ndarray, values: np.ndarray) -> float:
    # As it was compared; else the largest component is 1.
    if len(rows):
        square = float(whole[rows] @ whole[rows])
        return float(whole[rows] @ values) / square if square else np.nan
    if not np.isfinite(whole).all():
        return np.nan
    largest = whole[np.argmax(np.abs(whole))]
    return 1 / float(largest) if largest else np.nan


def _layout(
    record: Record, number: int, panels: int, upright: bool, title: str
) -> tuple[list[Axes], list[Axes]]:
    """Makes axes for shapes, side by side or one below the other, and for the rest."""
    columns = min(number, 6) if upright else 1 if number <= 6 else 2
    rows = -(-number // columns) if number else 0
    height = 3.4 * rows + 2.9 if upright else max(4.5, 1.25 * rows + 0.8)
    figure = new_figure(max(height, 5.2), title or record.question.title)
    if not number:
        return [], _panels(figure, panels, upright)
    if not panels:
        return _grid(figure, rows, columns, number), []
    if upright:
        parts: Any = figure.subfigures(2, 1, height_ratios=[3.4 * rows, 2.9])
    else:
        parts = figure.subfigures(1, 2, width_ratios=[1.25, 1])
    upper, lower = parts
    return _grid(upper, rows, columns, number), _panels(lower, panels, upright)


def _grid(figure: Any, rows: int, columns: int, number: int) -> list[Axes]:
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    every = list(grid.flat)
    for spare in every[number:]:
        spare.set_axis_off()
    return every[:number]


def _panels(part: Any, number: int, upright: bool) -> list[Axes]:
    shape = (1, number) if upright else (number, 1)
    return list(np.ravel(part.subplots(*shape, squeeze=False)))


def _places(shape: Shape, places: Any) -> np.ndarray:
    number = len(shape.whole)
    if places is None:
        return np.arange(number, dtype=float)
    at = np.asarray(places, float)
    if at.shape != (number,):
        raise ValueError(
            f"`places` must have shape [{number}], one for each component, got "
            f"{list(at.shape)}."
        )
    return at


def _draw_shape(
    axes: Axes,
    shape: Shape,
    at: np.ndarray,
    upright: bool,
    supports: Sequence[float],
) -> None:
    def plot(where: Any, values: Any, *style: Any, **look: Any) -> None:
        pair = (values, where) if upright else (where, values)
        axes.plot(*pair, *style, **look)

    (axes.axvline if upright else axes.axhline)(0, color=GREY, linewidth=0.8)
    known = np.isfinite(shape.whole)
    where = np.concatenate([at[known], np.asarray(supports, float)])
    values = np.concatenate([shape.whole[known], np.zeros(len(supports))])
    order = np.argsort(where, kind="stable")
    look: dict[str, Any] = {"color": BLUE, "label": "calculated"}
    if known.any():
        dots = {"marker": ".", "markersize": 5} if len(where) <= 80 else {}
        plot(where[order], values[order], linewidth=1.3, **look, **dots)
    elif len(shape.rows):
        plot(at[shape.rows], shape.at_sensors, "x", **look)
    if len(supports):
        plot(supports, np.zeros(len(supports)), "s", color=INK, markersize=5)
    if len(shape.rows):
        ring = {"markerfacecolor": "none", "markeredgecolor": INK, "markersize": 8}
        plot(at[shape.rows], shape.measured, "o", label="measured", **ring)


def _name_shape(
    axes: Axes, record: Record, shape: Shape, quantity: str, upright: bool
) -> None:
    places, kinds = record.question.places, kind_of_each(record)
    own = (places[:, 0] == shape.block) & (places[:, 1] == shape.level)
    blocks = record.question.labels
    where = f"{shortened(blocks[shape.block], 10)}, " if len(blocks) > 1 else ""
    text = f"{where}mode {shape.level + 1}"
    found = np.flatnonzero(own & np.isin(kinds, ["frequencies", "levels"]))
    if found.size:
        gap = "\n" if upright else ": "
        number = f"{record.targets[found[0]]:#.4g}".rstrip(".")
        text += f"{gap}{number} {unit_of(quantity)}".rstrip()
    criterion = np.flatnonzero(own & (kinds == "MAC"))
    if criterion.size:
        text += f", MAC {record.values[criterion[0]]:.3f}"
    axes.set_title(text, fontsize=10, parse_math=False)


def _legend(axes: Axes, has_sensors: bool) -> None:
    if has_sensors:
        axes.legend(fontsize=TEXT, frameon=True, framealpha=0.8, loc="best")


def _label_shapes(own: list[Axes], upright: bool, axis: str) -> None:
    for axes in own:
        axes.tick_params(labelsize=TEXT)
        axes.margins(0.12)
        axes.locator_params(axis="x" if upright else "y", nbins=3)
        axes.locator_params(axis="y" if upright else "x", integer=" / " not in axis)
    if own and upright:
        label_axes(own[0], y=axis)
    elif own:
        label_axes(own[-1], x=axis)
