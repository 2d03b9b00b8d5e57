"""Facts about a model that a run needs before TensorFlow is loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eigenfit_export.loading.manifest_reader import newest_version, read_manifest
from eigenfit_serving.errors import InputError


@dataclass(frozen=True)
class ModelFacts:
    """Sizes and limits of an exported model, from its manifest.

    Attributes:
        folder: Folder of the version.
        dtype: Dtype of parameters and targets.
        default_max_steps: Default step limit of its method.
        max_steps_limit: Largest `max_steps`; higher values are clipped to it.
        digest: SHA-256 of the manifest, which holds those of all files.
        targets: Number m of targets.
        parameters: Number p of parameters.
        levels: Number N of eigenvalues.
        start: Start of fits that are given none, as in the manifest.
        scales: How strongly each parameter acts, relative to the strongest.
        freedom: Signs and periods of parameters that change nothing observed, as in
            the manifest; {} for none.
    """

    folder: Path
    dtype: str
    default_max_steps: int
    max_steps_limit: int
    digest: str
    targets: int
    parameters: int
    levels: int
    start: dict[str, Any]
    scales: tuple[float, ...]
    freedom: dict[str, Any] = field(default_factory=dict)


def read_facts(path: Path) -> ModelFacts:
    """Reads the facts of the newest version of a model, or of a version.

    Args:
        path: Folder of the model or version.

    Raises:
        InputError: If there is no model that this eigenfit reads.
    """
    folder = newest_version(path)
    if folder is None:
        raise InputError(
            f"MODEL_OR_PROBLEM = {path}: holds no exported model. Give the folder that "
            f"`eigenfit export` wrote, or a problem file."
        )
    try:
        content = read_manifest(folder)
        return ModelFacts(
            folder=folder.absolute(),
            dtype=content["parameter_dtype"],
            default_max_steps=content["default_max_steps"],
            max_steps_limit=content["limits"]["max_steps"],
            digest=hashlib.sha256(json.dumps(content).encode()).hexdigest(),
            targets=content["num_targets"],
            parameters=content["num_parameters"],
            levels=content["num_levels"],
            start=content["start"],
            scales=tuple(content["parameter_scales"]),
            freedom=content.get("freedom", {}),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"MODEL_OR_PROBLEM = {path}: is no model of this eigenfit ({error!r}). "
            f"Write one with `eigenfit export`."
        ) from None
