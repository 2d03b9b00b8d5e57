"""eigenfit and other ways to solve the same problems, in turn in one process.

Run it with

    python benchmarks/compare.py --json results.json --plot results.png

Everything is float64 and timed after a warm-up call, from NumPy arrays to NumPy arrays.
NumPy decides what is solved. A ratio is the median, over rounds in which all take
turns, of the time per start against that of eigenfit in the same round.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# In one process the thread pools of NumPy, SciPy and PyTorch fight: with two threads
# each, matrices of order 32 take them 10 to 30 times as long as with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import datetime
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import peers
import picture
import tensorflow as tf
import typer
from floors import FLOORS
from problems import PROBLEMS, SOLVED, Data
from rich.console import Console
from rich.table import Table

import eigenfit as ef

PACKAGES = ["eigenfit", "tensorflow", "numpy", "jax", "optimistix", "scipy", "torch"]
SHORTEST = 0.02  # seconds of one measurement: quick calls are repeated


@dataclass
class Row:
    """What was measured of one way to solve a problem; times in seconds."""

    title: str
    count: int  # starts that were run
    of: int  # starts of the problem
    solved: int | None = None  # of those run; None for a floor
    per_start: float = float("nan")  # median over the rounds
    per_solved: float | None = None
    ratio: float = float("nan")  # to the first row, per start
    ratio_solved: float | None = None
    rounds: list[float] = field(default_factory=list)


class Eigenfit:
    """The library as its users call it, with the default method."""

    def __init__(self, data: Data, compile: str) -> None:
        self.title = f'eigenfit, compile="{compile}"'
        self.count = len(data.starts)
        structure = {
            "packed": lambda: ef.Symmetric(data.order),
            "additive": lambda: ef.Additive(data.offset),
            "affine": lambda: ef.Affine(data.basis, data.offset),
        }[data.kind]()
        weights = 1 / data.scale**2 if data.relative else None
        self._solver = ef.Solver(
            ef.Problem(structure, ef.Levels(weights=weights)), compile=compile
        )
        self._targets = data.targets
        self._starts = data.starts if self.count > 1 else data.starts[0]

    def run(self) -> np.ndarray:
        """Solves from all starts."""
        solution = self._solver.fit(self._starts, self._targets, tolerance=SOLVED**2)
        return solution.parameters.numpy().reshape([self.count, -1])


def seconds_of(run: Callable[[], Any], number: int) -> float:
    """Times `number` calls and gives the mean."""
    began = time.perf_counter()
    for _ in range(number):
        run()
    return (time.perf_counter() - began) / number


def measure(entries: list[Any], rows: list[Row], repeat: int, limit: float) -> None:
    """Fills the times of rows, in rounds in which all entries take turns.

    Args:
        entries: With `run` and `count`; the first is what ratios refer to.
        rows: For each of them.
        repeat: Number of rounds at most.
        limit: Seconds after which no round is begun, nor a slow entry run again.
    """
    numbers = []
    for entry in entries:
        once = seconds_of(entry.run, 1)
        numbers.append(max(1, min(1000, round(SHORTEST / once))))
    spent = dict.fromkeys(range(len(entries)), 0.0)
    began = time.perf_counter()
    for _ in range(repeat):
        if rows[0].rounds and time.perf_counter() - began > limit:
            break
        for i, (entry, row) in enumerate(zip(entries, rows, strict=True)):
            # A slow peer has its share of the time and no more.
            if row.rounds and i and spent[i] > limit / len(entries):
                continue
            seconds = seconds_of(entry.run, numbers[i])
            spent[i] += seconds * numbers[i]
            row.rounds.append(seconds / entry.count)
    first = np.array(rows[0].rounds)
    for row in rows:
        row.per_start = float(np.median(row.rounds))
        row.ratio = float(np.median(row.rounds / first[: len(row.rounds)]))
        if row.solved is None:
            continue
        if row.solved:
            row.per_solved = row.per_start * row.count / row.solved
        if row.solved and rows[0].solved:
            mine, theirs = rows[0].solved / rows[0].count, row.solved / row.count
            row.ratio_solved = row.ratio * mine / theirs


def compare(data: Data, quick: bool, repeat: int, limit: float, with_peers: bool):
    """Measures all ways to solve one problem.

    Returns:
        Rows, and the titles of absent peers.
    """
    entries: list[Any] = [Eigenfit(data, "auto")]
    # Where XLA is the faster way once it has compiled.
    if len(data.starts) == 1 or data.order <= 4:
        entries.append(Eigenfit(data, "xla"))
    absent: list[str] = []
    if with_peers:
        others, absent = peers.build(data, quick)
        entries += others
    rows = []
    for entry in entries:
        # The warm-up call: tracing, compiling, and what it solves.
        norms = data.residual_norms(entry.run())
        solved = int(np.sum(norms <= SOLVED))
        rows.append(Row(entry.title, entry.count, len(data.starts), solved))
    measure(entries, rows, repeat, limit)
    return rows, absent


def floor(name: str, quick: bool, repeat: int) -> tuple[str, list[Row]]:
    """Measures eigenfit against the least that any method must do."""
    title, count, entries = FLOORS[name](quick)
    rows = [Row(entry.title, entry.count, count) for entry in entries]
    for entry in entries:
        entry.run()
    measure(entries, rows, 5 * repeat, 10.0)
    return title, rows


def show(console: Console, title: str, rows: list[Row], absent: list[str]) -> None:
    """Prints the table of one problem."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("")
    for column in ("solved", "per start", "ratio", "per solved start", "ratio"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.title + (" *" if row.count < row.of else ""),
            "" if row.solved is None else f"{row.solved} of {row.count}",
            picture.duration(row.per_start),
            picture.number(row.ratio),
            "" if row.solved is None else picture.duration(row.per_solved),
            "" if row.solved is None else picture.number(row.ratio_solved),
        )
    console.print(table)
    if any(row.count < row.of for row in rows):
        console.print("* on a sample of the starts, one by one or in one batch")
    for name in absent:
        console.print(f"{name}: not installed")
    console.print()


