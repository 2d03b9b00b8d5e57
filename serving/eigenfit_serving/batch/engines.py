"""What the engines have in common."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Protocol

from eigenfit_serving.batch.pending import Pending
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.errors import InputError


@dataclass(frozen=True)
class Event:
    """What a run is told while workers work.

    Attributes:
        solved: Rows that have been solved since the last event.
        counts: The same by code, `[7]`.
        done: Of a part that has been written, what the ledger keeps.
        ready: Whether a worker has become ready.
    """

    solved: int = 0
    counts: list[int] = field(default_factory=list)
    done: dict[str, Any] | None = None
    ready: bool = False


class EngineError(InputError):
    """No worker can be started, or one has failed for good."""


class Engine(Protocol):
    """Has parts done by workers."""

    @property
    def name(self) -> str:
        """The name: `local` or `ray`."""
        ...

    @property
    def workers(self) -> int | None:
        """Number of workers; None until that is known."""
        ...

    @property
    def cores(self) -> int:
        """Cores of each worker."""
        ...

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Has all parts done; closing the iterator ends the workers.

        Raises:
            InputError: If it cannot go on.
        """
        ...
