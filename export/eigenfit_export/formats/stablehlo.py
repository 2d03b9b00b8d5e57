"""Writes programs as StableHLO, for machines without TensorFlow.

A file is a zip archive of `program.mlirbc` (a portable StableHLO artefact, which any
XLA since version 1.0.0 of that format compiles), `constants/0.npy`, ... (what follows
the inputs as arguments) and `signature.json`.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import eigenfit
from eigenfit import Solver
from eigenfit.tensors.private_tf import portable_stablehlo
from eigenfit.tensors.types import TensorLike
from eigenfit_export.formats.job import Job
from eigenfit_export.loading.stablehlo_loader import CONSTANT, PROGRAM, SIGNATURE
from eigenfit_export.manifest import Artefact, Check, describe
from eigenfit_export.signatures import Signature, signatures_of
from eigenfit_export.starts import Start, start_of
from eigenfit_export.versions import whole_file

TARGET_VERSION = "1.0.0"
"""StableHLO version of the artefacts; readers of it or a later one accept them."""

FUNCTION = "fit"
"""Name of the function that is exported by default."""


def save_stablehlo(
    solver: Solver,
    path: str | os.PathLike[str],
    batch: int = 1,
    *,
    function: str = FUNCTION,
    max_steps_limit: int | None = None,
    start: Start | TensorLike | None = None,
) -> Path:
    """Writes one function as StableHLO, compiled for one batch size.

    Large constants, such as the bases of a structure, are arguments of the program and
    stored beside it. `run_stablehlo` runs the file with JAX.

    Args:
        solver: Solver to export.
        path: File to write; replaced atomically if it exists.
        batch: Number b of members in every call.
        function: Name of the function, one of `signatures_of`.
        max_steps_limit: As for `signatures_of`.
        start: As for `export_solver`; stored beside the program, for calls without
            `initial`.

    Returns:
        The path of the file.

    Raises:
        TypeError: If `solver` is not a Solver.
        ValueError: If there is no such function, or it takes matrices of any order.
        OSError: If the file cannot be written.

    Example:
        >>> import tempfile
        >>> import eigenfit as ef
        >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_stablehlo(solver, Path(folder, "fit.zip"), batch=4)
        ...     sorted(zipfile.ZipFile(path).namelist())
        ['program.mlirbc', 'signature.json']
    """
    if not isinstance(solver, Solver):
        raise TypeError(f"`solver` must be an eigenfit.Solver, got {solver!r}.")
    begin = start_of(start, solver.problem)
    listed = signatures_of(solver, max_steps_limit, mode="eager", start=begin)
    known = {x.name: x for x in listed}
    if function not in known:
        names = ", ".join(known)
        raise ValueError(f"`function` must be one of {names}; got {function!r}.")
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"`batch` must be a positive integer, got {batch!r}.")
    path = Path(path)
    defaults: dict[str, Any] = {
        "tolerance": 0,
        "max_steps": solver.method.default_max_steps,
    }
    if begin.parameters:
        defaults["initial"] = list(begin.parameters[0])
    content = _archive(known[function], batch, defaults)
    with whole_file(path) as file:
        file.write(content)
    return path


def write_stablehlo(job: Job) -> list[Artefact]:
    """Writes one file per batch size into the folder of a version."""
    artefacts = []
    for batch in job.stablehlo_batches:
        name = f"{FUNCTION}_b{batch}"
        job.progress(f"StableHLO: {name}")
        path = Path("stablehlo", f"{name}.zip")
        (job.folder / path).parent.mkdir(exist_ok=True)
        save_stablehlo(
            job.solver,
            job.folder / path,
            batch,
            max_steps_limit=job.max_steps_limit,
            start=job.start,
        )
        probe = job.probes[FUNCTION].resized(batch)
        job.probes[f"stablehlo_{name}"] = probe
        check = Check.of(FUNCTION, f"stablehlo_{name}", probe)
        with zipfile.ZipFile(job.folder / path) as archive:
            signature = json.loads(archive.read(SIGNATURE))
        described = {key: signature[key] for key in ("inputs", "outputs")}
        artefacts.append(
            Artefact("stablehlo", path.as_posix(), (check,), {FUNCTION: described})
        )
    return artefacts


def _archive(signature: Signature, batch: int, defaults: dict[str, Any]) -> bytes:
    specs = [
        tf.TensorSpec([batch, *spec.shape[1:]], spec.dtype, spec.name)
        for spec in signature.inputs
    ]
    for spec in specs:
        if not spec.shape.is_fully_defined():
            raise ValueError(
                f"`function` {signature.name!r} takes `{spec.name}` of any order, and "
                f"a StableHLO program is of one shape. Export another function."
            )
    compiled: Any = tf.function(
        signature.function, input_signature=specs, jit_compile=True, autograph=False
    )
    concrete = compiled.get_concrete_function()
    text = compiled.experimental_get_compiler_ir(*specs)(
        stage="stablehlo", platform_name="CPU"
    )
    outputs = concrete.structured_outputs
    content = {
        "eigenfit": eigenfit.__version__,
        "function": signature.name,
        "stablehlo": TARGET_VERSION,
        "inputs": [describe(x.name, x.dtype, x.shape) for x in specs],
        # In the order in which TensorFlow flattens a dict.
        "outputs": [
            describe(name, outputs[name].dtype, outputs[name].shape)
            for name in sorted(outputs)
        ],
        "num_constants": len(concrete.captured_inputs),
        "defaults": {x.name: defaults[x.name] for x in specs if x.name in defaults},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SIGNATURE, json.dumps(content, indent=1))
        archive.writestr(PROGRAM, portable_stablehlo(text, TARGET_VERSION))
        for k, tensor in enumerate(concrete.captured_inputs):
            array = io.BytesIO()
            np.save(array, tensor.numpy())
            archive.writestr(CONSTANT.format(k), array.getvalue())
    return buffer.getvalue()
