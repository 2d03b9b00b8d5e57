"""The progress bar of a run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from eigenfit_serving.batch.answers.output import SUCCESSES, named_counts

SECONDS = 60.0
"""Interval between lines where there is no terminal, in seconds."""


@contextlib.contextmanager
def shown(
    console: Console, total: int, before: int
) -> Iterator[Callable[[list[int], float], None]]:
    """Shows the rows done, their rate, the time left and the number of failures.

    That is a bar on a terminal, else a line now and then; `total` are the rows of the
    input, `before` those done by earlier runs. What is yielded is called with the rows
    by code, including earlier runs, and the rows per second.
    """
    if not console.is_terminal:
        last = time.monotonic()

        def say(counts: list[int], rate: float) -> None:
            nonlocal last
            if time.monotonic() - last >= SECONDS:
                last = time.monotonic()
                line = f"{sum(counts):,} of {total:,} rows, {rate:,.0f} rows/s, "
                line += _told(counts)
                console.print(line, highlight=False, soft_wrap=True)

        yield say
        return
    bar = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("starting workers", total=total, completed=before, rate=0.0)
        yield lambda counts, rate: bar.update(
            task, completed=sum(counts), description=_told(counts), rate=rate
        )


def _told(counts: list[int]) -> str:
    named = named_counts(counts)
    good = {name: named.get(name, 0) for name in SUCCESSES}
    told = [f"{n:,} {name}" for name, n in good.items() if n or name == "converged"]
    return ", ".join([*told, f"{sum(counts) - sum(good.values()):,} failed"])
