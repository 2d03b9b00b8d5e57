"""The picture of a run of `eigenfit gallery`; needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    import eigenfit as ef
    from eigenfit.gallery import GalleryProblem


def draw(entry: GalleryProblem, solution: ef.Solution, path: Path) -> Figure:
    """Draws the course of a fit of an entry.

    Shows levels against the step if levels of a single matrix are observed; otherwise
    the residual of each target at the start and at the end, above the loss.

    Args:
        entry: Entry of the gallery.
        solution: One member's result of `Solver.fit` with `record_every`.
        path: File to write; its suffix sets the format.

    Returns:
        The figure.
    """
    from eigenfit.plots import plot_convergence

    observation = entry.problem.observation
    if observation is not None:
        return plot_convergence(
            solution,
            entry.targets,
            indices=observation.indices,
            tolerance=None if _is_minimum(solution) else entry.tolerance,
            title=entry.title,
            path=path,
        )
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, height_ratios=[3, 2])
    figure.suptitle(entry.title, parse_math=False)
    _draw_misses(upper, entry, solution)
    _draw_loss(lower, entry, solution)
    for axes in (upper, lower):
        axes.grid(alpha=0.25)
    figure.savefig(path)
    return figure


def _draw_misses(axes: Axes, entry: GalleryProblem, solution: ef.Solution) -> None:
    points = (("start", entry.initial), ("found", solution.parameters))
    misses = {
        label: np.abs(entry.problem.residual(r, entry.targets))[: len(entry.targets)]
        for label, r in points
    }
    # A target met to the last digit is drawn below all others.
    positive = np.concatenate(list(misses.values()))
    positive = positive[positive > 0]
    floor = positive.min() / 3 if positive.size else 1e-16
    number = np.arange(len(entry.targets))
    for (label, miss), colour, filled in zip(
        misses.items(), ("tab:grey", "tab:blue"), ("none", "full"), strict=True
    ):
        axes.plot(
            number,
            np.maximum(miss, floor),
            linestyle="none",
            marker="o",
            markersize=5,
            fillstyle=filled,
            color=colour,
            label=label,
        )
    axes.set_yscale("log")
    axes.set_xlabel("target")
    weighted = not np.all(entry.problem.roots() == 1)
    unit = ", in standard deviations" if weighted else ""
    axes.set_ylabel(f"|calculated - target|{unit}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)


def _is_minimum(solution: ef.Solution) -> bool:
    from eigenfit import Result

    return int(solution.result) == Result.minimum


def _draw_loss(axes: Axes, entry: GalleryProblem, solution: ef.Solution) -> None:
    from matplotlib.ticker import MaxNLocator

    if solution.history is None:
        raise ValueError("`solution` has no history. Fit with `record_every=1`.")
    loss = np.asarray(solution.history.loss)
    positive = loss[loss > 0]
    if not _is_minimum(solution):
        positive = np.append(positive, entry.tolerance)
        axes.axhline(entry.tolerance, color="black", linestyle="--", linewidth=0.9)
        axes.annotate("tolerance", (0, entry.tolerance), fontsize="small", va="bottom")
    floor = positive.min(initial=np.inf) / 10
    axes.plot(solution.history.steps, np.maximum(loss, floor), marker=".")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
