"""The settings of batching, as TensorFlow Serving's parameter file gives them."""

from __future__ import annotations

import itertools
import logging
import os
from dataclasses import dataclass, field
from typing import Any

from eigenfit_serving.server.status import Code, ServingError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchingParameters:
    """How requests are joined.

    Attributes:
        max_batch_size: Rows of a batch.
        batch_timeout_micros: How long a batch that is not full waits for more.
        max_enqueued_batches: Batches that wait in one queue.
        num_batch_threads: Batches that run at the same time.
        thread_pool_name: For metrics.
        allowed_batch_sizes: To which batches are padded, ascending; none: no padding.
        enable_large_batch_splitting: Whether a request with more rows is divided.
        max_execution_batch_size: Rows of its parts.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    thread_pool_name: str = "batch_threads"
    allowed_batch_sizes: tuple[int, ...] = ()
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self) -> None:
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise _invalid(f"{name} must be at least 1; was {getattr(self, name)}")
        if self.batch_timeout_micros < 0:
            raise _invalid(
                f"batch_timeout_micros must be non-negative; was "
                f"{self.batch_timeout_micros}"
            )
        if self.execution_size > self.max_batch_size:
            raise _invalid(
                f"max_execution_batch_size ({self.max_execution_batch_size}) must not "
                f"exceed max_batch_size ({self.max_batch_size})"
            )
        sizes = self.allowed_batch_sizes
        if any(a >= b for a, b in itertools.pairwise(sizes)):
            raise _invalid(
                "allowed_batch_sizes entries must be monotonically increasing"
            )
        if sizes and sizes[-1] != self.execution_size:
            raise _invalid(
                "Last entry in allowed_batch_sizes must match max_batch_size; last "
                f"entry was {sizes[-1]}; expected {self.execution_size}"
            )

    @property
    def execution_size(self) -> int:
        """Rows that run together at most."""
        if self.enable_large_batch_splitting:
            return self.max_execution_batch_size or self.max_batch_size
        return self.max_batch_size

    def padded(self, rows: int) -> int:
        """Computes the size to which so many rows are padded.

        Example:
            >>> BatchingParameters(8, allowed_batch_sizes=(2, 8)).padded(3)
            8
        """
        larger = (size for size in self.allowed_batch_sizes if size >= rows)
        return next(larger, rows)


def read_parameters(message: Any) -> BatchingParameters:
    """Reads a `BatchingParameters` message.

    Raises:
        ServingError: INVALID_ARGUMENT, if a setting is out of range.
    """
    wrapped = (
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "thread_pool_name",
        "enable_large_batch_splitting",
        "max_execution_batch_size",
    )
    if message.pad_variable_length_inputs:
        _log.warning(
            "pad_variable_length_inputs has no effect here: requests of different "
            "shapes are never in one batch."
        )
    given = {x: getattr(message, x).value for x in wrapped if message.HasField(x)}
    return BatchingParameters(
        allowed_batch_sizes=tuple(message.allowed_batch_sizes), **given
    )


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
