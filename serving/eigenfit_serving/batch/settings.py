"""Facts of the model, and settings: of the answers, and of how the work is done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from eigenfit_export.loading.manifest_reader import newest_version, read_manifest
from eigenfit_serving.errors import InputError

Keep = Literal["best", "all"]

_NUMBERS_PER_CALL = 2**20
_NUMBERS_PER_PART = 2**22
_PARTS_PER_WORKER = 8
_SMALL_PART, _SMALLEST_PART = 2048, 256
_SMALLEST_BATCH, _LARGEST_BATCH = 64, 16384


@dataclass(frozen=True)
class ModelFacts:
    """Sizes and limits of an exported model, known before TensorFlow is loaded."""

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


@dataclass(frozen=True)
class Settings:
    """How rows are solved; a resumed run must have the same settings."""

    seed: int = 0  # of the random starts
    starts: int | None = None  # fits per row; None for one
    keep: Keep = "best"  # of several starts, or all distinct solutions
    tolerance: float | None = None  # of rows without one; None: relative to targets
    max_steps: int | None = 100  # of rows without one; None: the method's default

    @property
    def members(self) -> int:
        """Number of fits per row."""
        return self.starts or 1


@dataclass(frozen=True)
class Job:
    """What every worker is told at its start."""

    model: ModelFacts
    settings: Settings
    batch_size: int  # fits in one call of the model
    threads: int  # of TensorFlow in each worker
    gpu: bool  # whether workers compute on one
    inputs: tuple[tuple[str, tuple[int, ...]], ...]  # see `tables.reading.Groups`
    schema: pa.Schema  # of the rows
    parts: Path  # folder of the output parts
    drafts: Path  # folder of files that are being written


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


def default_batch_size(facts: ModelFacts) -> int:
    """Chooses the number of fits in a call.

    Larger batches spend less time on calling TensorFlow, until the intermediate tensors
    no longer fit in the cache. For n = 3 the time per row falls from 3.1 us (1024) to
    1.9 us (16384) and rises again from 65536 on.

    Example:
        >>> from pathlib import Path
        >>> facts = ModelFacts(Path(), "float64", 1, 1, "", 3, 6, 3, {}, ())
        >>> default_batch_size(facts)
        16384
    """
    numbers = facts.levels**2 + facts.targets * facts.parameters
    size = _power_below(_NUMBERS_PER_CALL // numbers)
    return min(max(size, _SMALLEST_BATCH), _LARGEST_BATCH)


def rows_per_part(job: Job, total: int, workers: int) -> int:
    """Chooses the number of rows in an output part, of `total` for all workers.

    It bounds the memory, and the work that is lost when a worker dies: a part and its
    input hold about 32 MB, for n = 3 131072 rows. Small inputs are divided so that all
    workers stay busy to the end.
    """
    facts = job.model
    own = facts.targets + 2 * facts.parameters + facts.levels + 8
    kept = job.settings.members if job.settings.keep == "all" else 1
    largest = _power_below(_NUMBERS_PER_PART // (own * kept))
    share = _power_below(total // (_PARTS_PER_WORKER * workers))
    return max(_SMALLEST_PART, min(largest, max(share, _SMALL_PART)))


def _power_below(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)
