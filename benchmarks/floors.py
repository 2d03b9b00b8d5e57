"""The least work that any method must do, beside what eigenfit takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from problems import SOLVED, packed

import eigenfit as ef


class Call:
    """One thing that is timed."""

    def __init__(self, title: str, count: int, run: Callable[[], Any]) -> None:
        self.title, self.count, self.run = title, count, run


def batched(order: int, count: int) -> tuple[str, int, list[Call]]:
    """A batch by the default method against one decomposition and two products."""
    data = packed(order, count, "")
    modes = ("graph", "xla") if order <= 4 else ("graph",)
    solvers = {
        mode: ef.Solver(ef.Problem(ef.Symmetric(order)), compile=mode) for mode in modes
    }
    matrices = tf.constant(data.assemble(data.starts))
    starts = tf.constant(data.starts)

    @tf.function(input_signature=[tf.TensorSpec([None, order, order], tf.float64)])
    def least(A):
        w, V = tf.linalg.eigh(A)
        product = tf.linalg.matmul(V * w[..., tf.newaxis, :], V, transpose_b=True)
        return tf.linalg.matmul(V, product, transpose_a=True)

    least = least.get_concrete_function()

    def fit(solver):
        return solver.fit(starts, data.targets, tolerance=SOLVED**2).parameters.numpy()

    return (
        f"symmetric n={order}, {count} starts",
        count,
        [
            *(
                Call(f"eigenfit, fit, {mode}", count, lambda s=solver: fit(s))
                for mode, solver in solvers.items()
            ),
            Call(
                "floor: one eigh, two matmuls", count, lambda: least(matrices).numpy()
            ),
        ],
    )


def single() -> tuple[str, int, list[Call]]:
    """The overhead of one fit of one matrix of order 3."""
    data = packed(3, 1, "")
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)))
    start = data.starts[0]
    arguments = (
        tf.constant(data.starts),
        tf.constant(data.targets[None]),
        tf.constant([SOLVED**2], tf.float64),
        tf.constant([100]),
    )
    values = [x[0] for x in arguments]
    program = solver.programs.single.search
    # The signature of the fit, and nothing done.
    empty = tf.function(
        lambda *x: x[0], input_signature=solver.programs.fit.signature
    ).get_concrete_function()
    decompose = tf.function(
        lambda A: tf.linalg.eigh(A),
        input_signature=[tf.TensorSpec([1, 3, 3], tf.float64)],
    ).get_concrete_function()
    matrix = tf.constant(data.assemble(data.starts))

    def least():
        empty(*arguments).numpy()
        decompose(matrix)[1].numpy()

    def fit():
        return solver.fit(start, data.targets, tolerance=SOLVED**2).parameters.numpy()

    def fit_tensors():
        solver.fit(
            arguments[0][0], arguments[1][0], tolerance=arguments[2][0]
        ).parameters.numpy()

    return (
        "one symmetric matrix n=3",
        1,
        [
            Call("eigenfit, fit of NumPy arrays", 1, fit),
            Call("eigenfit, fit of tensors", 1, fit_tensors),
            *(
                Call(
                    f"eigenfit, its compiled program alone, {mode}",
                    1,
                    lambda mode=mode: program.call(mode, values)[0].numpy(),
                )
                for mode in ("graph", "xla")
            ),
            Call("floor: an empty call and a call of eigh", 1, least),
            Call("floor: a call of eigh", 1, lambda: decompose(matrix)[1].numpy()),
            Call(
                "NumPy: V diag(t) V^T by eigh",
                1,
                lambda: _numpy_projection(data.assemble(start), data.targets),
            ),
        ],
    )


def _numpy_projection(A: np.ndarray, targets: np.ndarray) -> np.ndarray:
    V = np.linalg.eigh(A)[1]
    return (V * targets) @ V.T


FLOORS: dict[str, Callable[[bool], tuple[str, int, list[Call]]]] = {
    "floor-sym3": lambda quick: batched(3, 200 if quick else 10_000),
    "floor-sym8": lambda quick: batched(8, 50 if quick else 1000),
    "floor-single": lambda quick: single(),
}
"""By name; the argument says whether to make it small."""
