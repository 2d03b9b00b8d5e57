"""The progress bar of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console


class Bar:
    """Shows rows, their rate, the time that is left and how many failed.

    Args:
        total: Rows of the input.
        before: Rows that an earlier run has done.
        display: Where to show it; None to show nothing.
    """

    def __init__(self, total: int, before: int, display: Progress | None) -> None:
        self._display = display
        self._converged = self._failed = 0
        if display:
            self._task = display.add_task(
                "starting workers", total=total, completed=before, rate=0.0
            )

    def update(self, done: int, counts: list[int], rate: float) -> None:
        """Shows how far the run is.

        Args:
            done: Rows that are solved, those of earlier runs included.
            counts: Rows by code.
            rate: Rows a second.
        """
        if self._display:
            failed = sum(counts) - counts[0]
            text = f"{counts[0]:,} converged, {failed:,} failed"
            self._display.update(
                self._task, completed=done, description=text, rate=rate
            )


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.fields['rate']:,.0f} rows/s")


@contextlib.contextmanager
def shown(console: Console | None, total: int, before: int) -> Iterator[Bar]:
    """Shows a bar for a while.

    Args:
        console: Where; unless it is a terminal, nothing is shown.
        total: Rows of the input.
        before: Rows that an earlier run has done.
    """
    if console is None or not console.is_terminal:
        yield Bar(total, before, None)
        return
    display = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )
    with display:
        yield Bar(total, before, display)
