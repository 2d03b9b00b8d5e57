"""Curve fits as inverse eigenvalue problems: a diagonal matrix, a datum an entry."""

import numpy as np
import tensorflow as tf

import eigenfit as ef


class CurveFit:
    """Fits `model(b, x, exp)` to data.

    Each datum is a level; a large constant for each keeps the levels in order.
    """

    def __init__(self, model, x, number, *, sigma=None, bounds=None, size=1.0):
        self.offset = 10 * size * np.arange(len(x))

        def assemble(b):
            b = [b[..., k, tf.newaxis] for k in range(number)]
            values = model(b, tf.constant(x, tf.float64), tf.exp)
            return tf.linalg.diag(values + self.offset)

        names = [f"b{k + 1}" for k in range(number)]
        self.problem = ef.Problem(
            ef.Parametric(assemble, len(x), number),
            ef.Levels(sigma=sigma),
            parameters=ef.Parameters(names, bounds=bounds),
        )
        self.solver = ef.Solver(self.problem)

    def fit(self, start, y):
        return self.solver.fit(start, y + self.offset)
