"""The manifest of an export: what it was made from, its limits, its files."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
import tensorflow as tf

import eigenfit
from eigenfit import Solver
from eigenfit.searches.distinct import freedom_of
from eigenfit_export.loading.manifest_reader import FORMAT, MANIFEST
from eigenfit_export.naming import matrix_names
from eigenfit_export.probes.points import parameter_scales
from eigenfit_export.probes.stored import Probe, flatten_probes
from eigenfit_export.starts import Start

PROBES = PurePath("assets.extra", "eigenfit_probes.npz")


@dataclass(frozen=True)
class Check:
    """One function of an artefact and the probe that it must reproduce.

    Attributes:
        function: Name of the function in the artefact.
        probe: Name of the probe.
        allowed: Tolerance of each floating-point output, one absolute difference per
            member: the effect of rounding, see `conditions`.
    """

    function: str
    probe: str
    allowed: Mapping[str, Sequence[float]]

    @staticmethod
    def of(function: str, name: str, probe: Probe) -> Check:
        """Makes the check of a function by a probe that is stored under `name`."""
        allowed = {key: x.tolist() for key, x in probe.allowed.items()}
        return Check(function, name, allowed)


@dataclass(frozen=True)
class Artefact:
    """One thing that another program can load.

    Attributes:
        kind: `savedmodel`, `onnx` or `stablehlo`: a key of `runner.RUNTIMES`.
        path: Path in the folder of the version, with slashes.
        checks: Checks that `verify` runs.
        signatures: Names, dtypes and shapes of inputs and outputs by function.
    """

    kind: str
    path: str
    checks: tuple[Check, ...]
    signatures: Mapping[str, Any] = field(default_factory=dict)


def describe(name: str, dtype: Any, shape: Sequence[int | None]) -> dict[str, Any]:
    """Describes a tensor: `{"name", "dtype", "shape"}`; None stands for any size."""
    return {"name": name, "dtype": tf.as_dtype(dtype).name, "shape": list(shape)}


def write_manifest(
    folder: Path,
    solver: Solver,
    artefacts: Iterable[Artefact],
    probes: Mapping[str, Probe],
    limits: Mapping[str, Any],
    start: Start,
) -> None:
    """Writes the probes and the manifest, with digests of all files in the folder.

    Args:
        folder: Folder of the version, complete but for these two files.
        solver: Solver that was exported.
        artefacts: Artefacts in the folder.
        probes: Inputs and expected outputs by name.
        limits: Limits that the exported functions impose on callers, by name.
        start: Start of fits that are given none.
    """
    problem = solver.problem
    freedom = freedom_of(problem)
    content = {
        "format": FORMAT,
        "eigenfit": eigenfit.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "problem": repr(problem),
        "blocks": [
            {
                "label": label,
                "structure": repr(block.structure),
                "order": block.structure.order,
                "dtype": block.structure.dtype.name,
                "matrix": name,
            }
            for block, label, name in zip(
                problem.blocks, problem.labels, matrix_names(problem), strict=True
            )
        ],
        "observations": [repr(x) for x in problem.observations],
        "method": repr(solver.method),
        "order": problem.order,
        "num_levels": problem.num_levels,
        "num_parameters": problem.num_parameters,
        "num_targets": problem.num_targets,
        "parameter_names": list(problem.parameter_names),
        "parameter_dtype": problem.parameter_dtype.name,
        "parameter_scales": parameter_scales(problem).tolist(),
        "freedom": {
            "signs": [np.flatnonzero(own).tolist() for own in freedom.generators],
            "periods": _finite(freedom.periods),
            "centre": _finite(freedom.centre),
        },
        "default_max_steps": solver.method.default_max_steps,
        "limits": dict(limits),
        "start": start.described(problem),
        "artefacts": [asdict(artefact) for artefact in artefacts],
    }
    (folder / PROBES).parent.mkdir(exist_ok=True)
    np.savez(folder / PROBES, **flatten_probes(dict(probes)))  # type: ignore[arg-type]
    content["files"] = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)}
        for name in files_in(folder)
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _finite(values: np.ndarray) -> list[float | None]:
    return [float(x) if np.isfinite(x) else None for x in values]


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Checks that a manifest holds what `verify` needs.

    Raises:
        ValueError: If it does not; the message names the entry.

    Example:
        >>> check_manifest({"files": {}, "artefacts": []})
        Traceback (most recent call last):
        ...
        ValueError: `artefacts` of the manifest must be a list with an entry.
    """
    files, artefacts = manifest.get("files"), manifest.get("artefacts")
    if not isinstance(files, dict):
        raise ValueError("`files` of the manifest must be an object.")
    if not isinstance(artefacts, list) or not artefacts:
        raise ValueError("`artefacts` of the manifest must be a list with an entry.")
    for name, facts in files.items():
        if not _has(facts, bytes=int, sha256=str):
            raise ValueError(f"`files[{name!r}]` of the manifest is damaged.")
    for k, artefact in enumerate(artefacts):
        known = _has(artefact, kind=str, path=str, checks=list) and artefact["checks"]
        if not known or not all(map(_is_check, artefact["checks"])):
            raise ValueError(f"`artefacts[{k}]` of the manifest is damaged.")


def _is_check(check: Any) -> bool:
    known = _has(check, function=str, probe=str, allowed=dict)
    return known and all(map(_are_differences, check["allowed"].values()))


def _are_differences(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(x, int | float) and 0 <= x < float("inf") for x in values
    )


def _has(entry: Any, **types: type) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), kind) for name, kind in types.items()
    )


def files_in(folder: Path) -> list[str]:
    """Lists the files of a version except the manifest, as paths with slashes."""
    names = (
        PurePosixPath(path.relative_to(folder)).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )
    return sorted(name for name in names if name != MANIFEST.as_posix())


def digest(path: Path) -> str:
    """Computes the SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()
