"""The report at the end of a run: an object, a JSON file, a few printed lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eigenfit_serving.batch.answers.output import SUCCESSES
from eigenfit_serving.batch.tables.writing import whole_file
from eigenfit_serving.problem_file.start import drawn


def start_text(start: dict[str, Any], starts: int | None = None) -> str:
    """Describes the entry `start` of a manifest: where `starts` of a row begin.

    Example:
        >>> start_text({"kind": "natural", "draw": "spectrum"})
        'Rows without initial began at random, natural: spectra of the size of the
        targets; no [start] was given.'
    """
    if start["kind"] == "given":
        rows = start["parameters"]
        shown = ", ".join(f"{x:g}" for x in rows[0][:8]) + ", ..." * (len(rows[0]) > 8)
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        if (starts or 1) > len(rows):
            more += f"; further starts were drawn, {drawn(start)}"
        return f"Rows without initial began at the given start, {shown}{more}."
    said = "" if start["kind"] != "natural" else "; no [start] was given"
    return f"Rows without initial began at random, {drawn(start)}{said}."


@dataclass(frozen=True)
class BatchReport:
    """How a run went."""

    model: str  # path of the model or problem file
    input: str  # path of the input
    output: str  # path of the output
    rows: int  # number of input rows to solve
    counts: dict[str, int]  # rows by name of the result code; zeros are left out
    success: int  # rows that converged or reached a least-squares minimum
    start: dict[str, Any]  # where rows without `initial` began, as in the manifest
    rows_before: int  # rows done by earlier runs
    engine: str  # `local` or `ray`
    workers: int  # number of processes or actors
    batch_size: int  # fits in one call of the model
    seed: int  # of the random starts
    starts: int | None  # starts per row; None for one
    keep: str  # what was kept of several starts: `best` or `all`
    seconds: float  # wall time of this run
    seconds_starting: float  # part of it until the first worker was ready
    seconds_assembling: float  # part of it spent joining parts in one file
    rows_per_second: float  # rate of this run between these two phases
    deaths: int  # workers that died with a part, which was tried again
    agreement: str  # SHA-256 of model, input and settings

    def write(self, path: Path, drafts: Path) -> None:
        """Writes the report as JSON; arguments and errors are those of `whole_file`."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        with whole_file(path, drafts) as file:
            file.write(f"{text}\n".encode())

    @staticmethod
    def read(path: Path) -> BatchReport:
        """Reads a report back."""
        return BatchReport(**json.loads(path.read_text(encoding="utf-8")))

    def print(self, console: Console) -> None:
        """Prints the report."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right")
        table.add_column()
        for name, number in self.counts.items():
            style = "green" if name in SUCCESSES else "yellow"
            table.add_row(f"{number:,}", Text(name, style=style))
        table.add_row(f"{self.rows:,}", "rows")
        console.print(table)
        console.print(Text(start_text(self.start, self.starts)), soft_wrap=True)
        rate = f"{self.rows_per_second:,.0f} rows/s" if self.rows_per_second else ""
        times = [f"{self.seconds:.1f} s", rate]
        if self.rows_before:
            times.append(f"{self.rows_before:,} rows were there before")
        if self.deaths:
            times.append(f"{self.deaths} workers died and were replaced")
        console.print(Text(", ".join(x for x in times if x)))
        console.print(Text(f"Wrote {self.output}"), soft_wrap=True)
