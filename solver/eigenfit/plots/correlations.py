"""A heat map of the correlations of the unknowns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.plots.canvas import (
    INK,
    MINUS,
    TEXT,
    as_axes,
    figure_of,
    literal_ticks,
    new_figure,
    shortened,
    thinned,
)
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_NUMBERED = 16  # more unknowns have no numbers in their cells
_MAX_NAMED = 44


def plot_correlations(record: Record, axes: Any = None, *, title: str = "") -> Axes:
    """Draws the correlation matrix of the unknowns as a heat map.

    Cells are the darker the stronger the correlation, and hatched where it is negative.
    Unknowns on a bound have none: their cells are crossed out.

    Args:
        record: One fit with errors, from `Fit.record`.
        axes: Axes of matplotlib; new ones by default.
        title: Title above a new figure; that of the problem by default.

    Returns:
        The axes.

    Raises:
        ValueError: If the fit has no errors.

    Example:
        >>> import eigenfit as ef
        >>> structure = ef.Affine([np.diag([0.0, 1.0, 2.0]), np.ones([3, 3])])
        >>> known = ef.Parameters(["a", "b"])
        >>> problem = ef.Problem(structure, ef.Levels(sigma=0.1), parameters=known)
        >>> fit = ef.Solver(problem).fit([1.0, 0.5], [0.1, 1.3, 3.2])
        >>> [text.get_text() for text in plot_correlations(fit.record()).texts]
        ['1.00', '−0.81', '−0.81', '1.00']
    """
    found = record.uncertainty
    if found is None:
        raise ValueError(
            "This fit has no errors: it has no answer, or more unknowns than are "
            "examined."
        )
    C = np.array(found.correlation, float)
    C[np.asarray(found.on_bounds) != 0] = np.nan
    C[:, np.asarray(found.on_bounds) != 0] = np.nan
    number = len(C)
    if axes is None:
        axes = new_figure(6.6, title or record.question.title).subplots()
    (own,) = as_axes(axes, 1)
    image = own.imshow(np.abs(C), cmap="Greys", vmin=0, vmax=1, aspect="equal")
    own.set_facecolor("white")
    _hatch(own, (C < 0) & (C >= -0.5), "///", "0.35")
    _hatch(own, C < -0.5, "///", "white")
    _hatch(own, np.isnan(C), "xx", "0.35")
    if number <= _MAX_NUMBERED:
        _write_numbers(own, C)
    shown = thinned(number, _MAX_NAMED)
    names = [shortened(found.names[k], 14) for k in shown]
    own.set_xticks(shown, names, rotation=90, fontsize=TEXT)
    own.set_yticks(shown, names, fontsize=TEXT)
    literal_ticks([*own.get_xticklabels(), *own.get_yticklabels()])
    bar = figure_of(own).colorbar(image, ax=own, shrink=0.8)
    bar.set_label("|correlation|; hatched where negative", fontsize=10)
    bar.ax.tick_params(labelsize=TEXT)
    return own


def _hatch(axes: Axes, cells: np.ndarray, hatch: str, colour: str) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    corners = [(j - 0.5, i - 0.5) for i, j in np.argwhere(cells)]
    squares = [Rectangle(corner, 1, 1) for corner in corners]
    look: dict[str, Any] = {"facecolor": "none", "edgecolor": colour, "linewidth": 0}
    axes.add_collection(PatchCollection(squares, hatch=hatch, **look))


def _write_numbers(axes: Axes, C: np.ndarray) -> None:
    for (i, j), value in np.ndenumerate(C):
        if np.isnan(value):
            continue
        text = f"{value:.2f}".replace("-", MINUS)
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "linewidth": 0}
        look: dict[str, Any] = {"color": INK, "fontsize": TEXT, "bbox": box}
        axes.text(j, i, text, ha="center", va="center", **look)
