"""Shows progress on a terminal, and silences TensorFlow's import."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    import eigenfit as ef


@contextlib.contextmanager
def fit_progress(
    console: Console, after: float = 1.0
) -> Iterator[Callable[[ef.Progress], None]]:
    """Shows the progress of a fit once it has run for a while.

    Args:
        console: Console to show it on; nothing is shown unless it is a terminal.
        after: Seconds before it appears.

    Yields:
        The callback for `Solver.fit`. There is one even if nothing is shown: its calls
        let Ctrl-C through, which otherwise waits for the end of the fit.
    """
    if not console.is_terminal:
        yield lambda _: None
        return
    display = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = display.add_task("compiling", total=None)

    def update(now: ef.Progress) -> None:
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


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Holds back what libraries log while the solver is imported in this context.

    TensorFlow's later log is left out too, unless the user has set a level by
    TF_CPP_MIN_LOG_LEVEL; see `eigenfit.quiet`. If the import fails, all that was
    written is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from eigenfit.quiet import held_back

    with held_back():
        yield
