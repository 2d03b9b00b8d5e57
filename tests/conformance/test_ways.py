"""Every problem by every method in every way of running."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.combinations import each

import eigenfit as ef
from eigenfit_export import load_model, save_model
from eigenfit_serving import Client, InProcess

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
    tolerance = 1e-6 if method == "adam" else 1e-10
    solution = solver.fit(case.initial, case.targets, tolerance=tolerance)
    solution.raise_for_result()
    loss = zoo.loss(solver.problem, solution.parameters, case.targets)
    rounding = 1e-3 if dtype == tf.float64 else 0.2
    assert loss <= tolerance * (1 + rounding)


QUICK = [("seed", "auto"), ("complex Hermitian", "newton")]


def exports():
    """Every combination that can be solved; most are in the long tail."""
    for case, method in itertools.product(zoo.CASES, METHODS):
        if refusal_of(case, method, tf.float64) is None:
            slow = (case.name, method) not in QUICK
            marks = [pytest.mark.slow] if slow else []
            yield pytest.param(case, method, id=f"{case}-{method}", marks=marks)


@pytest.mark.sample(1)
@pytest.mark.parametrize(("case", "method"), list(exports()))
def test_reloaded_and_served_models_fit_as_the_solver_does(tmp_path, case, method):
    # As exported: compiled by XLA, the last digits differ.
    solver = ef.Solver(case.problem(), METHODS[method], compile="graph")
    save_model(solver, tmp_path / "model", warmup_batches=())
    transport = InProcess(tmp_path / "model")
    ways = {
        "reloaded": load_model(tmp_path / "model").fit,
        "served": Client(transport).fit,
    }
    start, targets = np.array(case.initial), np.array(case.targets)
    starts = np.stack([start, start, 0.9 * start])
    starts[1, 0] = np.nan
    tolerance = 1e-6 if method == "adam" else 1e-10

    def check(way, limits):
        expected = solver.fit(starts, targets, **limits)
        found = ways[way](starts, targets, **limits)
        codes = np.asarray(expected.result).tolist()
        assert codes[1] == ef.Result.invalid_input
        assert codes[0] == (
            ef.Result.max_steps if "max_steps" in limits else ef.Result.converged
        )
        assert np.asarray(found.result).tolist() == codes
        np.testing.assert_array_equal(found.num_steps, expected.num_steps)
        for name in ("parameters", "eigenvalues", "loss"):
            np.testing.assert_allclose(
                getattr(found, name),
                getattr(expected, name),
                rtol=1e-10,
                atol=1e-12,
                err_msg=name,
            )

    limits = {"tolerance": tolerance}, {"tolerance": 1e-20, "max_steps": 0}
    try:
        each(check, way=ways, limits=limits)
    finally:
        transport.close()
