"""Writes the ONNX models of a solver into a version, with probes for `verify`."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from eigenfit_export.formats.job import Job
from eigenfit_export.manifest import Artefact, Check, describe
from eigenfit_export.probes.stored import Probe

FOLDER = "onnx"

_PROBES = "onnx_"  # prefix of probes that no other format shares


def write_onnx(job: Job) -> list[Artefact]:
    """Writes the models into the folder of a version and adds their probes."""
    from eigenfit_export.onnx import save_onnx
    from eigenfit_export.onnx.probes import onnx_probes

    own = onnx_probes(job.solver.problem, job.probes)
    written = save_onnx(
        job.solver,
        job.folder / FOLDER,
        max_steps_limit=job.max_steps_limit,
        start=job.start,
        probes=own,
        progress=lambda name: job.progress(f"ONNX: {name}"),
    )
    artefacts = []
    for stem, path in written.items():
        function, _, dtype = stem.rpartition("_")
        probe, name = own[stem], function
        if probe is not job.probes.get(function):
            name = _PROBES + stem
            job.probes[name] = probe
        relative = PurePosixPath(path.relative_to(job.folder)).as_posix()
        signatures = {function: _described(probe, dtype)}
        check = Check.of(function, name, probe)
        artefacts.append(Artefact("onnx", relative, (check,), signatures))
    return artefacts


def _described(probe: Probe, dtype: str) -> dict[str, object]:
    def each(arrays: dict[str, np.ndarray]) -> list[dict[str, object]]:
        return [
            describe(
                name,
                dtype if array.dtype.kind == "f" else array.dtype,
                [None, *array.shape[1:]],
            )
            for name, array in arrays.items()
        ]

    return {"inputs": each(probe.inputs), "outputs": each(probe.outputs)}
