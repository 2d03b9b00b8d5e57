"""The progress bar of a run."""

from __future__ import annotations

import contextlib
import time
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

from eigenfit_serving.batch.output import SUCCESSES, named_counts

if TYPE_CHECKING:
    from rich.console import Console


SECONDS = 60.0
"""Between lines where there is no terminal."""


class Bar:
    """Shows rows, their rate, the time that is left and how many failed.

    Args:
        total: Rows of the input.
        before: Rows that an earlier run has done.
        display: The bar; None where there is no terminal.
        console: For lines now and then in place of a bar; None for none.
    """

    def __init__(
        self,
        total: int,
        before: int,
        display: Progress | None,
        console: Console | None = None,
    ) -> None:
        self._display, self._console = display, console
        self._total, self._shown = total, time.monotonic()
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
        named = named_counts(counts)
        good = {name: named.get(name, 0) for name in SUCCESSES}
        shown = [
            f"{n:,} {name}" for name, n in good.items() if n or name == "converged"
        ]
        text = ", ".join([*shown, f"{sum(counts) - sum(good.values()):,} failed"])
        if self._console and time.monotonic() - self._shown >= SECONDS:
            self._shown = time.monotonic()
            line = f"{done:,} of {self._total:,} rows, {rate:,.0f} rows/s, {text}"
            self._console.print(line, highlight=False, soft_wrap=True)
        if self._display:
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
        console: Where; unless it is a terminal, lines are shown now and then.
        total: Rows of the input.
        before: Rows that an earlier run has done.
    """
    if console is None or not console.is_terminal:
        yield Bar(total, before, None, console)
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
