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
    """Sizes and limits of an exported model, from its manifest."""

    folder: Path  # of the version
    dtype: str  # of parameters and targets
    default_max_steps: int  # of its method
    max_steps_limit: int  # higher values of `max_steps` are clipped to it
    digest: str  # SHA-256 of the manifest, which holds those of all files
    targets: int  # m
    parameters: int  # p
    levels: int  # N
    start: dict[str, Any]  # of fits that are given none
    scales: tuple[float, ...]  # [p], how strongly each acts, relative to the strongest
    freedom: dict[str, Any] = field(default_factory=dict)
    """Signs and periods of parameters that change nothing observed; {} for none."""


def read_facts(path: Path) -> ModelFacts:
    """Reads the facts of the newest version of a model, or of a version.

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
