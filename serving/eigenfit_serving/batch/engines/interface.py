"""What the engines have in common."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from eigenfit_serving.batch.plan.parts import Part, Pending
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.errors import InputError


@dataclass(frozen=True)
class Event:
    """What a run is told while workers work.

    Attributes:
        done: A part whose file is there.
        counts: Its rows by code, or else those of all parts that are being worked on.
        ready: Whether a worker has become ready.
    """

    done: Part | None = None
    counts: Sequence[int] = ()
    ready: bool = False


class EngineError(InputError):
    """No worker can be started, or one has failed for good."""


class Engine(Protocol):
    """Has parts done by workers.

    Attributes:
        name: `local` or `ray`.
        workers: Number of workers; None until that is known.
        cores: Of each worker.
    """

    name: str
    workers: int | None
    cores: int

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Has all parts done; closing the iterator ends the workers.

        Raises:
            InputError: If it cannot go on.
        """
        ...
