"""A servable that joins the rows of many callers into one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from eigenfit_serving.server.batch_queue import BatchQueue
from eigenfit_serving.server.batch_tasks import (
    Key,
    Task,
    count_rows,
    divide,
    join,
    key_of,
    split,
)
from eigenfit_serving.server.batching_parameters import BatchingParameters
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.status import Code, ServingError

WARMUP = "WARMUP"
"""Entrypoint of the requests that come with a model."""


class BatchObserver(Protocol):
    """Is told what happens to batches."""

    def batch_input(self, rows: int) -> None:
        """Notes the rows of a request."""
        ...

    def batch_wait(self, pool: str, seconds: float) -> None:
        """Notes how long a request waited."""
        ...

    def batch_run(self, model: str, rows: int, size: int) -> None:
        """Notes the rows of a batch, and with the padding."""
        ...


class BatchedServable:
    """A servable whose runs are joined with others' of equal inputs and outputs.

    A batch that fails is repeated caller by caller, so that one bad request fails
    alone. Runs without rows are not joined.

    Args:
        inner: What runs the batches.
        parameters: How large they are, how long they wait.
        observer: Is told of them.
        max_tasks: Runs that may wait.
        zeros: Inputs that are zero in the rows that fill up a batch.
    """

    def __init__(
        self,
        inner: Any,
        parameters: BatchingParameters,
        observer: BatchObserver,
        max_tasks: int = 1 << 30,
        zeros: Collection[str] = (),
    ) -> None:
        self.name, self.version, self.path = inner.name, inner.version, inner.path
        self.signatures = inner.signatures
        self._inner, self._parameters = inner, parameters
        self._observer, self._zeros = observer, zeros
        self._queue = BatchQueue(parameters, self._process, max_tasks)

    @property
    def queue_depth(self) -> int:
        """Number of runs that wait."""
        return self._queue.depth

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs the graph together with other callers' rows; see `Servable`."""
        rows, limit = count_rows(feeds), self._parameters.max_batch_size
        self._observer.batch_input(rows)
        # A model is not bad because it comes with a request that callers cannot make.
        is_large_warmup = rows > limit and context.entrypoint == WARMUP
        if not rows or is_large_warmup:
            return self._inner.run(feeds, fetches, context)
        if rows > limit:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Task size {rows} is larger than maximum input batch size {limit}",
            )
        context.check()
        parts = divide(feeds, self._parameters.execution_size)
        tasks = [Task(part, count_rows(part), context) for part in parts]
        gone = ServingError(Code.CANCELLED, "The request was cancelled.")
        forget = context.on_cancel(lambda: _fail_all(tasks, gone))
        try:
            self._queue.add(key_of(feeds, fetches), tasks)
            for task in tasks:
                if not task.done.wait(context.remaining()):
                    _fail_all(tasks, _late(task))
                if task.error is not None:
                    # A new one: several threads may get the same.
                    raise ServingError(task.error.code, task.error.message)
        finally:
            forget()
            context.queue_seconds += max(task.queue_seconds for task in tasks)
            context.run_seconds += max(task.run_seconds for task in tasks)
        if len(tasks) == 1:
            return tasks[0].outputs
        return [
            np.concatenate(pieces)
            for pieces in zip(*(task.outputs for task in tasks), strict=True)
        ]

    def close(self) -> None:
        """Runs what waits and closes the servable."""
        self._queue.close()
        self._inner.close()

    def _process(self, key: Key, tasks: list[Task]) -> None:
        now = time.monotonic()
        live = []
        for task in tasks:
            task.queue_seconds = now - task.queued_at
            pool = self._parameters.thread_pool_name
            self._observer.batch_wait(pool, task.queue_seconds)
            reason = task.why_void()
            if reason is None:
                live.append(task)
            else:
                task.fail(reason)
        if not live:
            return
        fetches = key[1]
        try:
            self._run_together(live, fetches)
        except ServingError as error:
            if len(live) == 1 or error.code is Code.FAILED_PRECONDITION:
                _fail_all(live, error)
                return
            for task in live:
                self._run_alone(task, fetches)

    def _run_alone(self, task: Task, fetches: Sequence[str]) -> None:
        reason = task.why_void()
        if reason is not None:
            task.fail(reason)
            return
        try:
            self._run_together([task], fetches)
        except ServingError as error:
            task.fail(error)

    def _run_together(self, tasks: list[Task], fetches: Sequence[str]) -> None:
        rows = sum(task.rows for task in tasks)
        size = self._parameters.padded(rows)
        self._observer.batch_run(self.name, rows, size)
        context = _joint_context(tasks)
        forget = _cancel_when_all_are(tasks, context)
        feeds = join(tasks, size, self._zeros)
        start = time.monotonic()
        try:
            outputs = self._inner.run(feeds, fetches, context)
        finally:
            seconds = time.monotonic() - start
            for task in tasks:
                task.run_seconds += seconds
            forget()
        for task, own in zip(tasks, split(outputs, tasks, size), strict=True):
            task.succeed(own)


def _fail_all(tasks: list[Task], error: ServingError) -> None:
    for task in tasks:
        task.fail(error)


def _late(task: Task) -> ServingError:
    text = "Run() timeout exceeded while waiting in batching queue"
    if task.queue_seconds:
        text = "Timed out waiting for the model to run."
    return ServingError(Code.DEADLINE_EXCEEDED, text)


def _joint_context(tasks: list[Task]) -> RequestContext:
    """Makes a context that lasts as long as that of the most patient caller."""
    first = tasks[0].context
    deadlines = [task.context.deadline for task in tasks]
    given = [deadline for deadline in deadlines if deadline is not None]
    return RequestContext(
        first.api,
        first.entrypoint,
        first.request_id if len(tasks) == 1 else "batch",
        max(given) if len(given) == len(deadlines) else None,
        first.model,
        first.version,
        first.signature,
    )


def _cancel_when_all_are(
    tasks: list[Task], context: RequestContext
) -> Callable[[], None]:
    def check() -> None:
        if all(task.done.is_set() for task in tasks):
            context.cancel()

    # The tasks were given their callbacks before this one, and are done before it.
    undo = [task.context.on_cancel(check) for task in tasks]

    def forget() -> None:
        for take_back in undo:
            take_back()

    return forget
