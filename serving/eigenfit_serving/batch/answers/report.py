"""What a run tells at its end: an object, a JSON file, a few lines."""

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
    """Says where rows without `initial` begin.

    Args:
        start: Of the manifest of a model.

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
        model: What solved the rows.
        input: Where they came from.
        output: Where the answers are.
        rows: Rows of the input that were asked for.
        counts: Of them, by name of the code; names of none are left out.
        success: Of them, those that converged or are a least-squares minimum.
        start: Where rows without `initial` began: given starts, or the name of the
            draw; as in the manifest of the model.
        rows_before: Of them, those done by earlier runs.
        engine: `local` or `ray`.
        workers: Processes or actors.
        batch_size: Fits in one call of the model.
        seed: Of the random starts.
        starts: Of each row; None for one.
        keep: What was kept of several starts.
        seconds: Of this run, from its beginning to its end.
        seconds_starting: Of them, until the first worker was ready.
        seconds_assembling: Of them, to put parts together in one file.
        rows_per_second: Of this run, between those two.
        deaths: Workers that died with a part, which was tried again.
        agreement: Digest of model, input and settings.
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

    def write(self, path: Path, draft: Path) -> None:
        """Writes it as JSON.

        Args:
            path: Of the file.
            draft: The file until it is whole, on the same disk.

        Raises:
            OutputError: If it cannot be written.
        """
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        with whole_file(path, draft) as file:
            file.write(f"{text}\n".encode())

    @staticmethod
    def read(path: Path) -> BatchReport:
        """Reads it again."""
        return BatchReport(**json.loads(path.read_text(encoding="utf-8")))

    def print(self, console: Console) -> None:
        """Prints it."""
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
