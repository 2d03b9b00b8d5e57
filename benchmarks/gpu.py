"""Fits and decompositions by XLA alone, through JAX, on a GPU or whatever is there.

    python benchmarks/gpu.py --quick --device cpu
    python benchmarks/gpu.py --programs programs --prepare      # where TensorFlow is
    python benchmarks/gpu.py --programs programs --json gpu.json --plot gpu.png

The second line writes StableHLO programs; the third runs them, and needs NumPy and JAX
only (optimistix and matplotlib if they are to be had). A decomposition is that of the
gradient of a loss: the eigenvalues and vectors of a batch of matrices and the product
`V diag(d) V^T`. Its peers are `jax.lax.linalg.eigh` in each implementation that the
device has. A fit is the additive inverse eigenvalue problem, from starts near an
answer; its peer is optimistix's Levenberg-Marquardt. What does not fit into `--seconds`
is left out, and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

FULL = {
    3: (100, 10_000, 1_000_000),
    8: (100, 10_000, 1_000_000),
    32: (100, 10_000),
    64: (100, 10_000),
}
QUICK = {3: (100,), 8: (20,)}
DTYPES = ("float32", "float64")
LOADER = "export/eigenfit_export/loading/stablehlo_loader.py"


class Case(NamedTuple):
    """One program."""

    kind: str  # "decompose" or "fit"
    order: int
    dtype: str
    batch: int

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.kind}_n{self.order}_{self.dtype}_b{self.batch}.zip"


def cases(quick: bool) -> list[Case]:
    """Lists the programs, small batches first."""
    orders, dtypes = (QUICK, DTYPES[1:]) if quick else (FULL, DTYPES)
    sizes = [(n, batch) for n, batches in orders.items() for batch in batches]
    return [
        Case(kind, n, dtype, batch)
        for n, batch in sorted(sizes, key=lambda size: size[1] * size[0] ** 3)
        for kind in ("decompose", "fit")
        for dtype in dtypes
    ]


def prepare(folder: Path, quick: bool) -> None:
    """Writes the programs that are not there yet."""
    import eigenfit as ef
    from eigenfit_export import save_stablehlo

    for case in cases(quick):
        if (folder / case.name).exists():
            continue
        if case.kind == "decompose":
            structure: Any = ef.Symmetric(case.order, case.dtype)
            function = "gradient"
        else:
            structure, function = ef.Additive(offset(case.order), case.dtype), "fit"
        solver = ef.Solver(ef.Problem(structure), "levenberg-marquardt")
        save_stablehlo(solver, folder / case.name, case.batch, function=function)
        print(f"wrote {case.name}", flush=True)


def offset(n: int) -> np.ndarray:
    """Makes the fixed part of the matrices that are fitted."""
    A = np.random.default_rng(n).normal(size=[n, n])
    A = (A + A.T) / np.sqrt(2 * n)
    return A - np.diag(np.diag(A))


def inputs(case: Case) -> dict[str, np.ndarray]:
    """Makes the arguments of a program."""
    rng = np.random.default_rng(0)
    n, b = case.order, case.batch
    targets = np.sort(rng.normal(size=[b, n]), axis=1).astype(case.dtype)
    if case.kind == "decompose":
        r = rng.normal(size=[b, n * (n + 1) // 2])
        return {"parameters": r.astype(case.dtype), "targets": targets}
    truth = 2 * np.arange(n) + rng.uniform(-0.5, 0.5, [b, n])
    A = offset(n) + np.zeros([b, n, n])
    A[:, np.arange(n), np.arange(n)] = truth
    part = max(1, 2**24 // n**2)
    levels = [np.linalg.eigvalsh(A[k : k + part]) for k in range(0, b, part)]
    targets = np.concatenate(levels).astype(case.dtype)
    start = (truth + rng.uniform(-0.2, 0.2, [b, n])).astype(case.dtype)
    return {"initial": start, "targets": targets}


def loader() -> ModuleType:
    """Loads the reader of StableHLO without the package around it."""
    path = Path(__file__).parents[1] / LOADER
    spec = importlib.util.spec_from_file_location("stablehlo_loader", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peers(case: Case, given: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Lists what else does the same work: titles, and functions without arguments."""
    import jax
    import jax.numpy as jnp

    if case.kind == "decompose":
        rows, columns = np.tril_indices(case.order)
        shape = [case.batch, case.order, case.order]
        A = jnp.zeros(shape, case.dtype).at[:, rows, columns].set(given["parameters"])
        A = A + jnp.swapaxes(jnp.tril(A, -1), 1, 2)
        for way in (None, *jax.lax.linalg.EighImplementation):

            def gradient(A: Any, targets: Any, way: Any = way) -> Any:
                V, w = jax.lax.linalg.eigh(A, implementation=way)
                d = 2 * (w - targets)
                return jnp.einsum("bij,bj,bkj->bik", V, d, V)

            call, title = jax.jit(gradient), "default" if way is None else way.name
            yield f"jax eigh, {title}", lambda call=call: call(A, given["targets"])
        return
    try:
        import optimistix
    except ImportError:
        return
    fixed = jnp.asarray(offset(case.order), case.dtype)
    close = {"float32": 1e-4, "float64": 1e-10}[case.dtype]
    method = optimistix.LevenbergMarquardt(rtol=close, atol=close)

    def solve(r: Any, targets: Any) -> Any:
        def residual(r: Any, _: Any) -> Any:
            return jnp.linalg.eigvalsh(fixed + jnp.diag(r)) - targets

        return optimistix.least_squares(
            residual, method, r, max_steps=256, throw=False
        ).value

    together = jax.jit(jax.vmap(solve))
    yield "jax + optimistix", lambda: together(given["initial"], given["targets"])


