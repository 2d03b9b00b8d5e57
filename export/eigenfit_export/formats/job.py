"""What a writer of a format is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from eigenfit import Solver
from eigenfit_export.probes.stored import Probe
from eigenfit_export.starts import Start


@dataclass(frozen=True)
class Job:
    """An export, for the writer of one format.

    Attributes:
        solver: To export.
        folder: Of the version.
        probes: Inputs and answers of every function, three members each.
        max_steps_limit: Largest `max_steps` of a caller.
        warmup_batches: Sizes of the batches that a server runs first.
        stablehlo_batches: Sizes of the batches for which StableHLO is made.
        start: Where fits begin that were told no start.
        progress: Told what is being done.
        only: Functions of a SavedModel; None for all.
    """

    solver: Solver
    folder: Path
    probes: dict[str, Probe]
    max_steps_limit: int
    warmup_batches: Sequence[int]
    stablehlo_batches: Sequence[int]
    start: Start
    progress: Callable[[str], None]
    only: Collection[str] | None
