"""How results of this room are printed, on a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eigenfit.reports import html
from eigenfit.reports.sections import Section
from eigenfit.reports.text import plain, print_section


class Shown:
    """Prints a section, with a remark below it."""

    def section(self) -> Section:
        """Returns the table that is shown."""
        raise NotImplementedError

    @property
    def remark(self) -> str:
        """A sentence below the table; empty for none."""
        return ""

    def __str__(self) -> str:
        text = plain(lambda console: print_section(console, self.section())).strip()
        return "\n\n".join(filter(None, [text, self.remark]))

    def _repr_html_(self) -> str:
        return html.listing(self.section(), self.remark)


def limits_by_share(levels: np.ndarray, limits: np.ndarray) -> Mapping[str, float]:
    """Names the rises at which regions end by the shares that these hold, `[L]`."""
    return {
        f"{100 * level:.4g} %": float(limit)
        for level, limit in zip(levels, limits, strict=True)
    }
