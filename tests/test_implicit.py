"""The derivative of a fit by its targets, against finite differences of fits."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.zoo import FNO_OFFSET, FNO_TARGETS

import eigenfit as ef

CASES = {case.name: case for case in zoo.CASES}


def jacobian(solver, initial, targets, field="parameters", **options):
    t = tf.constant(targets, solver.problem.parameter_dtype)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(t)
        solution = solver.fit(initial, t, tolerance=1e-22, **options)
        parts = tf.unstack(tf.reshape(getattr(solution, field), [-1]))
    return np.array([tape.gradient(x, t) for x in parts])


def differences(solver, initial, targets, field="parameters", **options):
    # Fits are exact to 1e-11: a step of 1e-4 leaves 1e-7, its square 1e-8.
    def fitted(t):
        solution = solver.fit(initial, t, tolerance=1e-24, **options)
        return np.ravel(getattr(solution, field))

    return zoo.finite_differences(fitted, np.array(targets, float), 1e-4)


@pytest.mark.parametrize("field", ["parameters", "matrix", "eigenvalues"])
def test_square_problem(field):
    solver = ef.Solver(ef.Problem(ef.Additive(FNO_OFFSET)), ef.LevenbergMarquardt())
    initial = FNO_TARGETS
    start = solver.fit(initial, FNO_TARGETS, tolerance=1e-24).parameters.numpy()
    expected = differences(solver, start, FNO_TARGETS, field)
    actual = jacobian(solver, start, FNO_TARGETS, field)
    np.testing.assert_allclose(actual, expected, atol=2e-6)


@pytest.mark.parametrize("targets", [[-1.0, 0.5, 2.0], [1.0, 1.0, 1.0]])
def test_closed_form(targets):
    # More parameters than targets; exact also where targets coincide, since the
    # closed form keeps the eigenvectors of the start.
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)))
    initial = CASES["seed"].initial
    _, V = np.linalg.eigh(zoo.numpy_symmetric(np.array(initial), 3))
    actual = jacobian(solver, initial, targets, "matrix")
    expected = np.stack([np.outer(v, v).ravel() for v in V.T], axis=-1)
    np.testing.assert_allclose(actual, expected, atol=1e-12)


def test_inconsistent_targets_use_the_exact_hessian():
    # Five levels, two parameters: the residual does not vanish.
    rng = np.random.default_rng(3)
    basis = rng.normal(size=[2, 5, 5])
    basis += basis.swapaxes(1, 2)
    solver = ef.Solver(
        ef.Problem(ef.Affine(basis, np.diag(np.arange(5.0) * 3))),
        ef.LevenbergMarquardt(),
    )
    targets = np.arange(5.0) * 3 + rng.normal(size=5)
    solution = solver.fit(np.zeros(2), targets)
    assert solution.result == ef.Result.stationary
    assert solution.loss > 1e-2
    # A least-squares answer is known to 1e-8: its differences to 1e-5.
    start = np.zeros(2)
    expected = zoo.finite_differences(
        lambda t: solver.fit(start, t).parameters.numpy(), targets, 1e-3
    )
    actual = jacobian(solver, start, targets)
    np.testing.assert_allclose(actual, expected, atol=3e-5)
    # The Jacobian alone would say otherwise.
    J = solver.problem.jacobian(solution.parameters, targets).numpy()
    assert np.abs(np.linalg.pinv(J) - expected).max() > 1e-3


def test_loss_of_least_squares_answer():
    basis = [np.diag([1.0, 2.0, 4.0])]
    solver = ef.Solver(
        ef.Problem(ef.Affine(basis), ef.Levels(weights=[1.0, 2.0, 3.0])),
        ef.LevenbergMarquardt(),
    )
    targets = [1.0, 2.5, 3.5]
    t, w, d = np.array(targets), np.array([1.0, 2, 3]), np.array([1.0, 2, 4])
    r = (w * d * t).sum() / (w * d * d).sum()
    np.testing.assert_allclose(
        jacobian(solver, [0.7], targets, "loss")[0], -2 * w * (r * d - t), atol=1e-6
    )
    np.testing.assert_allclose(
        jacobian(solver, [0.7], targets)[0], w * d / (w * d * d).sum(), atol=1e-6
    )


def test_members_that_did_not_end_well_have_no_derivative():
    solver = ef.Solver(ef.Problem(ef.Toeplitz(4)))
    t = tf.constant([[1.0, 2.0, 3.0, 4.0]] * 2, tf.float64)
    starts = np.array([[2.5, 0.4, 0.01, -1.4], [2.5, 0.1, 0.3, 0.7]])
    with tf.GradientTape() as tape:
        tape.watch(t)
        solution = solver.fit(starts, t, tolerance=1e-20, max_steps=[50, 0])
        total = tf.reduce_sum(solution.parameters)
    assert solution.result.numpy().tolist() == [
        ef.Result.converged,
        ef.Result.max_steps,
    ]
    gradient = tape.gradient(total, t).numpy()
    assert np.isfinite(gradient[0]).all()
    assert np.isnan(gradient[1]).all()


@pytest.mark.parametrize("compile", [False, True], ids=["graph", "xla"])
def test_inside_compiled_functions(compile):
    solver = ef.Solver(ef.Problem(ef.Additive(FNO_OFFSET[:3, :3] / 4)))
    start = [1.0, 2.0, 3.0]
    targets = tf.constant([-1.0, 2.0, 5.0], tf.float64)

    def gradient(t):
        with tf.GradientTape() as tape:
            tape.watch(t)
            r = solver.fit(start, t, tolerance=1e-22).parameters
            value = tf.reduce_sum(r**3)
        return tape.gradient(value, t)

    compiled = tf.function(gradient, jit_compile=compile)(targets)
    np.testing.assert_allclose(compiled, gradient(targets), rtol=1e-6)


def test_the_second_derivative_is_nan_not_wrong():
    solver = ef.Solver(ef.Problem(ef.Additive(FNO_OFFSET[:3, :3] / 4)))
    t = tf.constant([-1.0, 2.0, 5.0], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(t)
        with tf.GradientTape() as inner:
            inner.watch(t)
            r = solver.fit([1.0, 2.0, 3.0], t, tolerance=1e-22).parameters
            value = tf.reduce_sum(r**2)
        first = inner.gradient(value, t)
    assert np.isnan(outer.gradient(first, t)).all()
