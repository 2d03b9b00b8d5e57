"""Puts the ONNX models of a solver into a version, with probes for `verify`."""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from eigenfit import Problem
from eigenfit_export.exporting import Job
from eigenfit_export.manifest import Artefact, Check, describe
from eigenfit_export.probe_runner import GRAM, REBUILT
from eigenfit_export.probes import TOLERANCES, Probe

FOLDER = "onnx"

_PROBES = "onnx_"  # begins the names of those that no other format shares


def write_onnx(job: Job) -> list[Artefact]:
    """Writes the models into the folder of a version."""
    from eigenfit_export.onnx import save_onnx

    written = save_onnx(
        job.solver, job.folder / FOLDER, max_steps_limit=job.max_steps_limit
    )
    own = own_probes(job.solver.problem, job.probes)
    artefacts = []
    for stem, path in written.items():
        function, _, dtype = stem.rpartition("_")
        name = function
        if function in own:
            name = _PROBES + function
            job.probes[name] = own[function]
        # The solver of ONNX models is ours, as under XLA.
        kind = "float32" if dtype == "float32" else "xla"
        check = Check(function, name, TOLERANCES[kind])
        relative = PurePosixPath(path.relative_to(job.folder)).as_posix()
        signatures = {function: _described(job.probes[name], dtype)}
        artefacts.append(Artefact("onnx", relative, (check,), signatures))
    return artefacts


def own_probes(problem: Problem, probes: dict[str, Probe]) -> dict[str, Probe]:
    """Computes by LAPACK, from the definitions, what only ONNX models give."""
    A = probes["eigengradient"].inputs["matrix"]
    tolerance = probes["eigengradient"].tolerance
    w, V = np.linalg.eigh(A.astype(np.float64))
    weights = np.linspace(1.0, 2.0, w.shape[1]) + 0 * w
    targets = np.round(w, 1)
    residual = w - targets
    G = (V * (2 * weights * residual)[:, np.newaxis]) @ V.swapaxes(1, 2)
    loss_gradient = {
        "loss": np.sum(weights * residual**2, axis=1),
        "eigenvalues": w,
        "gradient": G,
        "gradient_lower": np.tril(2 * G, -1) + np.eye(w.shape[1]) * G,
    }
    given = {"matrix": A, "targets": targets, "weights": weights}
    whole = (V * w[:, np.newaxis]) @ V.swapaxes(1, 2)
    gram = np.broadcast_to(np.eye(w.shape[1]), V.shape)
    eigh = {"eigenvalues": w, REBUILT: whole, GRAM: gram}
    own = {
        "eigh": Probe({"matrix": A}, eigh, tolerance),
        "loss_gradient": Probe(given, loss_gradient, tolerance),
    }
    gradient = probes["gradient"]
    roots = np.broadcast_to(problem.roots(), gradient.inputs["targets"].shape)
    inputs = {**gradient.inputs, "weights": roots**2}
    own["weighted_gradient"] = Probe(inputs, gradient.outputs, gradient.tolerance)
    return own


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
