"""Every problem by every method in every way of running."""

import itertools

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
    "newton": ef.Newton(),
    "cluster-newton": ef.ClusterNewton(),
    "gauss-newton": ef.GaussNewton(),
    "loewner-newton": ef.LoewnerNewton(),
    "lift-and-project": ef.LiftAndProject(),
    "lbfgs": ef.LBFGS(),
}

# A trace takes a second, XLA two to ten: the long tail has what most cases compiled in
# single precision, or by XLA, would tell.
COSTLY = [
    "newton",
    "cluster-newton",
    "gauss-newton",
    "loewner-newton",
    "lift-and-project",
    "lbfgs",
]


def ways():
    """Every combination, those in the long tail marked."""
    dtypes = (tf.float32, tf.float64)
    for case, method, compile, dtype in itertools.product(
        zoo.CASES, METHODS, ("graph", "xla", "eager"), dtypes
    ):
        single = dtype == tf.float32 and compile != "eager"
        late = compile == "xla" and (single or case.name != "seed")
        slow = late or (single and (method in COSTLY or case.name != "seed"))
        yield pytest.param(
            case,
            method,
            compile,
            dtype,
            id=f"{case}-{method}-{compile}-{dtype.name}",
            marks=[pytest.mark.slow] if slow else [],
        )


def refusal_of(case, method, dtype):
    """What a method says about a problem it is not made for; None if it is."""
    problem = case.problem(dtype)
    full = isinstance(problem.structure, ef.AbstractFullStructure)
    if method == "projection" and not full:
        return "needs a structure that reaches"
    if method == "lift-and-project" and not problem.structure.is_linear:
        return "needs a structure that is linear"
    if method == "lift-and-project" and problem.observation.weights is not None:
        return "the weights of .* differ"
    return None


@pytest.mark.sample(40)
@pytest.mark.parametrize(("case", "method", "compile", "dtype"), list(ways()))
def test_meets_the_targets(case, method, compile, dtype):
    refusal = refusal_of(case, method, dtype)
    if refusal is not None:
        with pytest.raises(ValueError, match=refusal):
            ef.Solver(case.problem(dtype), METHODS[method], compile=compile)
        return
    solver = ef.Solver(case.problem(dtype), METHODS[method], compile=compile)
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
