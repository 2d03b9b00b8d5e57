"""Time and memory of a batch against its size, for matrices of order 3.

Run it with

    python benchmarks/scaling.py --plot scaling.png

Each size runs in a process of its own, so that its peak of resident memory is its own;
that of a batch of one is subtracted.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

STRUCTURES = ("Symmetric", "Toeplitz")
SIZES = (100, 1000, 10_000, 100_000)
WANTED_BYTES = 4096  # for each member at the peak


def peak_bytes() -> int:
    """Gives the largest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run(structure: str, size: int) -> dict[str, Any]:
    """Fits a batch in this process."""
    import eigenfit as ef

    matrices = getattr(ef, structure)(3)
    solver = ef.Solver(ef.Problem(matrices))
    rng = np.random.default_rng(0)
    starts = rng.uniform(size=[size, matrices.num_parameters])
    targets = np.array([1.0, 2.0, 3.0])

    def fit():
        solution = solver.fit(starts, targets, tolerance=1e-20)
        return solution.result.numpy()

    began = time.perf_counter()
    fit()
    seconds = [time.perf_counter() - began]
    while len(seconds) < 4 or (sum(seconds) < 1 and len(seconds) < 50):
        began = time.perf_counter()
        results = fit()
        seconds.append(time.perf_counter() - began)
    return {
        "structure": structure,
        "size": size,
        "method": repr(solver.method),
        "seconds": float(np.median(seconds[1:])),
        "solved": float(np.mean(results == ef.Result.converged)),
        "peak": peak_bytes(),
    }


def in_process(structure: str, size: int) -> dict[str, Any]:
    """Fits a batch in a new process."""
    answer = subprocess.run(
        [sys.executable, __file__, "--child", structure, "--size", str(size)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=None if os.environ.get("EIGENFIT_VERBOSE") else subprocess.DEVNULL,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def slope(sizes: list[int], seconds: list[float]) -> float:
    """Fits the exponent k of `seconds ~ size^k`."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def draw(record: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draws time and memory for each member."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for marker, (name, rows) in zip("os", record.items(), strict=True):
        sizes = [row["size"] for row in rows]
        micro = [1e6 * row["seconds"] / row["size"] for row in rows]
        left.loglog(sizes, micro, marker=marker, label=f"{name}(3)")
        # A few members do not show above the noise of the process.
        seen = [row for row in rows if row["bytes"] > 0]
        right.loglog(
            [row["size"] for row in seen],
            [row["bytes"] for row in seen],
            marker=marker,
            label=f"{name}(3)",
        )
    right.axhline(WANTED_BYTES, color="C3", linestyle="--", label="4 KB")
    left.set_title("time for each member", fontsize=10)
    left.set_ylabel("microseconds")
    right.set_title("peak memory for each member", fontsize=10)
    right.set_ylabel("bytes")
    for panel in (left, right):
        panel.set_xlabel("members of the batch")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def main(
    largest: Annotated[int, typer.Option(help="Size of the largest batch.")] = SIZES[
        -1
    ],
    json_path: Annotated[Path | None, typer.Option("--json")] = None,
    plot_path: Annotated[Path | None, typer.Option("--plot")] = None,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
    size: Annotated[int, typer.Option(hidden=True)] = 1,
) -> None:
    """Measures how time and memory grow with the batch."""
    if child is not None:
        print(json.dumps(run(child, size)))
        return
    console = Console(width=100)
    record: dict[str, list[dict[str, Any]]] = {}
    for name in STRUCTURES:
        # Two members run the program of a batch, as one may not.
        empty = in_process(name, 2)["peak"]
        rows = record[name] = [in_process(name, n) for n in SIZES if n <= largest]
        table = Table(title=f"{name}(3), {rows[0]['method']}", title_justify="left")
        for column in ("members", "time", "us a member", "bytes a member", "solved"):
            table.add_column(column, justify="right")
        for row in rows:
            row["bytes"] = (row["peak"] - empty) / row["size"]
            table.add_row(
                str(row["size"]),
                f"{1e3 * row['seconds']:.3g} ms",
                f"{1e6 * row['seconds'] / row['size']:.3g}",
                f"{max(row['bytes'], 0):.0f}",
                f"{row['solved']:.1%}",
            )
        console.print(table)
        if len(rows) > 1:
            all_of = slope([r["size"] for r in rows], [r["seconds"] for r in rows])
            tail = slope(
                [r["size"] for r in rows[-2:]], [r["seconds"] for r in rows[-2:]]
            )
            console.print(
                f"time ~ members^{all_of:.2f}; between the last two sizes "
                f"members^{tail:.2f}\n"
            )
    if json_path:
        json_path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    if plot_path:
        draw(record, plot_path)


if __name__ == "__main__":
    typer.run(main)
