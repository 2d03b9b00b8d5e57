"""Levels and loss against the step."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.plots.canvas import TEXT, legend_above, new_figure
from eigenfit.results import SUCCESSES, Result, Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_LEVEL_LABELS = 8  # more levels get a colour bar
_MAX_START_LABELS = 4  # more starts share one legend entry
_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


def plot_convergence(
    solution: Solution,
    targets: Any,
    *,
    indices: Any = None,
    tolerance: float | None = None,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Plots eigenvalues and loss against the step.

    Each level has a colour and each start a line style (with more than four starts,
    fainter lines instead). The start with the smallest loss is drawn on top. A line
    ends where its start stopped, with a dot for a success and a cross otherwise.

    Args:
        solution: Solution of `Solver.fit` with `record_every`; its batch `[...]` holds
            the starts.
        targets: `[..., m]`, drawn as dashed lines.
        indices: Levels the targets belong to, as in `Levels`; all by default.
        tolerance: Loss drawn as a line in the lower plot; none by default.
        path: File to write; its suffix sets the format (.png, .svg, .pdf).
        title: Title above the plots.

    Returns:
        A matplotlib Figure, 800 by 700 pixels, with two axes. It has no window:
        `figure.savefig` writes it, and a notebook shows it.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the solution has no history or the targets do not fit.

    Example:
        >>> import eigenfit as ef
        >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
        >>> solution = solver.fit([0.1, 0.2, 0.3], [1.0, 2.0], record_every=1)
        >>> [axes.get_ylabel() for axes in plot_convergence(solution, [1.0, 2.0]).axes]
        ['eigenvalue', 'loss']
    """
    fit = _Fit(solution, targets, indices)

    figure = new_figure(7, title or "")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    _draw_levels(figure, upper, fit)
    _draw_targets(upper, fit)
    _draw_loss(lower, fit, tolerance)
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
        last = max(1, int(fit.num_steps.max()))
        axes.set_xlim(-0.01 * last, 1.01 * last)
    if path is not None:
        figure.savefig(path)
    return figure


class _Fit:
    """History and targets as flat NumPy arrays, one row for each start."""

    def __init__(self, solution: Solution, targets: Any, indices: Any) -> None:
        if solution.history is None:
            raise ValueError(
                "`solution` has no history. Fit with `record_every=1` to have one."
            )
        history = solution.history
        self.steps = np.asarray(history.steps)  # [h]
        eigenvalues = np.asarray(history.eigenvalues)
        h, n = eigenvalues.shape[-2:]
        self.eigenvalues = eigenvalues.reshape(-1, h, n)  # [s, h, n]
        self.loss = np.asarray(history.loss).reshape(-1, h)  # [s, h]
        self.num_steps = np.asarray(solution.num_steps).reshape(-1)  # [s]
        self.result = np.asarray(solution.result).reshape(-1)  # [s]
        if not self.result.size:
            raise ValueError("`solution` is an empty batch: there is nothing to draw.")
        final = np.asarray(solution.loss, np.float64).reshape(-1)
        self.best = int(np.argmin(np.where(np.isnan(final), np.inf, final)))
        self.levels = np.arange(n) if indices is None else np.asarray(indices) % n
        self.targets = np.asarray(targets, np.float64)  # [..., m]
        if self.targets.shape[-1:] != self.levels.shape:
            raise ValueError(
                f"`targets` must have shape [..., {len(self.levels)}], got "
                f"{list(self.targets.shape)}. Give `indices` if only some levels have "
                f"targets."
            )

    @property
    def num_levels(self) -> int:
        return self.eigenvalues.shape[-1]

    @property
    def num_starts(self) -> int:
        return len(self.result)

    def order_of_drawing(self) -> list[int]:
        """All starts, the best one last."""
        return [s for s in range(self.num_starts) if s != self.best] + [self.best]

    def line(self, start: int, y: np.ndarray) -> np.ndarray:
        """Points `[*, 2]` of a line through `y` `[h]`, up to where a start ended."""
        last = int(np.searchsorted(self.steps, self.num_steps[start]))
        x = np.minimum(self.steps[: last + 1], self.num_steps[start])
        return np.column_stack([x, y[: last + 1]])

    def look(self, start: int) -> dict[str, Any]:
        """Style, width and opacity of the lines of a start."""
        if start == self.best:
            return {"linestyle": "-", "linewidth": 1.8, "alpha": 1.0}
        style: Any = "-"
        if self.num_starts <= _MAX_START_LABELS:
            # The best start has the solid line; the others take the rest in order.
            style = _STYLES[start + 1 if start < self.best else start]
        alpha = float(np.clip(6 / self.num_starts, 0.05, 0.8))
        return {"linestyle": style, "linewidth": 1.1, "alpha": alpha}


