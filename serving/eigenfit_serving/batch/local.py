"""The engine of one machine: processes, each with the models loaded once."""

from __future__ import annotations

import contextlib
import json
import platform
import queue
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import IO, Any

from eigenfit_serving.batch.engines import EngineError, Event
from eigenfit_serving.batch.model import quiet_environment
from eigenfit_serving.batch.parts import Part
from eigenfit_serving.batch.pending import Pending
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.writing import OutputError
from eigenfit_serving.errors import InputError
from eigenfit_serving.module_command import module_command

WORKER = "eigenfit_serving.batch.worker"
"""Module that a worker runs."""

_FAILURES = 5
"""Starts in sequence that may fail, once a worker has become ready."""


class LocalEngine:
    """Has parts done by processes of this machine.

    Each worker gets a part at a time, reads and writes it itself, and is replaced when
    it dies.

    Args:
        workers: Number of processes.
        gpus: Number of GPUs, which they share in turn; 0 for none.
        cores: Of each worker.
    """

    name = "local"

    def __init__(self, workers: int, gpus: int = 0, cores: int = 1) -> None:
        self.workers, self.cores = workers, cores
        self._gpus = gpus
        self._events: queue.SimpleQueue[Event | InputError | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._closed = False
        self._was_ready = False

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Has all parts done; see `Engine.run`."""
        threads = [
            threading.Thread(target=self._keep, args=(k, job, pending), daemon=True)
            for k in range(self.workers)
        ]
        for thread in threads:
            thread.start()
        running = len(threads)
        try:
            while running:
                event = self._events.get()
                if isinstance(event, InputError):
                    raise event
                if event is None:
                    running -= 1
                else:
                    yield event
        finally:
            pending.stop()
            self._kill()
            for thread in threads:
                thread.join()

    def _keep(self, number: int, job: Job, pending: Pending) -> None:
        # Keeps a worker alive as long as there are parts.
        failures = 0
        try:
            part = pending.take()
            while part is not None:
                with self._worker(number, job) as (process, log):
                    ready, part = self._serve(process, part, pending)
                    process.kill()
                    process.wait()
                    failures = 0 if ready else failures + 1
                    if failures >= (_FAILURES if self._was_ready else 2):
                        raise EngineError(_last_words(log, process.returncode))
        except InputError as error:
            self._events.put(error)
        except OSError as error:
            self._events.put(EngineError(f"A worker cannot be started ({error})."))
        except Exception as error:
            self._events.put(EngineError(f"The run failed: {error!r}."))
        finally:
            self._events.put(None)

    def _serve(
        self, process: subprocess.Popen[str], part: Part, pending: Pending
    ) -> tuple[bool, Part | None]:
        # Until the worker dies or there is nothing more: whether it became ready, and
        # the part that the next worker shall do.
        assert process.stdin
        assert process.stdout
        ready, current = False, part
        for message in _messages(process.stdout):
            if "failed" in message:
                kind = OutputError if message["is_output"] else EngineError
                raise kind(message["failed"])
            if "solved" in message:
                self._events.put(Event(message["solved"], message["counts"]))
                continue
            if "ready" in message:
                ready = self._was_ready = True
                self._events.put(Event(ready=True))
            else:
                pending.done(current)
                self._events.put(Event(done=message["done"]))
                following = pending.take(current)
                if following is None:
                    return True, None
                current = following
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(asdict(current)) + "\n")
                process.stdin.flush()
        if not ready:
            return False, current
        pending.lost(current)
        return True, pending.take()

    @contextlib.contextmanager
    def _worker(
        self, number: int, job: Job
    ) -> Iterator[tuple[subprocess.Popen[str], Any]]:
        gpu = str(number % self._gpus) if self._gpus else None
        with tempfile.TemporaryFile() as log:
            with self._lock:
                if self._closed:
                    raise EngineError("The run has been stopped.")
                process = subprocess.Popen(
                    module_command(WORKER),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=quiet_environment(job.threads, gpu),
                    # Ctrl-C is for the driver, which ends its workers.
                    start_new_session=True,
                )
                self._processes.add(process)
            try:
                assert process.stdin
                request = {"job": asdict(job), "worker": f"{platform.node()}/{number}"}
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(request) + "\n")
                    process.stdin.flush()
                yield process, log
            finally:
                with self._lock:
                    self._processes.discard(process)
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    with contextlib.suppress(OSError):
                        pipe.close()  # type: ignore[union-attr]

    def _kill(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()


def _messages(stream: IO[str]) -> Iterator[dict[str, Any]]:
    # The last line of a worker that is killed may be cut off.
    for line in stream:
        if line.endswith("\n"):
            yield json.loads(line)


def _last_words(log: Any, code: int) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    reason = lines[-1] if lines else f"exit code {code}"
    return f"Workers end before they are ready: {reason}"
