"""A run from beginning to end."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from eigenfit_serving.batch.arguments import check_arguments
from eigenfit_serving.batch.engine_choice import make_engine
from eigenfit_serving.batch.engines import Engine, EngineError
from eigenfit_serving.batch.id_types import check_ids
from eigenfit_serving.batch.ledger import (
    Ledger,
    Places,
    covered,
    open_ledger,
    remove_state,
)
from eigenfit_serving.batch.model import ModelFacts
from eigenfit_serving.batch.output import (
    CODE_NAMES,
    SUCCESSES,
    named_counts,
    output_schema,
)
from eigenfit_serving.batch.parts import Part, remaining
from eigenfit_serving.batch.pending import Pending
from eigenfit_serving.batch.progress import Bar, shown
from eigenfit_serving.batch.report import BatchReport, start_text
from eigenfit_serving.batch.settings import (
    Job,
    Keep,
    Settings,
    default_batch_size,
    rows_per_part,
)
from eigenfit_serving.batch.source import Model, Table
from eigenfit_serving.batch.writing import assemble, unwritable, write_part
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console


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

    Columns are described in `eigenfit_serving.batch.columns` and `.output`. The rows
    of the answer are in the order of the input, and are the same whatever the engine,
    the number of workers and the batch size (but for the last digits). Rows that
    cannot be solved, and malformed ones, get their code and never stop the run.

    Args:
        model: Folder of an exported model, or a problem file, of which one is
            exported. Targets of that file are not used, nor is the number of starts;
            its start, tolerance, steps and seed are.
        input: A table: a file, or a folder of files.
        output: A file (.parquet, .csv, .arrow), or a folder for Parquet files.
        engine: `local`, processes of this machine; `ray`, actors.
        batch_size: Fits in one call of the model; chosen by its size by default.
        workers: Processes or actors; one for each core, or GPU, by default.
        gpus: Number of GPUs to use.
        resume: Goes on with a run that ended early; begins one if there is none.
        limit: Rows at most.
        starts: Fits of each row: the first from `initial`, where a row has it, then
            from the starts that the model or the problem file gives, then from random
            ones.
        keep: `best`, one solution for each row, or `all` distinct ones.
        seed: Of the random starts.
        tolerance: Loss at which a fit has converged, for rows without their own; by
            default relative to the targets of each row.
        max_steps: Steps at most, for rows without their own.
        address: Of a Ray cluster.
        console: Where to show the progress; nowhere by default.

    Returns:
        The report, which is also written beside the output.

    Raises:
        InputError: If an argument, the model or a column is wrong, or a file cannot be
            read or written; what is done is kept for `resume`.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            'INPUT: tables need pyarrow. Install it: pip install "eigenfit[batch]"'
        )
    check_arguments(
        {"batch_size": batch_size, "workers": workers, "limit": limit},
        engine=engine,
        gpus=gpus,
        starts=starts,
        keep=keep,
        seed=seed,
        tolerance=tolerance,
        max_steps=max_steps,
    )
    places = Places.of(Path(output))
    source = Model.of(Path(model))
    if Path(input).resolve() == places.output.resolve():
        raise InputError(f"OUTPUT = {output}: is INPUT as well. Give another name.")
    table = Table.of(
        Path(input),
        weights=source.problem is not None,
        leave_out=(places.output, places.state),
    )
    check_ids(table.id_type, table.path, places.output, places.is_file)
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
        settings=Settings(
            seed=seed or 0,
            starts=starts,
            keep=keep,
            tolerance=tolerance,
        ),
        max_steps=max_steps,
        batch_size=batch_size,
        gpus=gpus,
        limit=limit,
    )
    return run.go(resume, console)


@dataclass
class _Clock:
    began: float = field(default_factory=time.perf_counter)
    ready: float | None = None
    solved: float | None = None
    finished: float | None = None

    @staticmethod
    def now() -> float:
        return time.perf_counter()


@dataclass(frozen=True)
class _Run:
    source: Model
    table: Table
    places: Places
    engine: Engine
    settings: Settings
    max_steps: int | None
    batch_size: int | None
    gpus: int
    limit: int | None

    def go(self, resume: bool, console: Console | None) -> BatchReport:
        clock = _Clock()
        agreement = self._agreement()
        digest = hashlib.sha256(json.dumps(agreement).encode()).hexdigest()
        if resume and (finished := self._finished(digest)):
            _say(console, "The run was finished before. This is its report:")
            return finished
        with open_ledger(self.places, agreement, resume=resume) as ledger:
            if self.source.problem:
                _say(console, "Exporting the problem ...")
            job, parts, schema, facts = self._prepare()
            _say(console, start_text(facts.start))
            total = sum(part.rows for part in parts)
            before = sum(covered(ledger.done).values())
            pending = Pending(remaining(parts, covered(ledger.done)))
            if before < total:
                with shown(console, total, before) as bar:
                    self._work(job, pending, ledger, bar, clock, before)
            missing = total - sum(covered(ledger.done).values())
            if missing:
                raise EngineError(
                    f"OUTPUT = {self.places.output}: {missing} rows are still "
                    f"missing. Go on with --resume."
                )
            clock.solved = clock.now()
            self._finish(ledger, schema)
            clock.finished = clock.now()
            report = self._report(
                ledger, job, total, before, pending.deaths, clock, digest, facts.start
            )
            try:
                report.write(self.places.report, self.places.draft_of_report)
            except OSError as error:
                raise unwritable(self.places.report, error) from error
            if self.places.is_file:
                remove_state(self.places)
        return report

    def _agreement(self) -> dict[str, Any]:
        return {
            "MODEL_OR_PROBLEM": self.source.digest,
            "INPUT": self.table.agreement(),
            "limit": self.limit,
            "seed": self.settings.seed,
            "starts": self.settings.starts,
            "keep": self.settings.keep if self.settings.starts else None,
            "tolerance": self.settings.tolerance,
            "max_steps": self.max_steps,
        }

    def _finished(self, digest: str) -> BatchReport | None:
        # The report of a run that ended well and left one file.
        places = self.places
        if not places.is_file or not places.output.exists():
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            report = BatchReport.read(places.report)
            if report.agreement == digest:
                # It may have been killed while it did this.
                remove_state(places)
                return report
        if places.state.exists():
            return None
        raise InputError(
            f"OUTPUT = {places.output}: is there already, and was not made by this "
            f"run. Remove it, or give another name."
        )

    def _prepare(self) -> tuple[Job, list[Part], pa.Schema, ModelFacts]:
        # Exports what is to be exported, and divides the input.
        threads = self.engine.cores
        blocks = self.table.blocks()
        total = sum(rows for own in blocks for _, rows in own)
        total = total if self.limit is None else min(total, self.limit)
        weights: list[tuple[float, ...]] = []
        if self.table.has_weights and self.source.problem:
            targets = len(self.source.problem.target_names)
            whole_files = self.table.parts(blocks, total, total)
            weights = self.table.weights(whole_files, targets)
        folder = self.places.state / "model"
        facts, models = self.source.exported(folder, weights, self.max_steps, threads)
        steps = facts.default_max_steps if self.max_steps is None else self.max_steps
        settings = replace(self.settings, max_steps=steps)
        rows = rows_per_part(facts, settings, total, self.engine.workers or 16)
        parts = self.table.parts(blocks, rows, total)
        job = Job(
            models=tuple(map(str, models)),
            weights=tuple(weights),
            settings=settings,
            batch_size=self.batch_size or default_batch_size(facts),
            threads=threads,
            gpu=self.gpus > 0,
            parts=str(self.places.parts),
            drafts=str(self.places.drafts),
        )
        schema = output_schema(
            self.table.id_type, facts, self.settings.starts is not None
        )
        return job, parts, schema, facts

    def _work(
        self,
        job: Job,
        pending: Pending,
        ledger: Ledger,
        bar: Bar,
        clock: _Clock,
        before: int,
    ) -> None:
        entries = [entry["counts"] for entry in ledger.done.values()]
        solved, counts = 0, _sum([[0] * len(CODE_NAMES), *entries])
        with contextlib.closing(self.engine.run(job, pending)) as events:
            for event in events:
                if event.ready and clock.ready is None:
                    clock.ready = clock.now()
                if event.done:
                    ledger.add(event.done)
                if event.solved:
                    solved += event.solved
                    counts = _sum([counts, event.counts])
                    rate = solved / (clock.now() - (clock.ready or clock.began))
                    bar.update(before + solved, counts, rate)

    def _finish(self, ledger: Ledger, schema: pa.Schema) -> None:
        places = self.places
        ledger.remove_others()
        if places.is_file:
            draft = places.drafts / places.output.name
            assemble(ledger.files(), schema, places.output, draft)
        elif not ledger.done:
            name = Part("", 0, 0, 0, 0).name
            write_part(schema.empty_table(), places.parts / name, places.drafts)

    def _report(
        self,
        ledger: Ledger,
        job: Job,
        total: int,
        before: int,
        deaths: int,
        clock: _Clock,
        digest: str,
        start: dict[str, Any],
    ) -> BatchReport:
        solved, finished = clock.solved or clock.began, clock.finished or clock.began
        ready = clock.ready or solved
        counts = _sum([entry["counts"] for entry in ledger.done.values()])
        named = named_counts(counts)
        rate = (total - before) / (solved - ready) if solved > ready else 0.0
        return BatchReport(
            model=str(self.source.path),
            input=str(self.table.path),
            output=str(self.places.output),
            rows=total,
            counts=named,
            success=sum(named.get(name, 0) for name in SUCCESSES),
            start=start,
            rows_before=before,
            engine=self.engine.name,
            workers=self.engine.workers or 0,
            batch_size=job.batch_size,
            seed=self.settings.seed,
            starts=self.settings.starts,
            keep=self.settings.keep,
            seconds=finished - clock.began,
            seconds_starting=ready - clock.began,
            seconds_assembling=finished - solved,
            rows_per_second=rate,
            deaths=deaths,
            agreement=digest,
        )


def _say(console: Console | None, text: str) -> None:
    if console is not None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _sum(counts: Sequence[list[int]]) -> list[int]:
    return [sum(x) for x in zip(*counts, strict=True)]
