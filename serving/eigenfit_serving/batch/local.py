"""The engine of one machine: processes, each with the models loaded once."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import Any

from eigenfit_serving.batch.engines import EngineError, Event
from eigenfit_serving.batch.model import quiet_environment
from eigenfit_serving.batch.output import CODE_NAMES
from eigenfit_serving.batch.parts import Part, Pending
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.worker import Worker, load_kernel
from eigenfit_serving.batch.writing import read_counts

_FAILURES = 5
"""Starts in sequence that may fail, once a worker has become ready; else 2."""
_LOOK = 0.5
"""Seconds after which progress is told."""


class LocalEngine:
    """Has parts done by processes of this machine.

    Each has a pool of its own, so that one that dies costs its part and no other's; it
    is replaced.

    Args:
        workers: Number of processes.
        gpus: Number of GPUs, which they share in turn; 0 for none.
        cores: Of each worker.
    """

    name = "local"

    def __init__(self, workers: int, gpus: int = 0, cores: int = 1) -> None:
        self.workers, self.cores = workers, cores
        self._gpus = gpus

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Has all parts done; see `Engine.run`."""
        with tempfile.TemporaryDirectory() as logs:
            processes = [
                _Process(
                    job,
                    f"{platform.node()}/{k}",
                    str(k % self._gpus) if self._gpus else None,
                    Path(logs, str(k)),
                )
                for k in range(min(self.workers, len(pending.waiting)))
            ]
            try:
                yield from self._run(processes, pending)
            finally:
                for process in processes:
                    process.kill()

    def _run(
        self, processes: Sequence[_Process], pending: Pending
    ) -> Generator[Event, None, None]:
        failures, limit = 0, 2
        while True:
            for process in processes:
                if pending.waiting and process.future is None:
                    process.begin(pending)
            busy = {x.future: x for x in processes if x.future is not None}
            if not busy:
                return
            ended, _ = wait(busy, _LOOK, FIRST_COMPLETED)
            for process in (busy[future] for future in ended):
                event = process.end(pending)
                if event is not None:
                    failures, limit = 0, _FAILURES
                    yield event
                elif (failures := failures + 1) >= limit:
                    raise EngineError(process.last_words())
            counts = zip(*(x.counts for x in processes), strict=True)
            yield Event(counts=[sum(x) for x in counts])


class _Process:
    # A worker and those that take its place, one after the other.

    def __init__(self, job: Job, name: str, gpu: str | None, log: Path) -> None:
        self._job, self._name, self._gpu, self._log = job, name, gpu, log
        self._pool: ProcessPoolExecutor | None = None
        self._part: Part | None = None
        self.future: Future[Any] | None = None
        self.counts: Any = multiprocessing.RawArray("q", len(CODE_NAMES))

    def begin(self, pending: Pending) -> None:
        # The next part, or a new process, which takes none until it is ready.
        if self._pool is not None:
            try:
                self.future = self._pool.submit(_work, pending.waiting[0])
                self._part = pending.waiting.popleft()
                return
            except BrokenProcessPool:  # It died while it had nothing to do.
                self.kill()
        context = multiprocessing.get_context("spawn")
        own = (self._log, self.counts)
        self._pool = ProcessPoolExecutor(1, context, _prepare, own)
        others = set(multiprocessing.active_children())
        with _spawning(quiet_environment(self._job.threads, self._gpu)):
            self.future = self._pool.submit(_load, self._job, self._name, load_kernel)
        (self._process,) = set(multiprocessing.active_children()) - others

    def end(self, pending: Pending) -> Event | None:
        # What it did; None if it died before it was ready.
        assert self.future is not None
        future, part = self.future, self._part
        self.future = self._part = None
        self.counts[:] = [0] * len(self.counts)
        try:
            counts = future.result()
        except BrokenProcessPool:
            self.kill()
            if part is None:
                return None
            counts = read_counts(Path(self._job.parts, part.name))
            if not counts:
                pending.lost(part)
                return Event()
        return Event(part, counts) if part else Event(ready=True)

    def kill(self) -> None:
        if self._pool is not None:
            self._process.kill()
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def last_words(self) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        lines = text.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {self._process.exitcode}"
        return f"Workers end before they are ready: {reason}"


@contextlib.contextmanager
def _spawning(environment: dict[str, str]) -> Iterator[None]:
    # What a process gets that is begun meanwhile: an environment; no script of the
    # user, which it would run again; no modules of the current folder; and no Ctrl-C,
    # which is for the driver.
    before, main = dict(os.environ), sys.modules["__main__"]
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
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_here: dict[str, Any] = {}
"""Of a worker's process: its counts, and what works."""


def _prepare(log: Path, counts: Any) -> None:
    # What libraries print must not get among the lines of the driver.
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    _here["counts"] = counts
    threading.Thread(target=_outlive_no_driver, daemon=True).start()


def _outlive_no_driver() -> None:
    if driver := multiprocessing.parent_process():
        driver.join()
        os._exit(0)


def _load(job: Job, name: str, load: Callable[[Job, str], Any]) -> None:
    _here["worker"] = Worker(job, name, load, _tell)


def _tell(counts: Any) -> None:
    _here["counts"][:] = counts.tolist()


def _work(part: Part) -> list[int]:
    return _here["worker"].work(part)
