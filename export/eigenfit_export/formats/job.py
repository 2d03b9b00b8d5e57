"""The job that the writer of a format is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from eigenfit import Solver
from eigenfit_export.probes.stored import Probe
from eigenfit_export.starts import Start


@dataclass(frozen=True)
class Job:
    """An export, as the writer of one format sees it.

    Attributes:
        solver: Solver to export.
        folder: Folder of the version.
        probes: Inputs and expected outputs by function; writers may add some.
        max_steps_limit: Largest `max_steps` of a caller.
        warmup_batches: Batch sizes that a server runs first.
        stablehlo_batches: Batch sizes for which StableHLO is compiled.
        start: Start of fits that are given none.
        progress: Called with what is being done.
        only: Names of the functions of a SavedModel; None for all.
        compiled_default: Whether XLA compiles `serving_default` of a SavedModel.
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
    compiled_default: bool
