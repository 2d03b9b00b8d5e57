"""Runs probes of one artefact by the runtime that is meant for it.

`verify` starts this file as a script, so that the process knows nothing of eigenfit:

    python probe_runner.py KIND ARTEFACT PROBES.npz < checks.json > findings.json

Other kinds of artefacts are another entry of `RUNTIMES`.
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
from typing import Any

import numpy as np

REBUILT, GRAM = "V diag(w) V^H", "V V^H"
"""What is compared of eigenvectors: these do not depend on their signs."""

Call = Callable[[str, dict[str, np.ndarray]], dict[str, Any]]
"""Takes the name of a function and its inputs, gives its outputs."""


@dataclass(frozen=True)
class Runtime:
    """What loads a kind of artefact.

    Attributes:
        title: For tables.
        module: That must be installed.
        load: Gives the functions of an artefact.
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
    where = pathlib.Path(__file__).with_name("stablehlo_loader.py")
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


def difference(found: Any, expected: np.ndarray) -> float:
    """Measures how far an output is from what it should be.

    Returns:
        The largest difference divided by the largest number expected, or by 1 if that
        is smaller; infinity where shapes, NaNs or integers differ.

    Example:
        >>> difference(np.array([2.0, 100.0]), np.array([2.0, 101.0]))
        0.009900990099009901
        >>> difference(np.array([1.0, np.nan]), np.array([1.0, 2.0]))
        inf
    """
    found = np.asarray(found)
    if found.shape != expected.shape:
        return float("inf")
    if expected.dtype.kind in "iub":
        return 0.0 if (found == expected).all() else float("inf")
    if (np.isfinite(found) != np.isfinite(expected)).any():
        return float("inf")
    finite = np.isfinite(expected)
    apart = np.abs(found[finite] - expected[finite]).max(initial=0.0)
    return float(apart / max(1.0, np.abs(expected[finite]).max(initial=0.0)))


def run_checks(
    call: Call, probes: Any, checks: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Runs every check: gives `function`, `worst`, `seconds` and `error` of each."""
    for check in checks:
        stem = check["probe"] + "/"
        begin = time.perf_counter()
        worst, error = None, ""
        try:
            inputs = _arrays(probes, stem + "inputs/")
            expected = _arrays(probes, stem + "outputs/")
            if not expected:
                raise KeyError(f"no probe {check['probe']!r}")
            outputs = _with_products(call(check["function"], inputs))
            worst = max(
                difference(outputs[name], value) for name, value in expected.items()
            )
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
        yield {
            "function": check["function"],
            "worst": worst,
            "seconds": time.perf_counter() - begin,
            "error": error,
        }


def _with_products(outputs: dict[str, Any]) -> dict[str, Any]:
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


def main(kind: str, path: str, probes: str) -> None:
    """Loads an artefact, runs the checks of the standard input, prints findings."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a runtime prints is no finding
    checks = json.load(sys.stdin)
    begin = time.perf_counter()
    call = RUNTIMES[kind].load(path)
    seconds = time.perf_counter() - begin
    rows = list(run_checks(call, np.load(probes), checks))
    assert not any(name.split(".")[0] == "eigenfit" for name in sys.modules)
    json.dump({"load_seconds": seconds, "rows": rows}, answers)
    answers.close()


if __name__ == "__main__":
    # The folder of this file holds modules named like packages.
    del sys.path[0]
    main(*sys.argv[1:])
