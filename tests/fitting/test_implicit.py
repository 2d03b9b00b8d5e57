"""The derivative of a fit by its targets, against finite differences of fits."""

import numpy as np
import pytest
import scipy.optimize
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
    assert solution.result == ef.Result.minimum
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


@pytest.mark.slow
@pytest.mark.sample(1)
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


def test_a_parameter_on_its_bound_does_not_move():
    coupling = 0.3 * (np.ones([3, 3]) - np.eye(3))
    basis = [np.diag([1.0, 0, 0]), np.diag([0, 1.0, 1])]
    offset = np.diag([0.0, 2, 5]) + coupling
    known = ef.Parameters(["a", "b"], bounds={"a": (None, 0.5)})
    bounded = ef.Solver(
        ef.Problem(ef.Affine(basis, offset), parameters=known), ef.LevenbergMarquardt()
    )
    targets = [1.2, 2.6, 5.9]
    a, b = jacobian(bounded, [0.0, 0.0], targets)
    np.testing.assert_array_equal(a, np.zeros(3))
    # That of the problem with a fixed, by differences of an independent minimisation.
    fixed = offset + 0.5 * basis[0]

    def best(t):
        def slope(b):
            w, V = np.linalg.eigh(fixed + b * basis[1])
            return (w - t) @ (V**2 * [[0.0], [1], [1]]).sum(axis=0)

        return scipy.optimize.brentq(slope, -5.0, 5.0, xtol=1e-14)

    expected = zoo.finite_differences(best, np.array(targets), 1e-4)
    np.testing.assert_allclose(b, expected, atol=1e-7)


def test_priors_are_data():
    known = ef.Parameters(["a", "b"], prior={"a": (0.0, 0.5), "b": (1.0, 0.5)})
    basis = [np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])]
    problem = ef.Problem(
        ef.Affine(basis, np.diag([0.0, 1.0])),
        ef.Levels([0], sigma=0.5),
        parameters=known,
    )
    solver = ef.Solver(problem, ef.LevenbergMarquardt())
    actual = jacobian(solver, [0.0, 1.0], [2.0])[:, 0]
    np.testing.assert_allclose(actual, [0.398, -0.296], atol=5e-4)

    def best(t):
        def residual(x):
            level = (1 + x[0]) / 2 - np.hypot((1 - x[0]) / 2, x[1])
            return np.array([level - t[0], x[0], x[1] - 1]) / 0.5

        found = scipy.optimize.least_squares(
            residual, [0.0, 1.0], jac="3-point", xtol=1e-15, ftol=1e-15, gtol=1e-15
        )
        return found.x

    expected = zoo.finite_differences(best, np.array([2.0]), 1e-2)[:, 0]
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def gradient_of_first(problem, start, targets, **options):
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile="eager")
    t = tf.constant(targets, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(t)
        solution = solver.fit(start, t, **options)
        first = solution.parameters[..., 0]
    return solution, tape.gradient(first, t).numpy()


def test_a_shape_follows_the_largest_of_its_targets():
    # x = (1, tan) up to scale: the ratio of the targets alone decides.
    problem = ef.Problem(
        ef.Affine([[[0.0, 1.0], [1.0, 0.0]]], np.diag([0.0, 2.0])), ef.ModeShapes([0])
    )
    _, actual = gradient_of_first(problem, [-0.5], [0.9, 0.4], tolerance=1e-24)
    # (A - lambda) (1, s) = 0: lambda = r s, r + (2 - r s) s = 0, r = 2 s / (s^2 - 1).
    s = 0.4 / 0.9
    slope = 2 / (s**2 - 1) - 4 * s**2 / (s**2 - 1) ** 2
    np.testing.assert_allclose(actual, slope * np.array([-s, 1]) / 0.9, rtol=1e-8)


@pytest.mark.sample(2)
@pytest.mark.parametrize("unit", [1e-150, 1e-8, 1.0, 1e8, 1e150])
def test_the_unit_of_the_levels_drops_out(unit):
    basis = [np.diag([1.0, 0.0, 0.0]), np.eye(3)[::-1]]
    offset = np.diag([0.0, 1.0, 3.0])
    targets = np.array([0.3, 1.2, 3.6])
    problem = ef.Problem(ef.Affine(np.array(basis), unit * offset))
    one = ef.Problem(ef.Affine(np.array(basis), offset))
    _, expected = gradient_of_first(one, [0.2, 0.1], targets)
    _, actual = gradient_of_first(problem, unit * np.array([0.2, 0.1]), unit * targets)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)
    assert np.abs(expected).max() > 0.1


def test_a_fold_has_no_derivative():
    # Its level is 1 - r^2 / 2: at 1 it has just been reached.
    def angle(r):
        return tf.cos(r)[..., tf.newaxis]

    problem = ef.Problem(ef.Parametric(angle, 1, 1))
    solution, actual = gradient_of_first(problem, [0.0], [1.0])
    assert solution.result == ef.Result.converged
    assert np.isnan(actual).all()


