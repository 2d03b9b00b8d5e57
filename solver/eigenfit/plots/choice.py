"""Which picture suits what was observed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit.plots.bands import KINDS, plot_bands
from eigenfit.plots.canvas import figure_of
from eigenfit.plots.correlations import plot_correlations
from eigenfit.plots.differences import plot_differences
from eigenfit.plots.levels import plot_levels
from eigenfit.plots.modes import plot_modes
from eigenfit.plots.sticks import plot_sticks
from eigenfit.plots.values import LEVELS
from eigenfit.reports.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES: dict[str, Callable[..., Any]] = {
    "sticks": plot_sticks,
    "bands": plot_bands,
    "modes": plot_modes,
    "levels": plot_levels,
    "differences": plot_differences,
    "correlations": plot_correlations,
}
"""The pictures of one fit by their names."""

_MAX_DIAGRAMS = 4  # level diagrams that fit beside each other


def chosen(record: Record) -> str:
    """Names the picture that suits what was observed, one of `PICTURES`.

    - "modes": frequencies of vibration or mode shapes;
    - "levels": levels of one matrix, or of a few that are not alike;
    - "bands": levels or differences of levels of several matrices of one order;
    - "sticks": everything else that has a common axis, such as lines of a spectrum;
    - "differences": numbers of different quantities, which have none.

    Args:
        record: One fit, from `Fit.record`.

    Example:
        >>> import eigenfit as ef
        >>> fit = ef.Solver(ef.Problem(ef.Symmetric(2))).fit(np.ones(3), [1.0, 2.0])
        >>> chosen(fit.record())
        'levels'
    """
    asked = record.question
    kinds = set(asked.kinds)
    blocks = asked.places[:, 0]
    of_blocks = bool((blocks >= 0).all())
    if kinds & {"shapes", "MAC"} or kinds == {"frequencies"}:
        return "modes"
    if "other" in kinds or "frequencies" in kinds:
        return "sticks" if len(kinds) == 1 else "differences"
    if of_blocks and len(asked.labels) == 1:
        return "levels" if kinds <= set(LEVELS) else "sticks"
    alike = len(set(asked.orders)) == 1 and len(set(blocks.tolist())) > 1
    if of_blocks and alike and kinds <= set(KINDS):
        return "bands"
    few = len(asked.labels) <= _MAX_DIAGRAMS
    if of_blocks and few and kinds <= set(LEVELS):
        return "levels"
    return "sticks"


def picture_of(
    record: Record, axes: Any = None, *, kind: str | None = None, **options: Any
) -> Figure:
    """Draws the picture that suits what was observed.

    Args:
        record: One fit, from `Fit.record`.
        axes: Axes of matplotlib, as the picture takes them; new ones by default.
        kind: Name of the picture, one of `PICTURES`; by default `chosen` decides.
        **options: What the function of the picture takes, such as `title` and
            `quantity`; what it does not know is left out. By default the quantity is
            what was observed, with its unit if that is known.

    Returns:
        A figure of matplotlib, 800 pixels wide. It has no window: `figure.savefig`
        writes it, and a notebook shows it.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is no such picture, or it cannot show this fit.

    Example:
        >>> import eigenfit as ef
        >>> fit = ef.Solver(ef.Problem(ef.Symmetric(2))).fit(np.ones(3), [1.0, 2.0])
        >>> figure = picture_of(fit.record(), quantity="energy / eV")
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['energy / eV', '']
    """
    kind = chosen(record) if kind is None else kind
    if kind not in PICTURES:
        raise ValueError(
            f"`kind` must be one of {', '.join(map(repr, PICTURES))}, got {kind!r}."
        )
    draw = PICTURES[kind]
    known = inspect.signature(draw).parameters
    _check(options)
    options = {"quantity": _quantity(record), **options}
    own = {key: value for key, value in options.items() if key in known}
    drawn = draw(record, axes, **own)
    return figure_of(np.ravel(np.asarray(drawn, object))[0])


def _check(options: dict[str, Any]) -> None:
    known: set[str] = set().union(
        *(inspect.signature(draw).parameters for draw in PICTURES.values())
    )
    for name in options:
        if name not in known:
            raise TypeError(f"No picture takes the option {name!r}.")


_QUANTITIES = {"levels": "level", "relative": "level", "frequencies": "frequency"}


def _quantity(record: Record) -> str:
    asked = record.question
    found = [
        (kind, unit)
        for kind, unit in zip(asked.kinds, asked.units, strict=False)
        if unit
    ]
    if len(set(found)) == 1:
        kind, unit = found[0]
        return f"{_QUANTITIES.get(kind, 'observed value')} / {unit}"
    if "frequencies" in asked.kinds:
        return "frequency"
    return "level" if "levels" in asked.kinds and len(asked.kinds) > 1 else ""
