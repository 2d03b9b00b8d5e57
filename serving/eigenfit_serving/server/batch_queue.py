"""The scheduler of batches: queues by key, and the threads that empty them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from eigenfit_serving.server.batch_tasks import Key, Task
from eigenfit_serving.server.batching_parameters import BatchingParameters
from eigenfit_serving.server.status import Code, ServingError

Process = Callable[[Key, list[Task]], None]
"""Runs a batch and answers all of its tasks."""


@dataclass
class _Batch:
    """Tasks that will run together.

    Attributes:
        opened_at: When the first came.
        tasks: In order of arrival.
        rows: Of all of them.
    """

    opened_at: float
    tasks: list[Task] = field(default_factory=list)
    rows: int = 0


class BatchQueue:
    """Collects tasks into batches and runs them in its threads.

    Tasks of different keys never meet. A batch runs when it is full or has waited for
    `batch_timeout_micros`, the oldest first, as soon as a thread is free; until then
    tasks join it.

    Args:
        parameters: How large, how long, how many.
        process: Runs a batch.
        max_tasks: Tasks that wait in all queues; more are refused.
        clock: In seconds.
    """

    def __init__(
        self,
        parameters: BatchingParameters,
        process: Process,
        max_tasks: int = 1 << 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parameters, self._process = parameters, process
        self._max_tasks, self._clock = max_tasks, clock
        self._timeout = parameters.batch_timeout_micros / 1e6
        self._queues: dict[Key, deque[_Batch]] = {}
        self._waiting = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{i}", daemon=True)
            for i in range(parameters.num_batch_threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Number of tasks that wait."""
        return self._waiting

    def add(self, key: Key, tasks: list[Task]) -> None:
        """Hands in the parts of one request: all of them, or none.

        Raises:
            ServingError: UNAVAILABLE or RESOURCE_EXHAUSTED, if too much waits.
        """
        limit = self._parameters.max_enqueued_batches
        with self._changed:
            if self._is_closed:
                raise ServingError(Code.UNAVAILABLE, "The model is being unloaded.")
            if self._waiting + len(tasks) > self._max_tasks:
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"{self._waiting} requests wait for a batch; at most "
                    f"{self._max_tasks} may (max_queue).",
                )
            queue = self._queues.get(key, deque())
            needed = self._count_new(queue, tasks)
            if needed and len(queue) + needed > max(limit, needed):
                raise ServingError(
                    Code.UNAVAILABLE,
                    "The batch scheduling queue to which this task was submitted is "
                    f"full; currently {len(queue)} batches enqueued and "
                    f"max_enqueued_batches is {limit}",
                )
            self._queues[key] = queue
            for task in tasks:
                if not queue or not self._fits(queue[-1].rows, task):
                    queue.append(_Batch(self._clock()))
                queue[-1].tasks.append(task)
                queue[-1].rows += task.rows
            self._waiting += len(tasks)
            self._changed.notify()

    def close(self) -> None:
        """Runs what waits, then ends the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _fits(self, rows: int, task: Task) -> bool:
        return rows + task.rows <= self._parameters.execution_size

    def _count_new(self, queue: deque[_Batch], tasks: list[Task]) -> int:
        rows = queue[-1].rows if queue else self._parameters.execution_size
        new = 0
        for task in tasks:
            if not self._fits(rows, task) or (not queue and not new):
                new, rows = new + 1, 0
            rows += task.rows
        return new

    def _next(self) -> tuple[tuple[Key, _Batch] | None, float | None]:
        """Takes the oldest batch that is due; else tells how long until one is."""
        now, best, wait = self._clock(), None, None
        for key, queue in self._queues.items():
            batch = queue[0]
            is_full = len(queue) > 1 or not batch.rows < self._parameters.execution_size
            left = batch.opened_at + self._timeout - now
            if is_full or left <= 0 or self._is_closed:
                if best is None or batch.opened_at < best[1].opened_at:
                    best = (key, batch)
            elif wait is None or left < wait:
                wait = left
        if best is None:
            return None, wait
        key, batch = best
        self._queues[key].popleft()
        if not self._queues[key]:
            del self._queues[key]
        self._waiting -= len(batch.tasks)
        return best, None

    def _work(self) -> None:
        while True:
            with self._changed:
                found, wait = self._next()
                while found is None:
                    if self._is_closed:
                        return
                    self._changed.wait(wait)
                    found, wait = self._next()
                if self._queues:
                    self._changed.notify()
            key, batch = found
            try:
                self._process(key, batch.tasks)
            except Exception as error:
                failure = ServingError(
                    Code.INTERNAL, f"{type(error).__name__}: {error}"
                )
                for task in batch.tasks:
                    task.fail(failure)
