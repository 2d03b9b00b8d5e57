"""Writes SavedModels in the layout of TensorFlow Serving."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from eigenfit import Solver
from eigenfit_export.exporting import Job, export_solver
from eigenfit_export.manifest import Artefact, Check, describe
from eigenfit_export.signatures import SERVING_DEFAULT, signatures_of
from eigenfit_export.warmup import BATCHES, write_warmup


def save_model(
    solver: Solver,
    base_path: str | os.PathLike[str],
    *,
    max_steps_limit: int | None = None,
    warmup_batches: Sequence[int] = BATCHES,
    start: Any = None,
) -> Path:
    """Writes a solver as the next SavedModel below a folder, all at once.

    The model is written beside its place and then renamed, so that a server that
    watches the folder never sees half of it, even if this process is killed.

    Args:
        solver: What to export.
        base_path: Folder of the versions `1`, `2`, ...; made if missing.
        max_steps_limit: Largest `max_steps` of a caller; more are cut to it inside
            the exported functions. The method's own limit by default.
        warmup_batches: Sizes of the batches that TensorFlow Serving runs before it
            offers the version; none for no such requests.
        start: As for `export_solver`.

    Returns:
        The folder of the new version.

    Raises:
        TypeError: If `solver` is not a Solver.
        ValueError: If a number is out of range, or `start` does not fit.
        OSError: If the folder cannot be written, or the disk is full.
    """
    return export_solver(
        solver,
        base_path,
        ("savedmodel",),
        max_steps_limit=max_steps_limit,
        warmup_batches=warmup_batches,
        start=start,
    )


def write_savedmodel(job: Job) -> list[Artefact]:
    """Writes the SavedModel and its warm-up requests into the folder of a version."""
    job.progress("SavedModel")
    listed = signatures_of(job.solver, job.max_steps_limit, start=job.start)
    signatures = [x for x in listed if job.only is None or x.name in job.only]
    functions = {signature.name: signature.traced for signature in signatures}
    # One function under two names.
    if {"fit", SERVING_DEFAULT} <= functions.keys():
        functions[SERVING_DEFAULT] = functions["fit"]
    module = tf.Module()
    # Kept on the module: a SavedModel stores what is reachable from it.
    module.functions = functions
    tf.saved_model.save(module, str(job.folder), signatures=functions)
    if job.warmup_batches:
        write_warmup(job.folder, signatures, job.probes, job.warmup_batches)
    described = {}
    for signature in signatures:
        outputs = functions[signature.name].get_concrete_function().structured_outputs
        described[signature.name] = {
            "inputs": [describe(x.name, x.dtype, x.shape) for x in signature.inputs],
            "outputs": [describe(k, x.dtype, x.shape) for k, x in outputs.items()],
            "compiled_by_xla": signature.is_compiled,
        }
    checks = tuple(
        Check.of(x.name, x.name, job.probes[x.name])
        for x in signatures
        if x.name in job.probes
    )
    return [Artefact("savedmodel", ".", checks, described)]
