"""Writes a solver as the next version of a model, in one or several formats."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Literal

import tensorflow as tf

from eigenfit import Solver
from eigenfit.fitting.compilation import chosen_mode
from eigenfit.tensors.types import TensorLike
from eigenfit_export.formats.job import Job
from eigenfit_export.manifest import Artefact, write_manifest
from eigenfit_export.probes.stored import record_probes
from eigenfit_export.starts import Start, start_of
from eigenfit_export.versions import new_version
from eigenfit_export.warmup import BATCHES

Writer = Callable[[Job], Sequence[Artefact]]


def _savedmodel(job: Job) -> Sequence[Artefact]:
    from eigenfit_export.formats.savedmodel import write_savedmodel

    return write_savedmodel(job)


def _stablehlo(job: Job) -> Sequence[Artefact]:
    from eigenfit_export.formats.stablehlo import write_stablehlo

    return write_stablehlo(job)


def _onnx(job: Job) -> Sequence[Artefact]:
    from eigenfit_export.formats.onnx import write_onnx

    return write_onnx(job)


FORMATS: dict[str, Writer] = {
    "savedmodel": _savedmodel,
    "onnx": _onnx,
    "stablehlo": _stablehlo,
}
"""Writers by the name of their format."""


def export_solver(
    solver: Solver,
    base_path: str | os.PathLike[str],
    formats: Sequence[str] = ("savedmodel",),
    *,
    max_steps_limit: int | None = None,
    warmup_batches: Sequence[int] = BATCHES,
    stablehlo_batches: Sequence[int] = (1,),
    start: Start | TensorLike | None = None,
    progress: Callable[[str], None] = lambda what: None,
    only: Collection[str] | None = None,
    target: Literal["cpu", "gpu"] = "cpu",
) -> Path:
    """Writes a solver as the next version below a folder, atomically.

    Args:
        solver: Solver to export.
        base_path: Folder of the versions `1`, `2`, ...; created if missing.
        formats: Names of formats, keys of `FORMATS`.
        max_steps_limit: Largest `max_steps` of a caller; higher ones are clipped inside
            the exported functions. The method's own limit by default.
        warmup_batches: Batch sizes that TensorFlow Serving runs before it offers the
            version; empty for no warm-up.
        stablehlo_batches: Batch sizes for which StableHLO is compiled.
        start: Start of fits that are given none: `[p]`, or the first row of `[s, p]`;
            or a `Start`, which may be a distribution. By default there is no such
            start, and random starts are drawn as in `eigenfit.multistart`.
        progress: Called with what is being done, in a word or two.
        only: Names of the functions of a SavedModel, written without probes: a model
            for private use, made in a fraction of the time. By default all but those
            with weights per member.
        target: Device that a SavedModel is made for. For "gpu" XLA compiles
            `serving_default` where that is faster there (see
            `eigenfit.fitting.compilation.chosen_mode`). On a machine without a GPU
            TensorFlow Serving runs it with `--xla_cpu_compilation_enabled` only.

    Returns:
        The folder of the new version.

    Raises:
        TypeError: If `solver` is not a Solver.
        ValueError: If a format or `target` is unknown, `start` does not fit the
            problem, or a number is out of range.
        OSError: If the folder cannot be written, or the disk is full. No part of a
            version is ever left behind.
    """
    if not isinstance(solver, Solver):
        raise TypeError(f"`solver` must be an eigenfit.Solver, got {solver!r}.")
    if not formats or not set(formats) <= set(FORMATS):
        known = ", ".join(FORMATS)
        raise ValueError(f"`formats` must be some of {known}; got {list(formats)!r}.")
    if target not in ("cpu", "gpu"):
        raise ValueError(f'`target` must be "cpu" or "gpu", got {target!r}.')
    if max_steps_limit is None:
        max_steps_limit = int(solver.method.default_max_steps)
    _check_sizes("max_steps_limit", [max_steps_limit])
    _check_sizes("warmup_batches", warmup_batches)
    _check_sizes("stablehlo_batches", stablehlo_batches)
    begin = start_of(start, solver.problem)
    if "onnx" in formats:
        # Fail before any work if ONNX cannot express the problem.
        from eigenfit_export.onnx.save import programs_of

        programs_of(solver)
    many = solver.method.takes_many_steps
    mode = chosen_mode("GPU", solver.problem.order, None, many)
    base = Path(base_path)
    try:
        with new_version(base) as draft:
            progress("Probes")
            probed = None if only is None else ()
            probes = record_probes(solver, max_steps_limit, only=probed, start=begin)
            job = Job(
                solver,
                draft.folder,
                probes,
                max_steps_limit,
                tuple(warmup_batches),
                tuple(dict.fromkeys(stablehlo_batches)),
                begin,
                progress,
                only,
                compiled_default=target == "gpu" and mode == "xla",
            )
            artefacts = [x for name in formats for x in FORMATS[name](job)]
            limits = {"max_steps": max_steps_limit}
            write_manifest(draft.folder, solver, artefacts, probes, limits, begin)
    except tf.errors.OpError as error:
        raise _as_os_error(error, base) from error
    assert draft.version is not None
    return draft.version


def _check_sizes(name: str, values: Sequence[int]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be positive integers, got {value!r}.")
        if value > tf.int32.max:
            raise ValueError(
                f"`{name}` must be at most {tf.int32.max}, what an int32 holds; got "
                f"{value!r}."
            )


def _as_os_error(error: tf.errors.OpError, base: Path) -> OSError:
    # TensorFlow's file system raises errors of its own.
    text = str(error)
    kinds = {
        "No space left": errno.ENOSPC,
        "quota exceeded": errno.EDQUOT,
        "File too large": errno.EFBIG,
        "Permission denied": errno.EACCES,
        "Read-only file system": errno.EROFS,
    }
    for words, number in kinds.items():
        if words in text:
            return OSError(number, os.strerror(number), str(base))
    return OSError(errno.EIO, text.splitlines()[0], str(base))


def save_model(
    solver: Solver,
    base_path: str | os.PathLike[str],
    *,
    max_steps_limit: int | None = None,
    warmup_batches: Sequence[int] = BATCHES,
    start: Start | TensorLike | None = None,
) -> Path:
    """Writes a solver as the next SavedModel below a folder, atomically.

    The model is written to a temporary folder and then renamed, so that a server that
    watches the folder never sees half of it, even if this process is killed.

    Args:
        solver: Solver to export.
        base_path: Folder of the versions `1`, `2`, ...; created if missing.
        max_steps_limit: Largest `max_steps` of a caller; higher ones are clipped inside
            the exported functions. The method's own limit by default.
        warmup_batches: Batch sizes that TensorFlow Serving runs before it offers the
            version; empty for no warm-up.
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
