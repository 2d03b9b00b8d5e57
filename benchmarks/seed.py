"""The published eager loop and the compiled fit, side by side in one process.

Both start from the same numbers and make the same Adam steps in float32. Run it with

    python benchmarks/seed.py
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import numpy as np
import tensorflow as tf

import eigenfit as ef

TARGETS = [1.0, 1.0, 1.0]
TOLERANCE = 1e-8
INDEX = np.array([[0, 3, 5], [3, 1, 4], [5, 4, 2]])


def eager_loop(start: np.ndarray) -> tuple[int, np.ndarray]:
    """Steps as the published example does, one operation at a time."""
    r = tf.Variable(start)
    optimiser = tf.keras.optimizers.Adam(
        learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7
    )
    targets = tf.constant(TARGETS)
    steps = 0
    while True:
        with tf.GradientTape() as tape:
            eigenvalues, _ = tf.linalg.eigh(tf.gather(r, INDEX))
            loss = tf.reduce_sum((targets - eigenvalues) ** 2)
        if loss <= TOLERANCE:
            return steps, r.numpy()
        optimiser.apply_gradients([(tape.gradient(loss, r), r)])
        steps += 1


def main() -> None:
    starts = np.random.default_rng(0).uniform(size=[3, 6]).astype(np.float32)
    solver = ef.Solver(ef.Problem(ef.Symmetric(3, tf.float32)), ef.Adam())
    began = time.perf_counter()
    solver.fit(starts[0], TARGETS, tolerance=TOLERANCE).loss.numpy()
    print(
        f"first compiled fit, with tracing and XLA: {time.perf_counter() - began:.2f} s"
    )
    eager_seconds, fit_seconds = [], []
    for start in starts:
        began = time.perf_counter()
        eager_steps, eager_r = eager_loop(start)
        eager_seconds.append(time.perf_counter() - began)
        repeats = []
        for _ in range(21):
            began = time.perf_counter()
            solution = solver.fit(start, TARGETS, tolerance=TOLERANCE)
            solution.loss.numpy()
            repeats.append(time.perf_counter() - began)
        fit_seconds.append(float(np.median(repeats)))
        fit_steps = int(solution.num_steps)
        print(
            f"eager {eager_steps} steps {eager_seconds[-1]:.2f} s | compiled "
            f"{fit_steps} steps {1e3 * fit_seconds[-1]:.2f} ms | ratio "
            f"{eager_seconds[-1] / fit_seconds[-1]:.0f} | steps differ by "
            f"{abs(fit_steps - eager_steps) / eager_steps:.2%} | largest difference of "
            f"a parameter {np.abs(solution.parameters.numpy() - eager_r).max():.1e}"
        )
    ratios = np.array(eager_seconds) / np.array(fit_seconds)
    print(f"median ratio {np.median(ratios):.0f} (at least 300 is wanted)")
    # The floor: as many eigendecompositions as there are steps, and nothing else.
    decompose = tf.function(
        lambda A: tf.while_loop(
            lambda k, A: k < fit_steps,
            lambda k, A: (k + 1, A + 1e-9 * ef.eigh(A)[1]),
            (0, A),
        )[1],
        jit_compile=True,
        input_signature=[tf.TensorSpec([1, 3, 3])],
    )
    A = solution.matrix[None] + np.diag([0.0, 0.1, 0.3]).astype(np.float32)
    decompose(A)
    repeats = []
    for _ in range(21):
        began = time.perf_counter()
        decompose(A).numpy()
        repeats.append(time.perf_counter() - began)
    floor = float(np.median(repeats))
    print(
        f"floor ({fit_steps} eigendecompositions in one compiled loop): "
        f"{1e3 * floor:.2f} ms; the last fit takes {fit_seconds[-1] / floor:.1f} times "
        f"that"
    )


if __name__ == "__main__":
    main()
