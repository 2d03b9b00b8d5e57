"""The engine of one machine: processes that each load the model once."""

from __future__ import annotations

import multiprocessing
import platform
import tempfile
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from eigenfit_serving.batch.answers.output import CODE_NAMES, added
from eigenfit_serving.batch.engines.interface import EngineError, Event
from eigenfit_serving.batch.engines.worker import Worker, load_kernel
from eigenfit_serving.batch.plan.parts import Part, Pending
from eigenfit_serving.batch.processes import Process, quiet_environment, shared_integers
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.tables.writing import read_counts

_FAILURES = 5
"""Failed starts in a row that end the run, once a worker has been ready; before, 2."""
_LOOK = 0.5
"""Interval between reports of progress, in seconds."""


class LocalEngine:
    """Solves parts in processes of this machine; one that dies is replaced.

    Args:
        workers: Number of processes.
        gpus: Number of GPUs, assigned to the workers in turn; 0 for none.
        cores: Cores per worker.
    """

    name = "local"

    def __init__(self, workers: int, gpus: int = 0, cores: int = 1) -> None:
        self.workers: int | None = workers
        self.cores = cores
        self._number, self._gpus = workers, gpus

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Solves all parts; see `Engine.run`."""
        with tempfile.TemporaryDirectory() as logs:
            workers = [
                _Place(job, k, k % self._gpus if self._gpus else None, Path(logs))
                for k in range(min(self._number, len(pending.waiting)))
            ]
            try:
                yield from self._run(workers, pending)
            finally:
                for worker in workers:
                    worker.clear()

    def _run(
        self, workers: Sequence[_Place], pending: Pending
    ) -> Generator[Event, None, None]:
        failures, limit = 0, 2
        while True:
            for worker in workers:
                if pending.waiting and worker.future is None:
                    worker.begin(pending)
            busy = {x.future: x for x in workers if x.future is not None}
            if not busy:
                return
            ended, _ = wait(busy, _LOOK, FIRST_COMPLETED)
            for worker in (busy[future] for future in ended):
                event = worker.end(pending)
                if event is not None:
                    failures, limit = 0, _FAILURES
                    yield event
                elif (failures := failures + 1) >= limit:
                    raise EngineError(
                        f"Workers end before they are ready: {worker.last_words}"
                    )
            yield Event(counts=added(list(x.counts) for x in workers))


class _Place:
    # The place of a worker, and of those that replace it, one after the other.

    def __init__(self, job: Job, number: int, gpu: int | None, logs: Path) -> None:
        self._job, self._name = job, f"{platform.node()}/{number}"
        self._log = logs / str(number)
        self._environment = quiet_environment(
            job.threads, None if gpu is None else str(gpu)
        )
        self._process: Process | None = None
        self._part: Part | None = None
        self.future: Future[Any] | None = None
        self.counts: Any = multiprocessing.RawArray("q", len(CODE_NAMES))
        self.last_words = ""

    def begin(self, pending: Pending) -> None:
        # Submits the next part, or starts a process, which gets one when it is ready.
        if self._process is not None:
            try:
                self.future = self._process.submit(_work, pending.waiting[0])
                self._part = pending.waiting.popleft()
                return
            except BrokenProcessPool:  # It died while idle.
                self.clear()
        self._process = Process(self._log, self._environment, self.counts)
        self.future = self._process.submit(_load, self._job, self._name, load_kernel)

    def end(self, pending: Pending) -> Event | None:
        # The event of its last call; None if it died before it was ready.
        assert self.future is not None
        future, part = self.future, self._part
        self.future = self._part = None
        self.counts[:] = [0] * len(self.counts)
        try:
            counts = future.result()
        except BrokenProcessPool:
            self.clear()
            if part is None:
                return None
            counts = read_counts(Path(self._job.parts, part.name))
            if not counts:
                pending.lost(part)
                return Event()
        return Event(part, counts) if part else Event(ready=True)

    def clear(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.last_words = self._process.last_words()
            self._process = None


_here: dict[str, Worker] = {}
"""The worker, in a worker's process."""


def _load(job: Job, name: str, load: Callable[..., Any]) -> None:
    counts = shared_integers()

    def tell(solved: Any) -> None:
        counts[:] = solved.tolist()

    _here["worker"] = Worker(job, name, load, tell)


def _work(part: Part) -> list[int]:
    return _here["worker"].work(part)
