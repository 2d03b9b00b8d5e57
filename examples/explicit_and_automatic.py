"""Three ways to make the optimiser steps of the published example yourself.

Each comes close to the identity matrix; `Solver.fit` does the same in one call.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

import eigenfit as ef

START = [0.12108588, 0.8856114, 0.00449729, 0.22199583, 0.8411281, 0.54751956]
TARGETS = [1.0, 1.0, 1.0]
STRUCTURE = ef.Symmetric(3, tf.float32)
SOLVER = ef.Solver(ef.Problem(STRUCTURE), ef.Adam(learning_rate=1e-2))

print("explicit: the gradient and a step of eigenfit's own Adam")
state = SOLVER.init(START, TARGETS)
while state.point.loss > 1e-2:
    state = SOLVER.step(state, TARGETS)
print(STRUCTURE.assemble(state.point.parameters).numpy().round(2))

print("automatic: an optimiser of Keras differentiates a loss function")
r, optimiser = tf.Variable(START), tf.keras.optimizers.Adam(learning_rate=1e-2)
while SOLVER.loss(r, TARGETS) > 1e-2:
    with tf.GradientTape() as tape:
        loss = SOLVER.loss(r, TARGETS)
    optimiser.apply_gradients([(tape.gradient(loss, r), r)])
print(STRUCTURE.assemble(r).numpy().round(2))

print("by gradient: the solver's gradient drives an optimiser of Keras, without a tape")
r, optimiser = tf.Variable(START), tf.keras.optimizers.Adam(learning_rate=1e-2)
loss, gradient, _ = SOLVER.gradient(r, TARGETS)
while loss > 1e-2:
    optimiser.apply_gradients([(gradient, r)])
    loss, gradient, _ = SOLVER.gradient(r, TARGETS)
print(STRUCTURE.assemble(r).numpy().round(2))
