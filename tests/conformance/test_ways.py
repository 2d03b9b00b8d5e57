"""Every problem by every method in every way of running."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

METHODS = {
    "auto": "auto",
    "alternating": ef.Alternating(),
    "levenberg-marquardt": ef.LevenbergMarquardt(),
    "projection": ef.IsospectralProjection(),
    "adam": ef.Adam(learning_rate=0.02),
}


def solver_of(case, method, compile, dtype):
    problem = case.problem(dtype)
    full = isinstance(problem.structure, ef.AbstractFullStructure)
    if method == "projection" and not full:
        return None
    return ef.Solver(problem, METHODS[method], compile=compile)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda d: d.name)
@pytest.mark.parametrize("compile", ["graph", "xla", "eager"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", zoo.CASES, ids=str)
def test_meets_the_targets(case, method, compile, dtype):
    solver = solver_of(case, method, compile, dtype)
    if solver is None:
        with pytest.raises(ValueError, match="needs a structure that reaches"):
            ef.Solver(case.problem(dtype), METHODS[method], compile=compile)
        return
    if method == "adam" and compile == "eager":
        # Thousands of eager steps: a few of them tell as much.
        eager = solver.fit(case.initial, case.targets, max_steps=5)
        graph = ef.Solver(solver.problem, METHODS[method], compile="graph")
        expected = graph.fit(case.initial, case.targets, max_steps=5)
        np.testing.assert_allclose(eager.parameters, expected.parameters, atol=1e-5)
        return
    tolerance = 1e-6 if method == "adam" else 1e-10
    solution = solver.fit(case.initial, case.targets, tolerance=tolerance)
    solution.raise_for_result()
    loss = zoo.loss(solver.problem, solution.parameters, case.targets)
    rounding = 1e-3 if dtype == tf.float64 else 0.2
    assert loss <= tolerance * (1 + rounding)
