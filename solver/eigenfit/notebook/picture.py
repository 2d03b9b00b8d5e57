"""A picture that is drawn again at every move: targets, values, differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eigenfit.plots.canvas import BLUE, GREY, INK, new_figure, png_of

_MOST_NAMES = 24


class Picture:
    """Draws values beside their targets, and the differences below.

    Args:
        names: Names of the m values.
        targets: `[m]`.
    """

    def __init__(self, names: Sequence[str], targets: np.ndarray) -> None:
        self._targets = targets
        self._figure = new_figure(4.2)
        self._figure.set_dpi(80)
        top, below = self._figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        place = np.arange(len(targets))
        top.plot(place, targets, "_", color=INK, ms=14, mew=2, label="target")
        (self._dots,) = top.plot(place, targets, "o", color=BLUE, ms=5, label="now")
        top.legend(loc="upper left", fontsize=9)
        below.axhline(0, color=GREY, lw=0.8)
        (self._ends,) = below.plot(place, 0 * targets, "o", color=BLUE, ms=4)
        self._bars = below.vlines(place, 0, 0 * targets, color=BLUE, lw=1.5)
        below.set_ylabel("now - target", fontsize=9)
        if len(names) <= _MOST_NAMES:
            below.set_xticks(place, names, rotation=90 if len(names) > 8 else 0)
        self._top, self._below, self._place = top, below, place
        # Places are found once: that takes as long as drawing.
        self._figure.draw_without_rendering()
        self._figure.set_layout_engine("none")

    def drawn(self, values: np.ndarray) -> bytes:
        """Draws values `[m]`; returns a picture in PNG."""
        difference = values - self._targets
        self._dots.set_ydata(values)
        self._ends.set_ydata(difference)
        ends = np.stack([np.zeros_like(difference), difference], axis=1)
        places = np.repeat(self._place[:, np.newaxis], 2, axis=1)
        self._bars.set_segments(list(np.stack([places, ends], axis=2)))
        for axes in (self._top, self._below):
            axes.relim()
            axes.autoscale_view()
        return png_of(self._figure, compress_level=1)
