"""Chooses the engine."""

from __future__ import annotations

import os

from eigenfit_serving.batch.engines.local import LocalEngine
from eigenfit_serving.batch.engines.ray_engine import RayEngine
from eigenfit_serving.errors import InputError

Engine = LocalEngine | RayEngine


def make_engine(
    name: str, workers: int | None, gpus: int, address: str | None
) -> Engine:
    """Makes the engine that was asked for; see `run_batch` for the arguments.

    Raises:
        InputError: If there is an address for the wrong engine, or one that Ray Data
            cannot use.
    """
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
