"""How chi-square rises when parameters are held beside their best values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eigenfit.plots.canvas import (
    BLUE,
    GREY,
    INK,
    TEXT,
    as_axes,
    label_axes,
    legend_above,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES: tuple[Any, ...] = ("--", ":", "-.", (0, (8, 2)))


class Curve(NamedTuple):
    """Chi-square, less its minimum, against one parameter.

    Attributes:
        name: Name of the parameter, with its unit.
        x: `[k]`, values at which it was held, in any order.
        rise: `[k]`, chi-square or F there, less the minimum; NaN where a fit failed.
        value: Best value; None if it is not drawn.
        interval: Ends of the confidence interval; None or infinite for an open end.
    """

    name: str
    x: Any
    rise: Any
    value: float | None = None
    interval: tuple[float | None, float | None] = (None, None)


def plot_profiles(
    curves: Curve | Sequence[Curve],
    axes: Any = None,
    *,
    levels: Mapping[str, float] | Sequence[float] = (),
    rise: str = "rise of chi-square",
    title: str = "",
) -> np.ndarray:
    """Draws how chi-square rises with each of some parameters.

    Args:
        curves: One curve, or several.
        axes: As many axes of matplotlib; new ones by default.
        levels: Rises that confidence intervals end at, drawn as lines, by what is
            written beside them, such as `{"68 %": 1.0, "95 %": 3.84}`.
        rise: What rises, such as "F".
        title: Title above a new figure.

    Returns:
        The axes, `[k]` for k curves.

    Raises:
        ValueError: If there is no curve, or arrays do not fit.

    Example:
        >>> x = np.linspace(0.0, 4.0, 9)
        >>> curve = Curve("k / (N/m)", x, (x - 2.0) ** 2, 2.0, (1.0, 3.0))
        >>> (axes,) = plot_profiles(curve, levels={"68 %": 1.0})
        >>> axes.get_xlabel()
        'k / (N/m)'
    """
    several = [curves] if isinstance(curves, Curve) else list(curves)
    if not several:
        raise ValueError("`curves` must hold at least one curve.")
    if axes is None:
        columns = min(len(several), 3 if len(several) != 4 else 2)
        rows = -(-len(several) // columns)
        figure = new_figure(0.6 + 3.4 * rows if rows > 1 else 4.5, title)
        grid = figure.subplots(rows, columns, squeeze=False)
        for spare in list(grid.flat)[len(several) :]:
            spare.set_axis_off()
        axes = list(grid.flat)[: len(several)]
    own = as_axes(axes, len(several))
    for curve, part in zip(several, own, strict=False):
        _draw_curve(part, curve, _named(levels))
        label_axes(part, x=curve.name, y=rise if part is own[0] else "")
        if len(several) > 1:
            part.locator_params(axis="x", nbins=3)
    return np.array(own, object)


def plot_contours(
    x: Any,
    y: Any,
    rise: Any,
    axes: Any = None,
    *,
    names: tuple[str, str] = ("", ""),
    levels: Mapping[str, float] | Sequence[float] = (2.30, 6.18),
    value: tuple[float, float] | None = None,
    title: str = "",
) -> Axes:
    """Draws lines of equal chi-square in the plane of two parameters.

    Args:
        x: `[k]`, ascending values of the first parameter; or `[l, k]`, one for each
            point, where the grid is not rectangular.
        y: `[l]`, ascending values of the second one; or `[l, k]`.
        rise: `[l, k]`, chi-square less its minimum; NaN where a fit failed.
        axes: Axes of matplotlib; new ones by default.
        names: Names of both parameters, with their units.
        levels: Rises of the lines, also by what is written for them; by default those
            of 68.3 % and 95.4 % for two parameters together.
        value: Best values, drawn as a cross.
        title: Title above a new figure.

    Returns:
        The axes.

    Raises:
        ValueError: If the shapes do not fit.

    Example:
        >>> x = np.linspace(-3.0, 3.0, 31)
        >>> rise = x**2 + (x[:, np.newaxis] - 0.5 * x) ** 2
        >>> plot_contours(x, x, rise, names=("a", "b"), value=(0, 0)).get_ylabel()
        'b'
    """
    x, y, rise = (np.asarray(array, float) for array in (x, y, rise))
    expected = y.shape + x.shape if x.ndim == 1 else x.shape
    if rise.ndim != 2 or rise.shape != expected or x.ndim != y.ndim:
        raise ValueError(
            f"`rise` must have shape {list(expected)} for `x` and `y`, got "
            f"{list(rise.shape)}."
        )
    if axes is None:
        axes = new_figure(6, title).subplots()
    (own,) = as_axes(axes, 1)
    masked = np.ma.masked_invalid(rise)
    for (label, level), style in zip(
        sorted(_named(levels).items(), key=lambda pair: pair[1]),
        ("-", *_STYLES),
        strict=False,
    ):
        own.contour(x, y, masked, [level], colors=BLUE, linestyles=[style])
        own.plot([], [], color=BLUE, linestyle=style, label=label)
    if value is not None:
        look: dict[str, Any] = {"color": INK, "markersize": 10, "label": "best"}
        own.plot(*value, "+", markeredgewidth=2, linestyle="none", **look)
    label_axes(own, *names)
    own.grid(alpha=0.25)
    legend_above(own, columns=5)
    return own


def _named(levels: Mapping[str, float] | Sequence[float]) -> dict[str, float]:
    if isinstance(levels, Mapping):
        return {str(key): float(level) for key, level in levels.items()}
    return {f"{level:.4g}": float(level) for level in levels}


def _draw_curve(axes: Axes, curve: Curve, levels: dict[str, float]) -> None:
    x, rise = np.asarray(curve.x, float), np.asarray(curve.rise, float)
    if x.shape != rise.shape or x.ndim != 1:
        raise ValueError(
            f"`x` and `rise` of a curve must have one shape [k], got "
            f"{list(x.shape)} and {list(rise.shape)}."
        )
    order = np.argsort(x, kind="stable")
    marker = "." if len(x) <= 60 else ""
    axes.plot(x[order], rise[order], color=BLUE, linewidth=1.4, marker=marker, zorder=3)
    for (label, level), style in zip(levels.items(), _STYLES, strict=False):
        axes.axhline(level, color=INK, linewidth=0.9, linestyle=style)
        axes.annotate(
            label,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-3, 2),
            textcoords="offset points",
            horizontalalignment="right",
            fontsize=TEXT,
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.8},
            zorder=2.2,  # below the curve
        )
    if curve.value is not None:
        axes.axvline(curve.value, color=GREY, linewidth=1)
    ends = [end for end in curve.interval if end is not None and np.isfinite(end)]
    for end in ends:
        axes.axvline(end, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    if len(ends) == 2:
        axes.axvspan(*ends, color="0.5", alpha=0.12, linewidth=0)
    axes.set_ylim(bottom=min(0.0, float(np.nanmin(rise, initial=0.0))))
