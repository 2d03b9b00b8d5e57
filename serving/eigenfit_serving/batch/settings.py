"""What shapes the rows of an answer, and what only shapes the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from eigenfit_serving.batch.model import ModelFacts

if TYPE_CHECKING:
    import pyarrow as pa

Keep = Literal["best", "all"]

_NUMBERS_PER_CALL = 2**20
_NUMBERS_PER_PART = 2**22
_PARTS_PER_WORKER = 8
_SMALL_PART, _SMALLEST_PART = 2048, 256
_SMALLEST_BATCH, _LARGEST_BATCH = 64, 16384


@dataclass(frozen=True)
class Settings:
    """How rows are solved; part of what a resumed run must agree with.

    Attributes:
        seed: Of the random starts.
        starts: Fits of each row; None for one.
        keep: With `starts`, what is kept of them.
        tolerance: Loss at which a fit has converged, where a row has none of its own;
            None for the default, relative to the targets of each row.
        max_steps: Steps at most, where a row has none of its own.
    """

    seed: int = 0
    starts: int | None = None
    keep: Keep = "best"
    tolerance: float | None = None
    max_steps: int = 100

    @property
    def members(self) -> int:
        """Fits of each row."""
        return self.starts or 1


@dataclass(frozen=True)
class Job:
    """What every worker is told once.

    Attributes:
        model: Of the exported model.
        settings: How rows are solved.
        batch_size: Fits in one call of the model.
        threads: Of TensorFlow in each worker.
        gpu: Whether a worker computes on a GPU.
        inputs: Parquet files of the rows and the number of rows of each.
        schema: Of the rows.
        parts: Folder of the output parts.
        drafts: Folder of files that are being written.
    """

    model: ModelFacts
    settings: Settings
    batch_size: int
    threads: int
    gpu: bool
    inputs: tuple[tuple[str, int], ...]
    schema: pa.Schema
    parts: str
    drafts: str


def default_batch_size(facts: ModelFacts) -> int:
    """Chooses the number of fits in a call.

    Larger batches spend less on TensorFlow's calls, until the intermediate tensors
    leave the cache. For n = 3 the time of a row falls from 3.1 us (1024) to 1.9 us
    (16384) and rises again from 65536 on.

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
    """Chooses the number of rows of an output part.

    It bounds the memory, and it is the work that is lost with a worker: a part and its
    input hold about 32 MB, for n = 3 131072 rows. Small inputs are divided so that all
    workers have something to do to the end.

    Args:
        job: What is to be done.
        total: Rows of the input.
        workers: Among whom it is divided.
    """
    facts = job.model
    own = facts.targets + 2 * facts.parameters + facts.levels + 8
    kept = job.settings.members if job.settings.keep == "all" else 1
    largest = _power_below(_NUMBERS_PER_PART // (own * kept))
    share = _power_below(total // (_PARTS_PER_WORKER * workers))
    return max(_SMALLEST_PART, min(largest, max(share, _SMALL_PART)))


def _power_below(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)
