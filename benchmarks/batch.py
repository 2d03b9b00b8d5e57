"""A table of many small problems through `eigenfit batch`, next to calls in memory.

    python benchmarks/batch.py                # 10^6 rows, about two minutes
    python benchmarks/batch.py --quick

The problems are those of the seed: every symmetric matrix of order 3, random targets
and starts. In memory one process with all cores calls the compiled solver on arrays:
once with all rows, and in calls of the batch size. The batch reads Parquet and writes a
folder of Parquet files, or one file. Rates count from the first worker that is ready,
as those in memory count from the second call; start-up is printed beside them. Memory
is that of the driver and its workers at its peak, pages that several share counted
once (the sum of PSS), and counted for each of them (the sum of RSS).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ORDER, TARGETS, PARAMETERS = 3, 3, 6
BATCH = 16384


def table(rows: int, path: Path, *, starts: bool) -> None:
    """Writes the problems."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    targets, initial = arrays(rows)
    columns: dict[str, Any] = {
        "id": pa.array(np.arange(rows)),
        "targets": _lists(targets),
    }
    if starts:
        columns["initial"] = _lists(initial)
    pq.write_table(pa.table(columns), path)


def arrays(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes targets `[rows, 3]` and starts `[rows, 6]`."""
    rng = np.random.default_rng(0)
    targets = np.sort(rng.normal(size=[rows, TARGETS]), axis=1)
    return targets, rng.uniform(size=[rows, PARAMETERS])


def _lists(values: np.ndarray) -> Any:
    import pyarrow as pa

    rows, width = values.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def export(folder: Path) -> Path:
    """Exports the solver in a process of its own."""
    code = (
        "import sys, eigenfit as ef, eigenfit_export;"
        "solver = ef.Solver(ef.Problem(ef.Symmetric(3)));"
        "eigenfit_export.save_model(solver, sys.argv[1], warmup_batches=())"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    return folder


def in_memory(model: Path, rows: int) -> dict[str, float]:
    """Calls the solver in a process of its own: rows a second by kind of call."""
    command = [sys.executable, __file__, "--in-memory", str(model), "--rows", str(rows)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def call_in_memory(model: str, rows: int) -> dict[str, float]:
    """What that process does; each figure is the better of two, after a first call."""
    import eigenfit as ef
    import eigenfit_export

    targets, initial = arrays(rows)
    seeds = np.arange(rows, dtype=np.int32)
    solver = ef.Solver(ef.Problem(ef.Symmetric(ORDER)))
    loaded = eigenfit_export.load_model(model)

    def batches(size: int) -> list[slice]:
        return [slice(k, k + size) for k in range(0, rows, size)]

    def drawn(part: slice) -> Any:
        return loaded.fit_from_random(seeds[part], targets[part])[1]

    kinds = {
        "solver, one call": (lambda x: solver.fit(initial[x], targets[x]), rows),
        "model, calls of a batch": (
            lambda x: loaded.fit(initial[x], targets[x]),
            BATCH,
        ),
        "model, starts drawn": (drawn, BATCH),
    }
    result = {}
    for name, (call, size) in kinds.items():
        times = []
        for _ in range(3):
            began = time.perf_counter()
            for part in batches(size):
                answer = call(part)
                [np.asarray(x) for x in (answer.parameters, answer.loss)]
            times.append(time.perf_counter() - began)
        result[name] = rows / min(times[1:])
    return result


def batch(model: Path, source: Path, output: Path, workers: int) -> dict[str, float]:
    """Runs `eigenfit batch` and watches its memory."""
    code = (
        "import sys; from eigenfit_serving.batch import run_batch;"
        "run_batch(*sys.argv[1:4], workers=int(sys.argv[4]))"
    )
    command = [sys.executable, "-c", code, *map(str, (model, source, output, workers))]
    process = subprocess.Popen(command)
    peak = {"pss_gb": 0.0, "rss_gb": 0.0}
    watcher = threading.Thread(target=_watch, args=(process, peak))
    watcher.start()
    ended = process.wait()
    watcher.join()
    if ended:
        sys.exit(f"eigenfit batch ended with exit code {ended}")
    report = json.loads(output.with_name(f"{output.name}.report.json").read_text())
    working = report["seconds"] - report["seconds_starting"]
    return {
        "rows_per_second": report["rows"] / working,
        "seconds_starting": report["seconds_starting"],
        "seconds": report["seconds"],
        **{f"peak_{name}": value for name, value in peak.items()},
        "converged": report["counts"].get("converged", 0),
    }


def _watch(process: subprocess.Popen[bytes], peak: dict[str, float]) -> None:
    while process.poll() is None:
        found = [_memory(pid) for pid in _family(process.pid)]
        for name, field in (("pss_gb", "Pss"), ("rss_gb", "Rss")):
            peak[name] = max(peak[name], sum(x.get(field, 0) for x in found) / 1e6)
        time.sleep(0.2)


def _family(parent: int) -> list[int]:
    try:
        text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        tasks = Path(f"/proc/{parent}/task").iterdir()
        text = " ".join((task / "children").read_text() for task in tasks)
    except OSError:
        return []
    return [parent, *(pid for child in text.split() for pid in _family(int(child)))]


def _memory(pid: int) -> dict[str, int]:
    """Reads what a process has, in kB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:  # It has ended.
        return {}
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def measure(rows: int) -> dict[str, Any]:
    """Measures everything."""
    figures: dict[str, Any] = {"rows": rows, "batch": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = export(folder / "model")
        sources = {"starts given": folder / "a.parquet", "drawn": folder / "b.parquet"}
        for kind, path in sources.items():
            table(rows, path, starts=kind == "starts given")
        runs = (
            ("1 worker, folder", "starts given", "1", 1),
            ("2 workers, folder", "starts given", "2", 2),
            ("2 workers, one file", "starts given", "f.parquet", 2),
            ("2 workers, folder, starts drawn", "drawn", "d", 2),
        )
        # Each run between two in memory, since others may use the machine.
        memory = [in_memory(model, rows)]
        for title, kind, output, workers in runs:
            found = batch(model, sources[kind], folder / output, workers)
            memory.append(in_memory(model, rows))
            known = "model, starts drawn" if kind == "drawn" else "solver, one call"
            around = [x[known] for x in memory[-2:]]
            found["memory_rows_per_second"] = float(np.mean(around))
            figures["batch"][title] = found
        figures["memory"] = {name: [x[name] for x in memory] for name in memory[0]}
    return figures


def show(figures: dict[str, Any]) -> None:
    """Prints the figures."""
    print(f"{figures['rows']:,} problems of order {ORDER}, {os.cpu_count()} cores\n")
    for name, rates in figures["memory"].items():
        print(f"in memory: {name:<36} {min(rates):>9,.0f} to {max(rates):,.0f} rows/s")
    for name, x in figures["batch"].items():
        rate = x["rows_per_second"]
        print(
            f"batch: {name:<40} {rate:>9,.0f} rows/s; in memory before and after / "
            f"batch {x['memory_rows_per_second'] / rate:.2f}; start "
            f"{x['seconds_starting']:.1f} s, all {x['seconds']:.1f} s, peak "
            f"{x['peak_pss_gb']:.2f} GB (sum of RSS {x['peak_rss_gb']:.2f} GB)"
        )
    one, two = (figures["batch"][f"{k}, folder"] for k in ("1 worker", "2 workers"))
    scaling = two["rows_per_second"] / one["rows_per_second"]
    print(f"\n1 -> 2 workers: {scaling:.2f} times the rows per second")


def main() -> None:
    """Prints the figures, and writes them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    parser.add_argument("--quick", action="store_true", help="50000 rows")
    parser.add_argument("--rows", type=int, default=10**6)
    parser.add_argument("--in-memory", metavar="MODEL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.in_memory:
        print(json.dumps(call_in_memory(arguments.in_memory, arguments.rows)))
        return
    figures = measure(50_000 if arguments.quick else arguments.rows)
    show(figures)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
