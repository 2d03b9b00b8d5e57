"""Runs a batch from beginning to end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from eigenfit_serving.batch.answers.output import (
    SUCCESSES,
    added,
    named_counts,
    output_schema,
)
from eigenfit_serving.batch.answers.progress import shown
from eigenfit_serving.batch.answers.report import BatchReport, start_text
from eigenfit_serving.batch.engines.local import LocalEngine
from eigenfit_serving.batch.engines.ray_engine import RayEngine
from eigenfit_serving.batch.plan.parts import Part, Pending, remaining
from eigenfit_serving.batch.plan.run_folder import Places, claimed
from eigenfit_serving.batch.plan.source import Model
from eigenfit_serving.batch.plan.table import Table
from eigenfit_serving.batch.settings import (
    Job,
    Keep,
    ModelFacts,
    Settings,
    default_batch_size,
    rows_per_part,
)
from eigenfit_serving.batch.tables.writing import assemble, check_ids, write_part
from eigenfit_serving.errors import InputError

Engine = LocalEngine | RayEngine

_LEAST = {
    "batch_size": 1,
    "workers": 1,
    "gpus": 0,
    "limit": 1,
    "starts": 1,
    "seed": -(2**63),
    "max_steps": 0,
}
"""Lower limits of integer arguments, which may also be None."""
_KNOWN = {"engine": ("local", "ray"), "keep": ("best", "all")}


def run_batch(
    model: str | os.PathLike[str],
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    engine: Literal["local", "ray"] = "local",
    batch_size: int | None = None,
    workers: int | None = None,
    gpus: int = 0,
    resume: bool = False,
    limit: int | None = None,
    starts: int | None = None,
    keep: Keep = "best",
    seed: int | None = None,
    tolerance: float | None = None,
    max_steps: int | None = None,
    address: str | None = None,
    console: Console | None = None,
) -> BatchReport:
    """Solves the problems of a table and writes a table of their solutions.

    Columns are described in `batch.tables.columns` and `batch.answers.output`. The rows
    of the answer are in the order of the input, and are the same whatever the engine,
    the number of workers and the batch size (up to the last digits). Malformed rows,
    and those that cannot be solved, get a result code and never stop the run.

    Args:
        model: Folder of an exported model, or a problem file to export. The start,
            tolerance, steps and seed of that file are used, but not its targets or its
            number of starts.
        input: A table: a file, or a folder of files.
        output: A file (.parquet, .csv, .arrow), or a folder for Parquet files.
        engine: `local` for processes of this machine, `ray` for actors.
        batch_size: Fits in one call of the model; by default chosen by its size.
        workers: Number of processes or actors; by default one per GPU, or else core.
        gpus: Number of GPUs to use.
        resume: Whether to continue a run that ended early; begins one if there is none.
        limit: Number of rows to solve, from the first; all by default.
        starts: Number of fits per row: the first from `initial`, if the row has it,
            then from the starts of the model or problem file, then from random ones.
        keep: `best` for one solution per row, `all` for the distinct ones.
        seed: Seed of the random starts.
        tolerance: Loss at which a fit has converged, for rows without their own; by
            default relative to the targets of each row.
        max_steps: Step limit, for rows without their own.
        address: Address of a Ray cluster.
        console: Console that shows the progress; none by default.

    Returns:
        The report, which is also written beside the output.

    Raises:
        InputError: If an argument, the model or a column is wrong, or a file cannot be
            read or written; finished work is kept for `resume`.
    """
    _check(locals())
    places = Places(Path(output))
    source = Model.of(Path(model))
    if Path(input).resolve() == places.output.resolve():
        raise InputError(f"OUTPUT = {output}: is INPUT as well. Give another name.")
    table = Table.of(
        Path(input),
        weights=source.problem is not None,
        leave_out=(places.output, places.state),
    )
    suffix = places.output.suffix.lower() if places.is_file else ".parquet"
    check_ids(table.id_type, table.path, suffix)
    own = source.problem.fit if source.problem else None
    if own:
        tolerance = own.tolerance if tolerance is None else tolerance
        max_steps = own.max_steps if max_steps is None else max_steps
        seed = own.seed if seed is None else seed
    source.check(tolerance, max_steps)
    run = _Run(
        source=source,
        table=table,
        places=places,
        engine=make_engine(engine, workers, gpus, address),
        settings=Settings(seed or 0, starts, keep, tolerance, max_steps),
        batch_size=batch_size,
        gpus=gpus,
        limit=limit,
        console=console or Console(quiet=True, force_terminal=False),
    )
    return run.go(resume)


def _check(given: Mapping[str, Any]) -> None:
    # Checks that need no file; names the first wrong argument, its value and a remedy.
    for name, least in _LEAST.items():
        value = given[name]
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_integer and value >= least):
            raise InputError(
                f"{name} = {value!r}: must be an integer of at least {least}."
            )
    for name, known in _KNOWN.items():
        if given[name] not in known:
            raise InputError(f"{name} = {given[name]!r}: must be {' or '.join(known)}.")
    if given["keep"] == "all" and given["starts"] is None:
        raise InputError("keep = 'all': needs starts, the number of fits of a row.")
    address = given["address"]
    if address is not None and given["engine"] != "ray":
        raise InputError(f"address = {address!r}: is for engine = ray.")
    if address is not None and address.startswith("ray://"):
        raise InputError(
            f"address = {address!r}: Ray's client cannot run Ray Data. On a machine of "
            f"the cluster, give address = 'auto', or host:port of the head (6379)."
        )
    tolerance = given["tolerance"]
    is_number = isinstance(tolerance, float | int)
    if tolerance is not None and not (is_number and 0 < tolerance < float("inf")):
        raise InputError(f"tolerance = {tolerance!r}: must be a positive number.")


def make_engine(
    name: str, workers: int | None, gpus: int, address: str | None
) -> Engine:
    """Makes the engine that was asked for; see `run_batch` for the arguments."""
    if address is not None:
        return RayEngine(workers or gpus or None, gpus, 1, address)
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    number = workers or gpus or cores
    make = LocalEngine if name == "local" else RayEngine
    return make(number, gpus, max(1, cores // number))


@dataclass(frozen=True)
class _Run:
    source: Model
    table: Table
    places: Places
    engine: Engine
    settings: Settings
    batch_size: int | None
    gpus: int
    limit: int | None
    console: Console

    def go(self, resume: bool) -> BatchReport:
        began = time.perf_counter()
        agreement, places = self._agreement(), self.places
        digest = hashlib.sha256(json.dumps(agreement).encode()).hexdigest()
        if resume and (finished := self._finished(digest)):
            self._say("The run was finished before. This is its report:")
            return finished
        with claimed(places, agreement, resume=resume):
            done = places.done()
            try:
                job, total = self._prepare()
            except InputError:
                if not done:
                    # No part is done yet, so a later run may begin afresh.
                    places.remove_state()
                raise
            self._say(start_text(job.model.start, self.settings.starts))
            before = sum(part.rows for part in done)
            started, deaths = self._work(job, total, done)
            solved = time.perf_counter()
            if missing := total - sum(part.rows for part in done):
                raise InputError(
                    f"OUTPUT = {places.output}: {missing} rows are still missing. Go "
                    f"on with --resume."
                )
            self._assemble(job.model, sorted(done, key=lambda part: part.first))
            finished = time.perf_counter()
            counts = named_counts(added(done.values()))
            report = BatchReport(
                model=str(self.source.path),
                input=str(self.table.path),
                output=str(places.output),
                rows=total,
                counts=counts,
                success=sum(counts.get(name, 0) for name in SUCCESSES),
                start=job.model.start,
                rows_before=before,
                engine=self.engine.name,
                workers=self.engine.workers or 0,
                batch_size=job.batch_size,
                seed=self.settings.seed,
                starts=self.settings.starts,
                keep=self.settings.keep,
                seconds=finished - began,
                seconds_starting=started - began,
                seconds_assembling=finished - solved,
                rows_per_second=(total - before) / max(solved - started, 1e-9),
                deaths=deaths,
                agreement=digest,
            )
            report.write(places.report, places.drafts)
            places.rows.unlink(missing_ok=True)
            if places.is_file:
                places.remove_state()
        return report

    def _agreement(self) -> dict[str, Any]:
        return {
            "MODEL_OR_PROBLEM": self.source.digest,
            "INPUT": self.table.agreement(),
            "limit": self.limit,
            **asdict(self.settings),
            "keep": self.settings.keep if self.settings.starts else None,
        }

    def _finished(self, digest: str) -> BatchReport | None:
        # The report of the same run, if it has ended well.
        places = self.places
        if not places.output.exists():
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            report = BatchReport.read(places.report)
            whole = places.is_file or sum(x.rows for x in places.done()) == report.rows
            if whole and report.agreement == digest:
                if places.is_file:
                    # The earlier run may have been killed while doing this.
                    places.remove_state()
                return report
        if places.state.exists() or not places.is_file:
            return None
        raise InputError(
            f"OUTPUT = {places.output}: is there already, and was not made by this "
            f"run. Remove it, or give another name."
        )

    def _prepare(self) -> tuple[Job, int]:
        # Converts and exports what is to be; what is to be done, and of how many rows.
        places, threads = self.places, self.engine.cores
        inputs = self.table.rows(places, self.limit, self._say)
        total = sum(sum(groups) for _, groups in inputs)
        total = total if self.limit is None else min(total, self.limit)
        if self.source.problem:
            self._say("Exporting the problem ...")
        weighted, settings = "weights" in self.table.schema.names, self.settings
        facts = self.source.exported(
            places.state / "model", weighted, settings.max_steps, threads
        )
        job = Job(
            model=facts,
            settings=settings,
            batch_size=self.batch_size or default_batch_size(facts),
            threads=threads,
            gpu=self.gpus > 0,
            inputs=inputs,
            schema=self.table.schema,
            parts=places.parts,
            drafts=places.drafts,
        )
        return job, total

    def _work(
        self, job: Job, total: int, done: dict[Part, list[int]]
    ) -> tuple[float, int]:
        # Returns when the first worker was ready, and how many died.
        size = rows_per_part(job, total, self.engine.workers or 16)
        pending = Pending(remaining(total, size, {x.first: x.rows for x in done}))
        ready, before = None, sum(part.rows for part in done)
        if not pending.waiting:
            return time.perf_counter(), 0
        with (
            shown(self.console, total, before) as update,
            contextlib.closing(self.engine.run(job, pending)) as events,
        ):
            for event in events:
                now = time.perf_counter()
                ready = ready or (now if event.ready else None)
                working = [event.counts] if event.counts else []
                if event.done:
                    done[event.done], working = list(event.counts), []
                if ready is not None:
                    counts = added([*done.values(), *working])
                    update(counts, (sum(counts) - before) / max(now - ready, 1e-9))
        return ready or time.perf_counter(), pending.deaths

    def _assemble(self, facts: ModelFacts, parts: list[Part]) -> None:
        places, several = self.places, self.settings.starts is not None
        schema = output_schema(self.table.id_type, facts, several)
        if places.is_file:
            files = [places.parts / part.name for part in parts]
            assemble(files, schema, places.output, places.drafts)
        elif not parts:
            path = places.parts / Part(0, 0).name
            write_part(schema.empty_table(), added([]), path, places.drafts)

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
