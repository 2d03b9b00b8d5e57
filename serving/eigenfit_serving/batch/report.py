"""What a run tells at its end: an object, a JSON file, a few lines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eigenfit_serving.batch.output import CODE_NAMES

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class BatchReport:
    """How a run went.

    Attributes:
        model: What solved the rows.
        input: Where they came from.
        output: Where the answers are.
        rows: Rows of the input that were asked for.
        counts: Of them, by name of the code; names of none are left out.
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
            draft: The file until it is whole, in the same folder.

        Raises:
            OSError: If it cannot be written.
        """
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(path)

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
            style = "green" if name == "converged" else "yellow"
            table.add_row(f"{number:,}", Text(name, style=style))
        table.add_row(f"{self.rows:,}", "rows")
        console.print(table)
        rate = f"{self.rows_per_second:,.0f} rows/s" if self.rows_per_second else ""
        times = [f"{self.seconds:.1f} s", rate]
        if self.rows_before:
            times.append(f"{self.rows_before:,} rows were there before")
        if self.deaths:
            times.append(f"{self.deaths} workers died and were replaced")
        console.print(Text(", ".join(x for x in times if x)))
        console.print(Text(f"Wrote {self.output}"), soft_wrap=True)


def named_counts(counts: list[int]) -> dict[str, int]:
    """Names counts by code, leaving zeros out.

    Example:
        >>> named_counts([3, 0, 1])
        {'converged': 3, 'max_steps': 1}
    """
    return {k: n for k, n in zip(CODE_NAMES, counts, strict=False) if n}
