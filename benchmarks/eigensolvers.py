"""Times and residuals of every way to decompose Hermitian matrices.

Each line is a batch of random matrices; a time is the median of repeated calls, the
number behind it the worst of `||A V - V diag(w)|| / ||A||` and `||V^H V - I||` in
units of eps sqrt(n). Run it with

    python benchmarks/eigensolvers.py [float32|float64|complex64|complex128]
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from eigenfit.eigen import decompose
from eigenfit.eigen.refine import refine, warm_start

SIZES = [
    *((3, batch) for batch in (1, 100, 10_000)),
    *((8, batch) for batch in (1, 100, 2_000)),
    *((n, batch) for n in (16, 32) for batch in (1, 100)),
    *((n, batch) for n in (64, 128) for batch in (1, 10)),
]


def compiled(function: Callable) -> Callable:
    return tf.function(function, jit_compile=True)


def graph(function: Callable) -> Callable:
    return tf.function(function)


def repaired(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """XLA's own solver and two steps of refinement."""
    return refine(A, refine(A, tf.linalg.eigh(A)[1])[1])


def random_matrices(rng: np.random.Generator, n: int, batch: int, dtype: str):
    X = rng.normal(size=(batch, n, n))
    if dtype.startswith("complex"):
        X = X + 1j * rng.normal(size=(batch, n, n))
    return ((X + np.conj(np.swapaxes(X, 1, 2))) / 2).astype(dtype)


def median_ms(function: Callable, *inputs: tf.Tensor) -> float:
    function(*inputs)[1].numpy()
    seconds: list[float] = []
    while len(seconds) < 5 or (sum(seconds) < 0.3 and len(seconds) < 100):
        began = time.perf_counter()
        function(*inputs)[1].numpy()
        seconds.append(time.perf_counter() - began)
    return 1e3 * float(np.median(seconds))


def error(A: np.ndarray, w: tf.Tensor, V: tf.Tensor) -> float:
    double = np.result_type(A, np.float64)
    A, w, V = A.astype(double), w.numpy().real, V.numpy().astype(double)
    residual = np.linalg.norm(A @ V - V * w[:, np.newaxis], axis=(1, 2))
    gram = np.conj(np.swapaxes(V, 1, 2)) @ V - np.eye(A.shape[-1])
    worst = np.maximum(
        residual / np.linalg.norm(A, axis=(1, 2)), np.linalg.norm(gram, axis=(1, 2))
    )
    return float(worst.max())


def main() -> None:
    dtype = sys.argv[1] if len(sys.argv) > 1 else "float64"
    rng = np.random.default_rng(0)
    cold = {
        "tf graph": graph(tf.linalg.eigh),
        "decompose": graph(decompose),
        "XLA's own": compiled(tf.linalg.eigh),
        "ours, XLA": compiled(decompose),
        "own + refine": compiled(repaired),
    }
    changes = (1e-6, 1e-4, 1e-2)
    warm = {"warm": graph(warm_start), "warm, XLA": compiled(warm_start)}
    names = [*cold, *(f"{name} {size:.0e}" for name in warm for size in changes)]
    print(f"{dtype}, ms (error in eps sqrt(n))")
    print("".join(f"{x:>19}" for x in ["n x batch", *names]))
    for n, batch in SIZES:
        A = random_matrices(rng, n, batch, dtype)
        noise = random_matrices(rng, n, batch, dtype)
        noise *= (np.abs(A).max() / np.abs(noise).max()).astype(noise.real.dtype)
        unit = float(np.finfo(dtype).eps) * n**0.5
        cells = [f"{n} x {batch}"]
        runs = [(function, (tf.constant(A),)) for function in cold.values()]
        for function in warm.values():
            for size in changes:
                near = tf.constant(A + noise.real.dtype.type(size) * noise)
                runs.append((function, (tf.constant(A), decompose(near)[1])))
        for function, inputs in runs:
            milliseconds = median_ms(function, *inputs)
            worst = error(A, *function(*inputs)) / unit
            cells.append(f"{milliseconds:.3g} ({worst:.2g})")
        print("".join(f"{x:>19}" for x in cells), flush=True)


if __name__ == "__main__":
    main()
