"""Three ways to make the optimiser steps of the published example yourself.

Run it with `python examples/explicit_and_automatic.py`; each way comes close to the
identity matrix. `Solver.fit` does the same in one compiled call.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

import eigenfit as ef

START = [0.12108588, 0.8856114, 0.00449729, 0.22199583, 0.8411281, 0.54751956]
TARGETS = [1.0, 1.0, 1.0]


def explicit(solver: ef.Solver) -> tf.Tensor:
    """Takes the gradient and applies a step, by eigenfit's own Adam."""
    state = solver.init(START, TARGETS)
    while state.point.loss > 1e-2:
        state = solver.step(state, TARGETS)
    return state.point.parameters


def automatic(solver: ef.Solver) -> tf.Tensor:
    """Gives an optimiser of Keras a loss function and lets it differentiate."""
    r = tf.Variable(START)
    optimiser = tf.keras.optimizers.Adam(learning_rate=1e-2)

    def loss() -> tf.Tensor:
        return solver.loss(r, TARGETS)

    while loss() > 1e-2:
        with tf.GradientTape() as tape:
            value = loss()
        optimiser.apply_gradients([(tape.gradient(value, r), r)])
    return tf.identity(r)


def by_gradient(solver: ef.Solver) -> tf.Tensor:
    """Drives an optimiser of Keras by the solver's gradient, without a tape."""
    r = tf.Variable(START)
    optimiser = tf.keras.optimizers.Adam(learning_rate=1e-2)
    loss = float("inf")
    while loss > 1e-2:
        loss, gradient, _ = solver.gradient(r, TARGETS)
        optimiser.apply_gradients([(gradient, r)])
    return tf.identity(r)


def main() -> None:
    """Prints the matrix that each way finds."""
    structure = ef.Symmetric(3, tf.float32)
    solver = ef.Solver(ef.Problem(structure), ef.Adam(learning_rate=1e-2))
    for way in (explicit, automatic, by_gradient):
        print(way.__name__)
        print(structure.assemble(way(solver)).numpy().round(2))


if __name__ == "__main__":
    main()
