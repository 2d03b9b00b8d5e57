"""Progress on a terminal, and quiet around TensorFlow's start."""

from __future__ import annotations

import contextlib
import os
import tempfile
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

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def fit_progress(
    console: Console, after: float = 1.0
) -> Iterator[Callable[[ef.Progress], None]]:
    """Shows the progress of a fit, once it has taken a while.

    Args:
        console: Where to show it. Unless it is a terminal, nothing is shown.
        after: Seconds before it appears.

    Yields:
        The callback for `Solver.fit`. There is one even if nothing is shown: between
        its calls Ctrl-C is heard, which otherwise waits for the end of the fit.
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
    """Holds back what TensorFlow's libraries log while they are being loaded.

    TF_CPP_MIN_LOG_LEVEL governs them once they are loaded, but not before, when they
    write to file descriptor 2 whatever it says. If the import fails, all they wrote is
    shown. A level set by the user means that the messages are wanted: nothing is held
    back.
    """
    if _LEVEL in os.environ:
        yield
        return
    os.environ[_LEVEL] = "3"
    try:
        saved = os.dup(2)
    except OSError:  # stderr is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
