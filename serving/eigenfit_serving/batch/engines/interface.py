"""The interface that the engines share."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from eigenfit_serving.batch.plan.parts import Part, Pending
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.errors import InputError


@dataclass(frozen=True)
class Event:
    """News for the run while workers work.

    Attributes:
        done: A part whose file has been written; None for none.
        counts: Its rows by code, or without one those of all parts in progress.
        ready: Whether a worker has become ready.
    """

    done: Part | None = None
    counts: Sequence[int] = ()
    ready: bool = False


class EngineError(InputError):
    """No worker can be started, or one has failed for good."""


class Engine(Protocol):
    """Lets workers solve parts.

    Attributes:
        name: `local` or `ray`.
        workers: Number of workers; None until it is known.
        cores: Cores per worker.
    """

    name: str
    workers: int | None
    cores: int

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Solves all parts; closing the iterator ends the workers.

        Raises:
            InputError: If it cannot go on.
        """
        ...