def machine() -> dict[str, Any]:
    """Describes where and with what this ran."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [x.partition(":")[2].strip() for x in lines if "model name" in x]
        model = names[0] if names else model
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds"),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "cpu": model,
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "python": platform.python_version(),
        "blas_threads": os.environ["OPENBLAS_NUM_THREADS"],
        "versions": versions,
    }


def main(
    quick: Annotated[bool, typer.Option(help="Small batches, under a minute.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Rounds at most.")] = 7,
    only: Annotated[
        list[str] | None, typer.Option(help="Problem or floor; may be given again.")
    ] = None,
    with_peers: Annotated[
        bool, typer.Option("--peers/--no-peers", help="Whether to run the others.")
    ] = True,
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot")] = None,
) -> None:
    """Compares eigenfit with its peers and with the floor."""
    known = [*PROBLEMS, *FLOORS]
    for name in only or []:
        if name not in known:
            raise typer.BadParameter(
                f"{name!r} is none of {', '.join(known)}.", param_hint="--only"
            )
    console = Console(width=110)
    record: dict[str, Any] = {"machine": machine(), "quick": quick, "results": []}
    console.print(record["machine"])
    for name in only or known:
        absent: list[str] = []
        if name in PROBLEMS:
            data = PROBLEMS[name](quick)
            title = f"{name}: {data.title}"
            limit = 0.3 if quick else 30.0
            rows, absent = compare(data, quick, repeat, limit, with_peers)
        else:
            title, rows = floor(name, quick, repeat)
            title = f"{name}: {title}"
        show(console, title, rows, absent)
        record["results"].append(
            {
                "name": name,
                "title": title,
                "rows": [asdict(row) for row in rows],
                "absent": absent,
            }
        )
        # After each problem, so that an interrupted run leaves what it has.
        if json_path:
            json_path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    if plot_path:
        picture.draw(record, plot_path)


if __name__ == "__main__":
    typer.run(main)
