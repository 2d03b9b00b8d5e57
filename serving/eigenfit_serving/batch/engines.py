"""The engines, and what they have in common."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from eigenfit_serving.batch.parts import Part, Pending
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


def make_engine(
    name: str, workers: int | None, gpus: int, address: str | None
) -> Engine:
    """Makes the engine that was asked for.

    Args:
        name: `local` or `ray`.
        workers: Number of them; None for one a GPU, or else a core.
        gpus: Number of GPUs to use.
        address: Of a Ray cluster.

    Raises:
        InputError: If there is an address for the wrong engine, or one that Ray Data
            cannot use.
    """
    from eigenfit_serving.batch.local import LocalEngine
    from eigenfit_serving.batch.ray_engine import RayEngine

    if address is not None and name != "ray":
        raise InputError(f"address = {address!r}: is for engine = ray.")
    if address is not None and address.startswith("ray://"):
        raise InputError(
            f"address = {address!r}: Ray's client cannot run Ray Data. On a machine of "
            f"the cluster, give address = 'auto', or host:port of the head (6379)."
        )
    if address is not None:
        return RayEngine(workers or gpus or None, gpus, 1, address)
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    number = workers or gpus or cores
    make = LocalEngine if name == "local" else RayEngine
    return make(number, gpus, max(1, cores // number))
