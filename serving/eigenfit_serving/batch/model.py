"""What a batch must know of a model before TensorFlow is loaded."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eigenfit_serving.errors import InputError
from eigenfit_serving.module_command import module_command

_MANIFEST = Path("assets.extra", "eigenfit.json")


@dataclass(frozen=True)
class ModelFacts:
    """Sizes and limits of an exported model, from its manifest.

    Attributes:
        folder: Of the version.
        problem: What was exported.
        dtype: Of parameters and targets.
        default_max_steps: Steps at most of its method.
        max_steps_limit: To which larger ones are cut.
        digest: SHA-256 of the manifest, which has those of all files.
        targets: Number m of targets.
        parameters: Number p of parameters.
        levels: Number N of eigenvalues.
        start: Where fits begin that are told no start, as in the manifest.
        scales: How strongly each parameter acts; all alike if there are none.
    """

    folder: Path
    problem: str
    dtype: str
    default_max_steps: int
    max_steps_limit: int
    digest: str
    targets: int
    parameters: int
    levels: int
    start: dict[str, Any] = field(
        default_factory=lambda: {"kind": "natural", "draw": "spectrum"}
    )
    scales: tuple[float, ...] = ()


def read_facts(path: Path, argument: str = "MODEL_OR_PROBLEM") -> ModelFacts:
    """Reads the facts of the newest version of a model, or of a version.

    Args:
        path: Of the folder.
        argument: Named in messages.

    Raises:
        InputError: If there is no such model.
    """
    folder = _version(path)
    if folder is None:
        raise InputError(
            f"{argument} = {path}: holds no exported model. Give the folder that "
            f"`eigenfit export` wrote, or a problem file."
        )
    try:
        text = (folder / _MANIFEST).read_bytes()
        content = json.loads(text)
        return ModelFacts(
            folder=folder.absolute(),
            problem=content["problem"],
            dtype=content["parameter_dtype"],
            default_max_steps=content["default_max_steps"],
            max_steps_limit=content["limits"]["max_steps"],
            digest=hashlib.sha256(text).hexdigest(),
            targets=content["num_targets"],
            parameters=content["num_parameters"],
            levels=content["num_levels"],
            **_newer(content),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{argument} = {path}: is no model of eigenfit ({error!r}). Write one with "
            f"`eigenfit export`."
        ) from None


def _newer(content: dict[str, Any]) -> dict[str, Any]:
    # What older models do not say.
    facts: dict[str, Any] = {}
    if "start" in content:
        facts["start"] = content["start"]
    if "parameter_scales" in content:
        facts["scales"] = tuple(content["parameter_scales"])
    return facts


def export_problem(
    problem: Path,
    folder: Path,
    weights: list[list[float]],
    max_steps: int | None,
    threads: int,
) -> list[Path]:
    """Exports a problem file in a process of its own, which returns its memory.

    Args:
        problem: The problem file, which has been read without error.
        folder: Gets a model for the weights of the file, `0`, and one for each of
            `weights`, `1`, `2`, ...; those that are there already are kept.
        weights: Sets of weights `[m]`.
        max_steps: That the models must allow; None for the default of the method.
        threads: Of TensorFlow.

    Returns:
        The folders of the models.

    Raises:
        InputError: If it fails; with the last line that the process wrote.
    """
    wanted = [folder / str(k) for k in range(len(weights) + 1)]
    if not all(_version(path) for path in wanted):
        command = module_command("eigenfit_serving.batch.exporting")
        request = {
            "problem": str(problem),
            "folders": [str(path) for path in wanted],
            "weights": [None, *weights],
            "max_steps": max_steps or 0,
        }
        done = subprocess.run(
            command,
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=quiet_environment(threads, gpu=None),
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no reason was given"]
            raise InputError(f"{problem}: cannot be exported: {lines[-1]}")
    return [path for path in map(_version, wanted) if path]


def quiet_environment(threads: int, gpu: str | None) -> dict[str, str]:
    """Makes the environment of a process that runs TensorFlow.

    Args:
        threads: Of linear algebra libraries.
        gpu: Number of the one that it sees; None for none.
    """
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "-1" if gpu is None else gpu,
        "PYTHONPATH": module_path(),
    }


def module_path() -> str:
    """Gives PYTHONPATH of workers, which find the same modules as their driver."""
    return os.pathsep.join(x for x in sys.path if x)


def _version(path: Path) -> Path | None:
    if (path / "saved_model.pb").is_file():
        return path
    try:
        numbers = [int(x.name) for x in path.iterdir() if x.name.isdecimal()]
    except OSError:
        return None
    found = [path / str(k) for k in sorted(numbers)]
    found = [x for x in found if (x / "saved_model.pb").is_file()]
    return found[-1] if found else None
