"""Processes of this machine, each in a pool of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType


class Process:
    """A process that runs one call after the other.

    It ends when this process does, even if killed, and ignores Ctrl-C. It does not run
    the user's script again, and finds no modules in the current folder. What it prints
    goes to a log; the environment is added to that of this process.

    Attributes:
        submit: Calls a function there; see `concurrent.futures.Executor.submit`.
    """

    def __init__(self, log: Path, environment: dict[str, str]) -> None:
        self._log = log
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, _prepare, (log,))
        self.submit = self._pool.submit
        others = set(multiprocessing.active_children())
        with _spawning(environment):
            self.submit(int)  # The pool begins its process when it is first used.
        (self._process,) = set(multiprocessing.active_children()) - others

    def kill(self) -> str:
        """Kills the process; returns its last line of output, or else its exit code."""
        self._process.kill()
        self._pool.shutdown(cancel_futures=True)
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        lines = text.strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.exitcode}"


def quiet_environment(threads: int, gpu: int | None = None) -> dict[str, str]:
    """Makes the environment of a process that runs TensorFlow.

    Linear algebra libraries get a number of threads. The only GPU that is seen is that
    of an index; None for none.
    """
    return {**os.environ, **quiet_variables(threads, gpu), "PYTHONPATH": module_path()}


def quiet_variables(threads: int, gpu: int | None = None) -> dict[str, str]:
    """Returns the variables in such an environment that concern TensorFlow."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "-1" if gpu is None else str(gpu),
    }


def module_path() -> str:
    """Returns a PYTHONPATH with which workers find the same modules as this process."""
    return os.pathsep.join(x for x in sys.path if x)


@contextlib.contextmanager
def _spawning(environment: dict[str, str]) -> Iterator[None]:
    # Environment, main module and signals that a process started meanwhile inherits.
    before, main = dict(os.environ), sys.modules["__main__"]
    if sys.platform != "win32":
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        sys.modules["__main__"] = ModuleType("__main__")
        os.environ.update(environment, PYTHONSAFEPATH="1")
        yield
    finally:
        sys.modules["__main__"] = main
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _prepare(log: Path) -> None:
    # What libraries print must not mix with the driver's output.
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    threading.Thread(target=_outlive_no_driver, daemon=True).start()


def _outlive_no_driver() -> None:
    if driver := multiprocessing.parent_process():
        driver.join()
        os._exit(0)