def test_an_idle_parameter_stays():
    basis = [np.diag([1.0, 0.0]), np.zeros([2, 2])]
    problem = ef.Problem(ef.Affine(basis, np.diag([0.0, 3.0])), ef.Levels([0]))
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile="eager")
    actual = jacobian(solver, [0.1, 0.7], [0.4])
    np.testing.assert_allclose(actual, [[1.0], [0.0]], atol=1e-12)


def test_copies_of_a_matrix_share_what_moves():
    A = np.diag([1.0, 2.0, 4.0])
    solver = ef.Solver(
        ef.Problem(ef.Affine([A, A])), ef.LevenbergMarquardt(), compile="eager"
    )
    targets = [1.1, 1.9, 4.2]
    actual = jacobian(solver, [0.3, 0.5], targets)
    weights = np.array([1.0, 2.0, 4.0])
    expected = weights / (weights @ weights) / 2
    np.testing.assert_allclose(actual, [expected, expected], atol=1e-7)


def test_a_bound_without_push_is_no_derivative():
    # Targets met with a parameter on its bound: it can move to one side only.
    problem = ef.Problem(
        ef.Affine([np.diag([1.0, 0.0]), np.diag([0.0, 1.0])], np.diag([0.0, 5.0])),
        parameters=ef.Parameters(bounds={"r0": (0.0, None)}),
    )
    solution, actual = gradient_of_first(problem, [0.0, 0.0], [0.0, 5.0])
    assert solution.result == ef.Result.converged
    assert np.isnan(actual).all()


def test_several_blocks():
    # Their matrices are of different orders.
    coupling = np.array([[0.0, 1.0], [1.0, 0.0]])
    larger = np.diag([0.0, 2.0, 5.0])
    change = np.ones([3, 3])
    problem = ef.Problem(
        [
            ef.Block(ef.Affine([coupling], np.diag([0.0, 1.0])), ef.Levels([0])),
            ef.Block(ef.Affine([change], larger), ef.Levels([2])),
        ]
    )
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile="eager")
    t = tf.constant([-0.4, 5.9], tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(t)
        solution = solver.fit([0.7], t)
        r, entry = solution.parameters[0], solution.matrix[1][0, 1]

    def best(t):
        def slope(r):
            w, V = np.linalg.eigh(larger + r * change)
            u, U = np.linalg.eigh(np.diag([0.0, 1.0]) + r * coupling)
            by = [V[:, 2] @ change @ V[:, 2], U[:, 0] @ coupling @ U[:, 0]]
            return (w[2] - t[1]) * by[0] + (u[0] - t[0]) * by[1]

        return scipy.optimize.brentq(slope, 0.2, 1.5, xtol=1e-14)

    expected = zoo.finite_differences(best, t.numpy(), 1e-4)
    np.testing.assert_allclose(tape.gradient(r, t), expected, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(entry, t), expected, atol=1e-6)


def test_a_fit_is_differentiated_however_its_targets_are_given():
    # A single fit attaches its derivative only where something asks for it.
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)))
    start, targets = np.arange(6.0), np.array([1.0, 2.0, 4.0])
    forms = {
        "array": targets,
        "list": targets.tolist(),
        "integers": [1, 2, 4],
        "tensor": tf.constant(targets),
        "variable": tf.Variable(targets),
    }
    found = {name: solver.fit(start, x).parameters for name, x in forms.items()}
    for name, parameters in found.items():
        np.testing.assert_array_equal(parameters, found["array"], name)
    gradients = []
    for name in ("tensor", "variable"):
        with tf.GradientTape() as tape:
            tape.watch(forms[name])
            total = tf.reduce_sum(solver.fit(start, forms[name]).parameters ** 2)
        gradients.append(tape.gradient(total, forms[name]))
    with tf.GradientTape() as tape:
        tape.watch(forms["tensor"])
        batch = solver.fit([start], forms["tensor"]).parameters
        total = tf.reduce_sum(batch**2)
    gradients.append(tape.gradient(total, forms["tensor"]))
    assert np.isfinite(gradients[0]).all()
    for gradient in gradients[1:]:
        np.testing.assert_allclose(gradient, gradients[0], rtol=1e-12)
    # The start is held constant, watched or not.
    initial = tf.constant(start)
    with tf.GradientTape() as tape:
        tape.watch(initial)
        total = tf.reduce_sum(solver.fit(initial, targets).parameters)
    assert tape.gradient(total, initial) is None
    with tf.autodiff.ForwardAccumulator(initial, tf.ones_like(initial)):
        forward = solver.fit(initial, targets).parameters
    np.testing.assert_array_equal(forward, found["array"])
