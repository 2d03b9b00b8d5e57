"""ONNX Runtime on one thread: eigen-gradients beside NumPy, whole fits, file sizes.

    python benchmarks/onnx_runtime.py [--quick] [--json onnx_runtime.json]

NumPy decomposes the same batch by `numpy.linalg.eigh`, on one thread too, while
ONNX Runtime also computes the gradient of a level. Times are the best of repeated
calls. A fit is beside the same fit by TensorFlow, in graph mode.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import eigenfit as ef
from eigenfit import gallery
from eigenfit_export.onnx import programs
from eigenfit_export.onnx.check import Session
from eigenfit_export.onnx.programs import Program

SIZES = [
    *((3, batch) for batch in (1, 100, 10_000)),
    *((4, batch) for batch in (1, 10_000)),
    *((8, batch) for batch in (1, 2_000)),
    *((n, 1) for n in (16, 32, 64)),
]
LIMITS = {("float32", 3, 10_000): 1.0, ("float32", 32, 1): 100.0}
"""Largest times allowed, in those of NumPy."""

FITS = {
    "identity": ef.IsospectralProjection(),
    "fno-additive": ef.LevenbergMarquardt(),
    "complete-graph": ef.LevenbergMarquardt(),
}


def best_ms(function: Callable[[], Any], seconds: float) -> float:
    """Measures the fastest of the calls that fit into some seconds, at least 3."""
    function()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def stored(program: Program, seconds: float) -> tuple[Session, dict[str, float]]:
    """Writes a model and reads it back: the session, the size and the time to load."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / program.file_name
        path.write_bytes(program.model().SerializeToString())
        load = best_ms(lambda: Session(path), seconds)
        facts = {"kilobytes": path.stat().st_size / 1000, "load_ms": load}
        return Session(path), facts


def gradients(sizes: list[tuple[int, int]], seconds: float) -> list[dict[str, Any]]:
    """Times eigen-gradients of random matrices."""
    rng = np.random.default_rng(0)
    sessions: dict[tuple[str, int | None], tuple[Session, dict[str, float]]] = {}
    rows = []
    for dtype in ("float32", "float64"):
        for n, batch in sizes:
            order = n if n <= 4 else None
            if (dtype, order) not in sessions:
                program = programs.eigengradient(dtype, order)
                sessions[dtype, order] = stored(program, seconds)
            session, facts = sessions[dtype, order]
            X = rng.normal(size=[batch, n, n])
            A = ((X + np.swapaxes(X, 1, 2)) / 2).astype(dtype)
            level = np.zeros(batch, np.int32)

            def ours(A=A, level=level, session=session) -> None:
                session.run(matrix=A, level=level)

            ms = best_ms(ours, seconds)
            numpy_ms = best_ms(lambda A=A: np.linalg.eigh(A), seconds)
            limit = LIMITS.get((dtype, n, batch))
            row = {"dtype": dtype, "n": n, "batch": batch, "ms": ms}
            row |= {"numpy_ms": numpy_ms, "ratio": ms / numpy_ms, "allowed": limit}
            rows.append(row | facts)
    return rows


def fits(seconds: float) -> list[dict[str, Any]]:
    """Times fits of published problems."""
    rows = []
    for name, method in FITS.items():
        entry = gallery.load(name)
        solver = ef.Solver(entry.problem, method, compile="graph")
        session, facts = stored(programs.fit(solver), seconds)
        given = {
            "initial": np.array(entry.initial)[np.newaxis],
            "targets": np.array(entry.targets)[np.newaxis],
            "tolerance": np.array([entry.tolerance]),
            "max_steps": np.array([method.default_max_steps], np.int32),
        }
        specs = solver.programs.fit.signature
        tensors = [tf.constant(given[x.name], x.dtype) for x in specs]
        program = solver.programs.fit.variant("graph")
        answer = session.run(**given)
        error = np.abs(np.linalg.eigvalsh(answer["matrix"][0]) - entry.levels).max()
        rows.append(
            {
                "problem": name,
                "method": repr(method),
                "steps": int(answer["num_steps"][0]),
                "error": float(error),
                "ms": best_ms(lambda s=session, g=given: s.run(**g), seconds),
                "tensorflow_ms": best_ms(
                    lambda p=program, t=tensors: p(*t)[0].numpy(), seconds
                ),
                **facts,
            }
        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Prints rows of figures as a table."""
    names = list(rows[0])
    table = [names, *([_short(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (x.rjust(width) for x, width in zip(line, widths, strict=True))
        print("  ".join(cells), flush=True)
    print()


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) and value < 1e4 else f"{value}"


def main() -> None:
    """Prints the figures, and writes them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    parser.add_argument("--quick", action="store_true", help="few sizes, short")
    arguments = parser.parse_args()
    seconds = 0.05 if arguments.quick else 1.0
    figures = {
        "gradients": gradients(SIZES[:2] if arguments.quick else SIZES, seconds),
        "fits": fits(seconds),
    }
    for rows in figures.values():
        show(rows)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(figures, file, indent=2)


if __name__ == "__main__":
    main()