def _draw_levels(figure: Figure, axes: Axes, fit: _Fit) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize
    from matplotlib.lines import Line2D

    few = fit.num_levels <= _MAX_LEVEL_LABELS
    if few:
        colours = colormaps["tab10"](np.arange(fit.num_levels))
    else:
        # The pale end of the map is left out.
        colours = colormaps["viridis"](np.linspace(0, 0.92, fit.num_levels))
    for level, colour in enumerate(colours):
        _draw_lines(axes, fit, fit.eigenvalues[..., level], colour)
    axes.set_ylabel("eigenvalue")
    if few:
        handles = [Line2D([], [], color=colour) for colour in colours]
        labels = [f"level {level}" for level in range(fit.num_levels)]
        columns = len(labels) if len(labels) < 6 else 4
        legend_above(axes, columns, (handles, labels))
    else:
        colour_bar = figure.colorbar(
            ScalarMappable(Normalize(0, len(colours) - 1), ListedColormap(colours)),
            ax=figure.axes,
            label="level",
            aspect=40,
            pad=0.02,
        )
        ticks = np.linspace(0, len(colours) - 1, 6).round().astype(int)
        colour_bar.set_ticks(np.unique(ticks).tolist())


def _draw_targets(axes: Axes, fit: _Fit) -> None:
    values = np.unique(fit.targets[np.isfinite(fit.targets)])
    alpha = 1.0 if len(values) <= _MAX_LEVEL_LABELS else 0.35
    look: dict[str, Any] = {"linestyle": "--", "linewidth": 0.9, "alpha": alpha}
    for value in values:
        axes.axhline(value, color="black", zorder=4, **look)
    low, high = axes.get_ylim()
    # Labels that would overlap become one.
    groups = np.split(values, np.flatnonzero(np.diff(values) > 0.05 * (high - low)) + 1)
    for group in groups:
        if not group.size:
            continue
        text = "target " + ", ".join(f"{value:.4g}" for value in group)
        if len(group) > 3:
            text = f"{len(group)} targets,\n{group[0]:.4g} to {group[-1]:.4g}"
        _label_right(axes, float(group.mean()), text)


def _draw_loss(axes: Axes, fit: _Fit, tolerance: float | None) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    positive = fit.loss[np.isfinite(fit.loss) & (fit.loss > 0)]
    # A loss of exactly zero has no place on a logarithmic axis: it is drawn below all
    # others.
    if tolerance is not None:
        positive = np.append(positive, tolerance)
    smallest = float(positive.min()) if positive.size else 1.0
    axes.set_yscale("log")
    _draw_lines(axes, fit, np.maximum(fit.loss, smallest / 10), "tab:blue")
    axes.set_ylabel("loss")
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if tolerance is not None:
        axes.axhline(tolerance, color="black", linestyle="--", linewidth=0.9)
        _label_right(axes, tolerance, f"tolerance\n{tolerance:.3g}")
    if fit.num_starts > 1:
        few = fit.num_starts <= _MAX_START_LABELS
        shown = range(fit.num_starts) if few else [fit.best, (fit.best + 1) % 2]
        handles = [Line2D([], [], color="tab:blue", **fit.look(s)) for s in shown]
        labels = [_describe(fit, s) for s in shown]
        if not few:
            labels[1] = f"the other {fit.num_starts - 1} starts"
            handles[1].set_alpha(0.4)
        legend_above(axes, 2, (handles, labels))


def _describe(fit: _Fit, start: int) -> str:
    best = " (best)" if start == fit.best else ""
    try:
        result = Result(int(fit.result[start])).name
    except ValueError:
        result = "unknown"
    return f"start {start}{best}: {result} after {fit.num_steps[start]}"


def _draw_lines(axes: Axes, fit: _Fit, y: np.ndarray, colour: Any) -> None:
    """Draws `y` `[s, h]`, one line per start, each with a mark where it ended."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    order = fit.order_of_drawing()
    lines = [fit.line(start, y[start]) for start in order]
    looks = [fit.look(start) for start in order]
    rgba = [to_rgba(colour, look["alpha"]) for look in looks]
    axes.add_collection(
        LineCollection(
            lines,
            colors=rgba,
            linestyles=[look["linestyle"] for look in looks],
            linewidths=[look["linewidth"] for look in looks],
            zorder=3,
        )
    )
    ends = np.array([line[-1] for line in lines])
    success = np.isin(fit.result[order], SUCCESSES)
    for chosen, marker, size in ((success, "o", 14), (~success, "X", 36)):
        if chosen.any():
            axes.scatter(
                *ends[chosen].T,
                c=[c for c, keep in zip(rgba, chosen, strict=True) if keep],
                marker=marker,
                s=size,
                linewidths=0,
                zorder=5,
                clip_on=False,
            )
    axes.autoscale_view()


def _label_right(axes: Axes, y: float, text: str) -> None:
    axes.annotate(
        text,
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        verticalalignment="center",
        fontsize=TEXT,
        annotation_clip=False,
    )
