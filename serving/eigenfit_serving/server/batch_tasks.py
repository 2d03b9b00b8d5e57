"""Rows of one caller in a batch: joined with others before the run, split after it."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.status import Code, ServingError

Key = tuple[Any, ...]
"""Tasks of equal keys may run together."""


@dataclass(eq=False)
class Task:
    """One run that a caller asks for, or a part of it.

    Attributes:
        feeds: Arrays by tensor name.
        rows: Their first dimension.
        context: Of the request.
        queued_at: When it was handed in.
        queue_seconds: How long it waited.
        run_seconds: How long it ran.
        outputs: Once it has run.
        error: Or what went wrong.
        done: Set when one of these is there.
    """

    feeds: Mapping[str, np.ndarray]
    rows: int
    context: RequestContext
    queued_at: float = field(default_factory=time.monotonic)
    queue_seconds: float = 0.0
    run_seconds: float = 0.0
    outputs: list[np.ndarray] = field(default_factory=list)
    error: ServingError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    def succeed(self, outputs: list[np.ndarray]) -> None:
        """Hands the outputs to the caller."""
        self.outputs = outputs
        self.done.set()

    def fail(self, error: ServingError) -> None:
        """Hands an error to the caller, unless it has an answer."""
        if not self.done.is_set():
            self.error = error
            self.done.set()

    def why_void(self) -> ServingError | None:
        """Tells why nobody waits for it any more, if so."""
        if self.done.is_set():
            return self.error or ServingError(Code.CANCELLED, "")
        if self.context.remaining() == 0.0:
            return ServingError(
                Code.DEADLINE_EXCEEDED,
                "Run() timeout exceeded while waiting in batching queue",
            )
        return None


def count_rows(feeds: Mapping[str, np.ndarray]) -> int:
    """Computes the first dimension that all inputs share.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    sizes = set()
    for array in feeds.values():
        if array.ndim == 0:
            raise _invalid(
                "Batching Run() input tensors must have at least one dimension"
            )
        sizes.add(array.shape[0])
    if not sizes:
        raise _invalid("Batching Run() must have at least one input tensor")
    if len(sizes) > 1:
        raise _invalid(
            "Batching Run() input tensors must have equal 0th-dimension size"
        )
    return sizes.pop()


def key_of(feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> Key:
    """Names what must be equal for runs to be joined, also dtypes and row shapes."""
    inputs = sorted((name, x.dtype.str, x.shape[1:]) for name, x in feeds.items())
    return (tuple(inputs), tuple(fetches))


def divide(feeds: Mapping[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    """Cuts inputs into parts of at most so many rows."""
    rows = len(next(iter(feeds.values())))
    return [
        {name: array[start : start + size] for name, array in feeds.items()}
        for start in range(0, rows, size)
    ]


def join(
    tasks: Sequence[Task], size: int, zeros: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Joins the rows of tasks and fills up with copies of a good row.

    Args:
        tasks: With inputs of equal names, dtypes and row shapes.
        size: Rows that are wanted, at least as many as there are.
        zeros: Inputs that are zero in the added rows, so that these cost nothing.
    """
    names = tasks[0].feeds
    joined = {
        name: np.concatenate([task.feeds[name] for task in tasks])
        if len(tasks) > 1
        else np.asarray(tasks[0].feeds[name])
        for name in names
    }
    rows = sum(task.rows for task in tasks)
    if size == rows:
        return joined
    good = good_row(joined)
    for name, array in joined.items():
        padding = np.repeat(array[good : good + 1], size - rows, axis=0)
        if name in zeros:
            padding = np.zeros_like(padding)
        joined[name] = np.concatenate([array, padding])
    return joined


def good_row(arrays: Mapping[str, np.ndarray]) -> int:
    """Finds the first row whose numbers are all finite, else the first row."""
    rows = len(next(iter(arrays.values())))
    good = np.ones(rows, bool)
    for array in arrays.values():
        if array.dtype.kind in "fc":
            good &= np.isfinite(array.reshape(rows, -1)).all(axis=1)
    return int(good.argmax())


def split(
    outputs: Sequence[np.ndarray], tasks: Sequence[Task], size: int
) -> list[list[np.ndarray]]:
    """Cuts outputs into those of each task.

    Raises:
        ServingError: FAILED_PRECONDITION, if they do not have a row for each input.
    """
    for output in outputs:
        if output.ndim == 0:
            raise ServingError(
                Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions"
            )
        if output.shape[0] != size:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the "
                "0th dimension sizes of the input tensors",
            )
    ends = np.cumsum([task.rows for task in tasks])
    return [
        [output[end - task.rows : end] for output in outputs]
        for task, end in zip(tasks, ends, strict=True)
    ]


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
