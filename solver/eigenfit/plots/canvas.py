"""Paper and pens that all pictures share; matplotlib is loaded at first use."""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import isotonic_regression

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT = 9.0
"""Size of the smallest letters, points."""
INK = "black"
"""Colour of what was observed."""
BLUE = "#1f4e9e"
"""Colour of what was calculated; dark, so that it prints in black and white."""
RED = "#b3261e"
"""Colour of what stands out; it always has a shape of its own as well."""
GREY = "0.45"
"""Colour of what helps the eye."""
MINUS = "\N{MINUS SIGN}"

_PER_LINE = 80  # letters of a title that fit 800 pixels


def new_figure(height: float, title: str = "") -> Figure:
    """Makes an empty figure, 800 pixels wide, that belongs to no window.

    Args:
        height: In hundreds of pixels.
        title: Title above all axes; see `set_title`.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'Pictures need matplotlib. Install it with: pip install "eigenfit[plots]"'
        ) from error
    figure = Figure(figsize=(8, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    # What a notebook asks for where the picture is the last line of a cell.
    vars(figure)["_repr_png_"] = functools.partial(png_of, figure)
    set_title(figure, title)
    return figure


def png_of(figure: Figure, compress_level: int = 6) -> bytes:
    """Draws a figure as PNG, packed more tightly the higher the level, up to 9."""
    file = io.BytesIO()
    options = {"compress_level": compress_level}
    figure.savefig(file, format="png", pil_kwargs=options)
    return file.getvalue()


def set_title(figure: Figure, title: str) -> None:
    """Writes a title above a figure, two lines at most."""
    if title:
        # (The option `wrap` of matplotlib would read a "$" as mathematics again.)
        short = textwrap.shorten(title, 2 * _PER_LINE - 10, placeholder="...")
        text = textwrap.fill(short, _PER_LINE)
        figure.suptitle(text, parse_math=False, fontsize=12)


def figure_of(axes: Axes) -> Figure:
    """Returns the figure that axes belong to."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def as_axes(axes: Any, number: int) -> list[Axes]:
    """Returns given axes as a list.

    Args:
        axes: Axes of matplotlib, or an array of them.
        number: How many a picture can draw on.

    Raises:
        ValueError: If there are none, or more than these.
    """
    found = np.ravel(np.asarray(axes, object)).tolist()
    if not 1 <= len(found) <= number:
        raise ValueError(
            f"`axes` must hold {number} axes{' or fewer' if number > 1 else ''} for "
            f"this picture, got {len(found)}."
        )
    return found


def label_axes(axes: Axes, x: str = "", y: str = "") -> None:
    """Writes what is on both axes, and sets the size of their numbers."""
    axes.set_xlabel(x, fontsize=10, parse_math=False)
    axes.set_ylabel(y, fontsize=10, parse_math=False)
    axes.tick_params(labelsize=TEXT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(TEXT)


def literal_ticks(labels: Sequence[Any]) -> None:
    """Keeps a "$" in the labels of ticks from being read as mathematics."""
    for label in labels:
        label.set_parse_math(False)


def legend_above(
    axes: Axes,
    columns: int = 3,
    entries: tuple[Sequence[Any], Sequence[str]] | None = None,
) -> None:
    """Puts the legend above the axes, where it hides nothing.

    Args:
        axes: Axes of the legend.
        columns: Number of its columns.
        entries: Handles and labels; by default those of what was drawn.
    """
    entries = entries or axes.get_legend_handles_labels()
    if entries[1]:
        axes.legend(
            *entries,
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            fontsize=TEXT,
            frameon=False,
            columnspacing=1.4,
            handlelength=2.4,
            borderaxespad=0.2,
        )


def unit_of(quantity: str) -> str:
    """Returns the unit of a quantity, empty if none is written.

    Example:
        >>> unit_of("energy / meV"), unit_of("energy")
        ('meV', '')
    """
    return quantity.rpartition(" / ")[2] if " / " in quantity else ""


def shortened(text: str, length: int = 26) -> str:
    """Cuts a name that is too long for its place.

    Example:
        >>> shortened("frequency of the first mode", 12)
        'frequency...'
    """
    return text if len(text) <= length else f"{text[: length - 3].rstrip()}..."


def spread(places: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Moves ascending places apart, as little as possible.

    Args:
        places: `[k]`, ascending.
        gap: Least distance between neighbours; smaller if there is no room.
        low: Lower end of the room.
        high: Its upper end.

    Returns:
        `[k]`.

    Example:
        >>> spread(np.array([1.0, 1.0, 5.0]), 1.0, 0.0, 10.0).tolist()
        [0.5, 1.5, 5.0]
    """
    number = len(places)
    if number < 2:
        return np.clip(places, low, high)
    gap = min(gap, (high - low) / (number - 1))
    steps = gap * np.arange(number)
    # Without the steps, the result must ascend.
    flat = isotonic_regression(places - steps).x
    return np.clip(flat, low, high - steps[-1]) + steps


def thinned(number: int, room: int) -> np.ndarray:
    """Chooses evenly which of many labels are written.

    Args:
        number: Number of labels.
        room: Most that have a place.

    Returns:
        Their indices, ascending.

    Example:
        >>> thinned(10, 4).tolist()
        [0, 3, 6, 9]
    """
    if number <= room:
        return np.arange(number)
    return np.arange(0, number, -(-(number - 1) // max(room - 1, 1)))


def room_for(axes: Axes, pixels: float, vertical: bool = False) -> int:
    """Estimates how many labels of a size fit beside each other.

    Args:
        axes: Axes on which they are written.
        pixels: Size of one, at 100 dots an inch.
        vertical: Whether they stand below each other.
    """
    size = axes.get_position().height if vertical else axes.get_position().width
    inches = figure_of(axes).get_size_inches()[1 if vertical else 0]
    return max(2, int(100 * inches * size / pixels))


def plain_numbers(axis: Any, span: tuple[float, float]) -> None:
    """Writes small or large numbers at their ticks, not as a factor in a corner.

    Args:
        axis: An axis of axes.
        span: The range that it shows.
    """
    size = max(map(abs, span))
    if 1e-3 <= size < 1e5:
        axis.get_major_formatter().set_useOffset(False)
        return
    axis.set_major_formatter(lambda x, _: f"{x:.3g}".replace("-", MINUS))


def finite_span(*arrays: np.ndarray) -> tuple[float, float]:
    """Returns the smallest and largest finite number, never the same; (0, 1) if none.

    Example:
        >>> finite_span(np.array([2.0, np.nan]), np.array([2.0]))
        (1.0, 3.0)
    """
    values = np.concatenate([np.ravel(x) for x in arrays])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size:
        low, high = low - 0.5 * (size or 1.0), high + 0.5 * (size or 1.0)
    return low, high
