"""Runs the probes of artefacts in the runtime that is meant for them.

`verify` starts this file as a script, so that the process never imports eigenfit:

    python runner.py KIND PROBES.npz < artefacts.json > findings.jsonl

All artefacts of a kind share one process and the cost of starting it; it prints a line
of findings after each. A new kind of artefact is another entry of `RUNTIMES`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

REBUILT, GRAM = "V diag(w) V^H", "V V^H"
"""Compared in place of eigenvectors: these do not depend on their signs."""

Call = Callable[[str, dict[str, np.ndarray]], dict[str, Any]]
"""Takes the name of a function and its inputs, returns its outputs."""


@dataclass(frozen=True)
class Runtime:
    """A runtime for one kind of artefact.

    Attributes:
        title: Name shown in tables.
        module: Module that must be installed.
        load: Loads the artefact at a path, returns what calls its functions.
    """

    title: str
    module: str
    load: Callable[[str], Call]


def _savedmodel(path: str) -> Call:
    import tensorflow as tf

    model = tf.saved_model.load(path)

    def call(function: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = model.signatures[function](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    return call


def _onnx(path: str) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )
    dtypes = {
        "tensor(double)": np.float64,
        "tensor(float)": np.float32,
        "tensor(int32)": np.int32,
        "tensor(int64)": np.int64,
    }

    def call(function: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        del function
        feed = {
            item.name: np.asarray(inputs[item.name], dtypes[item.type])
            for item in session.get_inputs()
        }
        names = [item.name for item in session.get_outputs()]
        return dict(zip(names, session.run(names, feed), strict=True))

    return call


def _stablehlo(path: str) -> Call:
    where = pathlib.Path(__file__).parents[1] / "loading" / "stablehlo_loader.py"
    spec = importlib.util.spec_from_file_location("stablehlo_loader", where)
    assert spec is not None
    assert spec.loader is not None
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    program = loader.StableHlo(path)

    def call(function: str, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        del function
        return program(**inputs)

    return call


RUNTIMES = {
    "savedmodel": Runtime("TensorFlow", "tensorflow", _savedmodel),
    "onnx": Runtime("ONNX Runtime", "onnxruntime", _onnx),
    "stablehlo": Runtime("JAX", "jax", _stablehlo),
}
"""Runtimes by kind of artefact."""


class Difference(NamedTuple):
    """How far an output is from the expected one, in its worst member."""

    found: float  # largest error, relative to the size of the output
    allowed: float  # tolerance, likewise

    @property
    def ratio(self) -> float:
        """Error over tolerance: above 1 is too far."""
        if self.found == 0:
            return 0.0
        return self.found / self.allowed if self.allowed else float("inf")


def difference(
    found: Any, expected: np.ndarray, allowed: Any = 0.0, least: Any = 0.0
) -> Difference:
    """Measures how far an output is from the expected one.

    Args:
        found: Output of the artefact, `[b, ...]`.
        expected: Stored output, `[b, ...]`.
        allowed: Absolute tolerance of each member, `[b]`.
        least: Smallest size of an output, `[b]`; errors are relative to the larger of
            it and the largest expected number, or to 1.

    Returns:
        The difference of the worst member; infinity where shapes, NaNs or integers
        differ.

    Example:
        >>> x, y = np.array([[2.0, 100.0], [0.0, 1.0]]), np.array([[2.0, 101.0]] * 2)
        >>> difference(x[:1], y[:1], [0.5])
        Difference(found=0.009900990099009901, allowed=0.0049504950495049506)
        >>> difference(np.array([np.nan]), np.array([1.0]), [0.1]).ratio
        inf
    """
    found = np.asarray(found)
    wrong = Difference(float("inf"), 0.0)
    if found.shape != expected.shape:
        return wrong
    if expected.dtype.kind in "iub":
        return Difference(0.0, 0.0) if (found == expected).all() else wrong
    finite = np.isfinite(expected)
    if (np.isfinite(found) != finite).any() or not expected.size:
        return wrong if expected.size else Difference(0.0, 0.0)
    rows = np.broadcast_shapes(expected.shape, (1,))[0]
    with np.errstate(invalid="ignore"):
        apart = np.where(finite, np.abs(found - expected), 0.0)
    apart, size = (
        np.where(finite, x, 0.0).reshape(rows, -1).max(axis=1)
        for x in (apart, np.abs(expected))
    )
    size = np.maximum(size, least)
    size = np.where(size > 0, size, 1.0)
    members = [
        Difference(float(a / s), float(limit / s))
        for a, limit, s in zip(apart, np.broadcast_to(allowed, rows), size, strict=True)
    ]
    return max(members, key=lambda x: (x.ratio, x.found))


def run_checks(
    call: Call, probes: Any, checks: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Runs every check of an artefact.

    Yields:
        `function`, `seconds` and `error`; of the output that is nearest to its
        tolerance, or exceeds it most, `output`, `worst` and `allowed` (see
        `Difference`) and `ratio`.
    """
    for check in checks:
        stem = check["probe"] + "/"
        begin = time.perf_counter()
        row: dict[str, Any] = {"function": check["function"], "error": ""}
        try:
            inputs = _arrays(probes, stem + "inputs/")
            expected = _arrays(probes, stem + "outputs/")
            if not expected:
                raise KeyError(f"no probe {check['probe']!r}")
            outputs = with_products(call(check["function"], inputs))
            allowed = check["allowed"]
            found = {
                name: difference(
                    outputs[name],
                    value,
                    allowed.get(name, 0.0),
                    _least(name, expected),
                )
                for name, value in expected.items()
            }
            name = max(found, key=lambda name: found[name].ratio)
            worst = found[name]
            row |= {"output": name, "worst": worst.found, "allowed": worst.allowed}
            row["ratio"] = worst.ratio
        except Exception as problem:
            row["error"] = f"{type(problem).__name__}: {problem}"
        yield {**row, "seconds": time.perf_counter() - begin}


