"""The report at the end of a run: an object, a JSON file, a few printed lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigenfit_serving.batch.answers.output import SUCCESSES
from eigenfit_serving.batch.tables.writing import whole_file

if TYPE_CHECKING:
    from rich.console import Console

_DRAWS = {
    "uniform": "random, uniform from low to high",
    "normal": "random, normal around centre",
    "bounds": "random, natural: between the bounds",
    "scales": "random, natural: of the scales of the parameters",
    "spectrum": "random, natural: spectra of the size of the targets",
    "sizes": "random, natural: normal, of the size that the targets ask for",
    "standard-normal": "random, natural: standard normal",
}


def start_text(start: dict[str, Any]) -> str:
    """Describes where rows without `initial` begin.

    Args:
        start: Entry `start` of the manifest of a model.

    Example:
        >>> start_text({"kind": "natural", "draw": "spectrum"})
        'Rows without initial began at random, natural: spectra of the size of the
        targets; no [start] was given.'
    """
    if start["kind"] == "given":
        rows = start["parameters"]
        shown = ", ".join(f"{x:g}" for x in rows[0][:8]) + ", ..." * (len(rows[0]) > 8)
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        return f"Rows without initial began at the given start, {shown}{more}."
    said = "" if start["kind"] != "natural" else "; no [start] was given"
    return f"Rows without initial began at {_DRAWS[start['draw']]}{said}."


@dataclass(frozen=True)
class BatchReport:
    """How a run went.

    Attributes:
        model: Path of the model or problem file.
        input: Path of the input.
        output: Path of the output.
        rows: Number of input rows to solve.
        counts: Rows by name of the result code; zeros are left out.
        success: Rows that converged or reached a least-squares minimum.
        start: Where rows without `initial` began: given starts, or the name of the
            draw; as in the manifest of the model.
        rows_before: Rows done by earlier runs.
        engine: `local` or `ray`.
        workers: Number of processes or actors.
        batch_size: Fits in one call of the model.
        seed: Seed of the random starts.
        starts: Starts per row; None for one.
        keep: What was kept of several starts: `best` or `all`.
        seconds: Wall time of this run.
        seconds_starting: Part of it until the first worker was ready.
        seconds_assembling: Part of it spent joining parts in one file.
        rows_per_second: Rate of this run between these two phases.
        deaths: Number of workers that died with a part, which was tried again.
        agreement: SHA-256 of model, input and settings.
    """

    model: str
    input: str
    output: str
    rows: int
    counts: dict[str, int]
    success: int
    start: dict[str, Any]
    rows_before: int
    engine: str
    workers: int
    batch_size: int
    seed: int
    starts: int | None
    keep: str
    seconds: float
    seconds_starting: float
    seconds_assembling: float
    rows_per_second: float
    deaths: int
    agreement: str

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
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(justify="right")
        table.add_column()
        for name, number in self.counts.items():
            style = "green" if name in SUCCESSES else "yellow"
            table.add_row(f"{number:,}", Text(name, style=style))
        table.add_row(f"{self.rows:,}", "rows")
        console.print(table)
        console.print(Text(start_text(self.start)), soft_wrap=True)
        rate = f"{self.rows_per_second:,.0f} rows/s" if self.rows_per_second else ""
        times = [f"{self.seconds:.1f} s", rate]
        if self.rows_before:
            times.append(f"{self.rows_before:,} rows were there before")
        if self.deaths:
            times.append(f"{self.deaths} workers died and were replaced")
        console.print(Text(", ".join(x for x in times if x)))
        console.print(Text(f"Wrote {self.output}"), soft_wrap=True)