def seconds_of(function: Callable[[], Any], least: float) -> tuple[float, float]:
    """Times a function: its first call, and the median of the later ones."""
    import jax

    def call() -> float:
        began = time.perf_counter()
        jax.block_until_ready(function())
        return time.perf_counter() - began

    first, times = call(), [call()]
    while sum(times) < least and len(times) < 50:
        times.append(call())
    return first, float(np.median(times))


def measure(folder: Path, quick: bool, device: str | None, limit: float) -> Any:
    """Runs all programs and their peers; what there is no time for is `left_out`."""
    import jax

    jax.config.update("jax_enable_x64", True)
    target = jax.devices(device)[0]
    load, began = loader().StableHlo, time.perf_counter()
    found: dict[str, Any] = {
        "device": target.device_kind,
        "jax": jax.__version__,
        "rows": [],
        "left_out": [],
    }
    for case in cases(quick):
        if time.perf_counter() - began > limit:
            found["left_out"].append(case.name)
            continue
        with jax.default_device(target):
            arrays = inputs(case)
            given = {name: jax.device_put(x, target) for name, x in arrays.items()}
            program = load(folder / case.name, target)
            ways = [("eigenfit", lambda p=program, x=given: p.start(**x))]
            for title, function in [*ways, *peers(case, given)]:
                row = {**case._asdict(), "title": title}
                try:
                    row["first"], each = seconds_of(function, 0.05 if quick else 0.5)
                    row["per_second"] = case.batch / each
                except Exception as error:  # an implementation that is not there
                    row["error"] = " ".join(str(error).split())[:160]
                if title == "eigenfit" and case.kind == "fit" and "error" not in row:
                    codes = np.asarray(function()["result"])
                    row["solved"] = float(np.mean(codes == 0))
                found["rows"].append(row)
                print(line(row), flush=True)
    return found


def line(row: dict[str, Any]) -> str:
    """Writes a row for people."""
    what = f"{row['kind']:<9} n = {row['order']:<3} {row['dtype']} x {row['batch']:<8}"
    if "error" in row:
        return f"{what} {row['title']:<20} {row['error'][:60]}"
    solved = f", solved {row['solved']:.3f}" if "solved" in row else ""
    rate = f"{row['per_second']:>12,.0f} per second (first call {row['first']:.1f} s"
    return f"{what} {row['title']:<20} {rate}{solved})"


def draw(found: dict[str, Any], path: Path) -> None:
    """Draws rates over batch sizes, a panel for each kind and order."""
    from matplotlib.figure import Figure

    rows = [row for row in found["rows"] if "per_second" in row]
    orders = sorted({row["order"] for row in rows})
    figure = Figure(figsize=(3.2 * len(orders), 6), layout="constrained")
    panels = figure.subplots(2, len(orders), squeeze=False, sharey="row")
    for kind, line_of_panels in zip(("decompose", "fit"), panels, strict=True):
        for order, panel in zip(orders, line_of_panels, strict=True):
            own = [r for r in rows if (r["kind"], r["order"]) == (kind, order)]
            for title, dtype in sorted({(r["title"], r["dtype"]) for r in own}):
                line_ = [r for r in own if (r["title"], r["dtype"]) == (title, dtype)]
                style = "-o" if dtype == "float64" else "--o"
                x = [r["batch"] for r in line_]
                y = [r["per_second"] for r in line_]
                panel.loglog(x, y, style, ms=4, label=f"{title}, {dtype}")
            panel.set_title(f"{kind}, n = {order}")
            panel.set_xlabel("batch")
            panel.grid(alpha=0.3)
        line_of_panels[0].set_ylabel("per second")
        line_of_panels[-1].legend(fontsize=6)
    figure.suptitle(str(found["device"]))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Prepares programs, or runs them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small orders")
    parser.add_argument("--device", help="cpu or gpu; JAX's default if not given")
    parser.add_argument("--programs", type=Path, help="folder of the programs")
    parser.add_argument("--prepare", action="store_true", help="only write them")
    parser.add_argument("--seconds", type=float, default=420, help="time for all")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--plot", type=Path, help="where to draw them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.programs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        missing = [x for x in cases(given.quick) if not (folder / x.name).exists()]
        if given.prepare or missing:
            prepare(folder, given.quick)
        if given.prepare:
            return
        found = measure(folder, given.quick, given.device, given.seconds)
    if found["left_out"]:
        print("left out:", ", ".join(found["left_out"]), file=sys.stderr)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))
    if given.plot:
        draw(found, given.plot)


if __name__ == "__main__":
    main()
