"""Shows the progress of a fit on a terminal or in a notebook."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Display

from eigenfit.results import Progress


@contextlib.contextmanager
def fit_progress(
    console: Console, after: float = 1.0
) -> Iterator[Callable[[Progress], None]]:
    """Shows the progress of a fit once it has run for a while.

    Args:
        console: Console to show it on; nothing is shown unless it is a terminal or
            a notebook.
        after: Seconds before it appears.

    Yields:
        The callback for `Solver.fit`. There is one even if nothing is shown: its calls
        let Ctrl-C through, which otherwise waits for the end of the fit.
    """
    if not (console.is_terminal or console.is_jupyter):
        yield lambda _: None
        return
    display = Display(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = display.add_task("compiling", total=None)

    def update(now: Progress) -> None:
        running = f"{now.num_running} of {now.num_members} running"
        what = running if now.num_members > 1 else "fitting"
        if now.num_running:
            what += f", loss {now.worst_loss:.1e}"
        display.update(task, completed=now.step, total=now.max_steps, description=what)

    # By a timer, not by the first callback: compiling may be what takes the time.
    timer = threading.Timer(after, display.start)
    timer.start()
    try:
        yield update
    finally:
        timer.cancel()
        timer.join()
        display.stop()