def _least(name: str, expected: dict[str, Any]) -> Any:
    # A loss that a fit has brought to about 0 is judged against the squared levels.
    if name != "loss" or "eigenvalues" not in expected:
        return 0.0
    levels = np.nan_to_num(expected["eigenvalues"])
    return np.abs(levels).max(axis=-1, initial=0.0) ** 2


def with_products(outputs: dict[str, Any]) -> dict[str, Any]:
    """Adds the products that are compared in place of eigenvectors, if any."""
    if "eigenvectors" not in outputs:
        return outputs
    w, V = (np.asarray(outputs[name]) for name in ("eigenvalues", "eigenvectors"))
    adjoint = np.conj(V).swapaxes(-1, -2)
    rebuilt = (V * w[..., np.newaxis, :]) @ adjoint
    return {**outputs, REBUILT: rebuilt, GRAM: V @ adjoint}


def _arrays(probes: Any, prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): probes[name]
        for name in probes.files
        if name.startswith(prefix)
    }


def main(kind: str, probes: str) -> None:
    """Loads artefacts, runs their checks and prints findings.

    Standard input holds a JSON list of objects with `path` and `checks`.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # keeps what a runtime prints out of the findings
    stored = np.load(probes)
    for artefact in json.load(sys.stdin):
        begin = time.perf_counter()
        finding: dict[str, Any] = {"rows": [], "error": ""}
        try:
            call = RUNTIMES[kind].load(artefact["path"])
            seconds = time.perf_counter() - begin
            rows = list(run_checks(call, stored, artefact["checks"]))
            finding |= {"load_seconds": seconds, "rows": rows}
        except Exception as problem:
            finding["error"] = f"{type(problem).__name__}: {problem}"
        answers.write(json.dumps(finding) + "\n")
    assert not any(name.split(".")[0] == "eigenfit" for name in sys.modules)
    answers.close()


if __name__ == "__main__":
    # Modules beside this file could shadow packages.
    del sys.path[0]
    main(*sys.argv[1:])
