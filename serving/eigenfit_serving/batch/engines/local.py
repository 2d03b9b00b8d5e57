"""The engine of one machine: processes that each load the model once."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit_serving.batch.answers.output import CODE_NAMES, added
from eigenfit_serving.batch.engines.worker import Event, Worker, load_kernel
from eigenfit_serving.batch.plan.parts import Part, Pending
from eigenfit_serving.batch.processes import Process, quiet_environment
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.tables.writing import read_counts
from eigenfit_serving.errors import InputError

_FAILURES = 5
"""Failed starts in a row that end the run, once a worker has been ready; before, 2."""
_LOOK = 0.5
"""Interval between reports of progress, in seconds."""


class LocalEngine:
    """Solves parts in processes of this machine; one that dies is replaced.

    Each has a number of `cores`; GPUs, if there are any, are assigned in turn.
    """

    name = "local"

    def __init__(self, workers: int, gpus: int = 0, cores: int = 1) -> None:
        self.workers, self.cores, self._gpus = workers, cores, gpus

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Solves all parts; closing the iterator ends the workers.

        Raises:
            InputError: If it cannot go on.
        """
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as logs:
            places = [
                _Place(job, k, k % self._gpus if self._gpus else None, Path(logs))
                for k in range(min(self.workers, len(pending.waiting)))
            ]
            try:
                yield from _run(places, pending)
            finally:
                with ThreadPoolExecutor(len(places)) as all_at_once:
                    list(all_at_once.map(_Place.clear, places))


def _run(places: list[_Place], pending: Pending) -> Generator[Event, None, None]:
    failures, limit = 0, 2
    while True:
        for place in places:
            if pending.waiting and place.future is None:
                place.begin(pending)
        busy = {x.future: x for x in places if x.future is not None}
        if not busy:
            return
        ended, _ = wait(busy, _LOOK, FIRST_COMPLETED)
        for place in (busy[future] for future in ended):
            if (event := place.end(pending)) is not None:
                failures, limit = 0, _FAILURES
                yield event
            elif (failures := failures + 1) >= limit:
                raise InputError(
                    f"Workers end before they are ready: {place.last_words}"
                )
        yield Event(counts=added(x.counts.tolist() for x in places))


class _Place:
    # The place of a worker, and of those that replace it, one after the other.

    def __init__(self, job: Job, number: int, gpu: int | None, logs: Path) -> None:
        self._job, self._name = job, f"{platform.node()}/{number}"
        self._log, self._shared = logs / f"{number}.log", logs / f"{number}.counts"
        self._environment = quiet_environment(job.threads, gpu)
        self._process: Process | None = None
        self._part: Part | None = None
        self.future: Future[Any] | None = None
        # The rows of its part by code, in a file that its process maps as well.
        self.counts = np.memmap(self._shared, int, "w+", shape=len(CODE_NAMES))
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
        self._process = Process(self._log, self._environment)
        self.future = self._process.submit(
            _load, self._job, self._name, load_kernel, self._shared
        )

    def end(self, pending: Pending) -> Event | None:
        # The event of its last call; None if it died before it was ready.
        assert self.future is not None
        future, part = self.future, self._part
        self.future = self._part = None
        self.counts[:] = 0
        try:
            counts = future.result()
        except BrokenProcessPool:
            self.clear()
            if part is None:
                return None
            counts = read_counts(self._job.parts / part.name)
            if not counts:
                pending.lost(part)
                return Event()
        return Event(part, counts) if part else Event(ready=True)

    def clear(self) -> None:
        if self._process is not None:
            self.last_words = self._process.kill()
            self._process = None


_here: list[Worker] = []
"""The worker, in a worker's process."""


def _load(job: Job, name: str, load: Callable[..., Any], shared: Path) -> None:
    _here.append(Worker(job, name, load, np.memmap(shared, int, "r+")))


def _work(part: Part) -> list[int]:
    return _here[0].work(part)
