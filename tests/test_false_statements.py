"""What must not be said of fits: verdicts, solutions, errors, derivatives."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

import eigenfit as ef

UNITS = list(np.eye(3))
SQUARE = np.diag([0.0, 1.0, 3.0])
COUPLING = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


def diagonal(rows, offset, **options):
    """Levels that are linear: `rows @ r + offset`, ascending where observed."""
    basis = [np.diag(column) for column in np.transpose(rows)]
    return ef.Problem(ef.Affine(basis, offset=np.diag(offset)), ef.Levels(**options))


@pytest.mark.sample(2)
@pytest.mark.parametrize("start", [1.0, 1e6, 1e12])
@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
def test_targets_of_zero_are_not_met_by_levels_small_against_the_start(start, method):
    # One of the levels is 1, whatever r is.
    problem = diagonal([[1.0], [0.0]], [0.0, 1.0])
    solution = ef.Solver(problem, method).fit([start], [0.0, 0.0])
    assert solution.result == ef.Result.minimum
    np.testing.assert_allclose(solution.parameters, 0, atol=1e-8)
    np.testing.assert_allclose(solution.loss, 1, rtol=1e-12)


def test_targets_of_zero_beside_a_stiff_support():
    A = np.array([[1e12, 0, 0], [0, 2.0, -1], [0, -1, 2]])
    problem = ef.Problem(ef.Affine([np.diag(UNITS[2])], offset=A), ef.Levels([0, 1]))
    solution = ef.Solver(problem).fit([5.0], [0.0, 0.0])
    assert solution.result == ef.Result.minimum

    def loss(r):
        return np.sum(np.linalg.eigvalsh(A[1:, 1:] + np.diag([0, r])) ** 2)

    found: Any = scipy.optimize.minimize_scalar(loss)
    best = found.x
    np.testing.assert_allclose(solution.parameters, [best], atol=1e-6)
    # Such levels can be met, of which the support leaves 12 digits fewer.
    problem = diagonal([[1.0], [0.0]], [0.0, 1e12], indices=[0])
    solution = ef.Solver(problem).fit([50.0], [0.0])
    assert solution.result == ef.Result.converged
    np.testing.assert_allclose(solution.parameters, 0, atol=1e-3)


@pytest.mark.slow
def test_each_observation_must_be_met():
    K = 1e11 * np.array([[2.0, -1, 0], [-1, 2, -1], [0, -1, 1]])
    w, V = np.linalg.eigh(K + 1e11 * np.diag([0.3, 0.1, 0.5]))
    shape = V[:, 0] * np.sign(V[0, 0])
    problem = ef.Problem(
        ef.Affine([1e11 * np.diag(x) for x in UNITS], offset=K),
        observations=[ef.Levels([0]), ef.ModeShapes([0], normalisation="unit")],
    )
    targets = np.r_[w[0], shape]
    for method in ("auto", "levenberg-marquardt"):
        solution = ef.Solver(problem, method).fit([1.0, 0.0, 0.0], targets)
        found = problem.values(solution.parameters, targets).numpy()[1:]
        met = np.abs(found - shape).max() < 1e-4
        assert met == (solution.result == ef.Result.converged)
        assert met or solution.result != ef.Result.minimum


@pytest.mark.sample(3)
@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
@pytest.mark.parametrize("close", [1e-5, 1e-6, 1e-7, 1e-8])
def test_columns_that_are_nearly_collinear(method, close):
    rows = np.array([[1, 1], [1, 1 + close], [1, 1 - close], [1, 1 + 2 * close]])
    offset, sigma = np.array([0.0, 10, 20, 30]), 1e-3 * close
    noise = sigma * np.array([1, -0.75, 1.25, -0.5])
    targets = rows @ [1.0, 2.0] + offset + noise
    problem = diagonal(rows, offset, sigma=sigma)
    solution = ef.Solver(problem, method).fit([1.05, 1.9], targets)
    best = np.linalg.lstsq(rows, targets - offset, rcond=None)[0]
    least = np.sum((rows @ best + offset - targets) ** 2) / sigma**2
    if solution.result == ef.Result.minimum:
        # Rounding of the targets is a part of their errors.
        rounding = 4e-15 / sigma
        np.testing.assert_allclose(solution.loss, least, rtol=1e-4 + 20 * rounding)
    else:
        assert solution.result == ef.Result.stalled


@pytest.mark.slow  # many solvers
def test_a_bound_at_a_point_of_symmetry_is_left():
    targets = np.linalg.eigvalsh(SQUARE + 0.2 * np.eye(3) + 0.5 * COUPLING)
    targets += [0, 0.01, 0]
    structure = ef.Affine([np.eye(3), COUPLING], offset=SQUARE)

    def residual(r):
        A = SQUARE + r[0] * np.eye(3) + r[1] * COUPLING
        return (np.linalg.eigvalsh(A) - targets) / 0.1

    best = 2 * scipy.optimize.least_squares(residual, [0.2, 0.5], xtol=1e-15).cost
    for bounds in (None, {"c": (0, None)}):
        problem = ef.Problem(
            structure,
            ef.Levels(sigma=0.1),
            parameters=ef.Parameters(["a", "c"], bounds=bounds),
        )
        for method in ("auto", "levenberg-marquardt"):
            solver = ef.Solver(problem, method)
            solution = solver.fit([0.1, 0.0], targets)
            if solution.result == ef.Result.minimum:
                assert solution.loss < 0.1
            found = ef.multistart(solver, targets, [[0.1, 0.0], [0.3, 0.4]])
            # A saddle is no solution.
            np.testing.assert_allclose(found.loss, [best], rtol=1e-6)


@pytest.mark.slow
def test_scales_of_a_start_far_away_are_left_behind():
    def matrix(r):
        e, s = tf.exp(r[..., 0]), r[..., 1]
        levels = [e + 0.5 * s, 3 + 2 * e - s, 60 + tf.sqrt(e), 90 + s]
        return tf.linalg.diag(tf.stack(levels, axis=-1))

    def levels(r):
        e = np.exp(r[0])
        return np.array([e + r[1] / 2, 3 + 2 * e - r[1], 60 + e**0.5, 90 + r[1]])

    problem = ef.Problem(ef.Parametric(matrix, 4, 2), ef.Levels(sigma=0.1))
    rng = np.random.default_rng(0)
    targets = levels([0.2, 0.3]) + 0.1 * rng.normal(size=4)
    best = scipy.optimize.least_squares(
        lambda r: (levels(r) - targets) / 0.1, [0.2, 0.3], xtol=1e-15, ftol=1e-15
    )
    starts = np.stack([np.linspace(4, 30, 14), np.zeros(14)], axis=-1)
    for method in ("auto", "levenberg-marquardt"):
        solution = ef.Solver(problem, method).fit(starts, targets)
        # Levels may have crossed on the way: those are other minima, and known ones.
        for r, code in zip(solution.parameters, solution.result, strict=True):
            assert code == ef.Result.minimum
            assert np.abs(problem.gradient(r, targets)).max() < 1e-4
        if method == "auto":
            near = np.abs(solution.loss.numpy() - 2 * best.cost) < 1e-6
            assert near.sum() >= 12


def test_minima_of_other_losses_are_no_continuum():
    A = np.array([[0.0, 1, 0.5], [1, 0, 0.3], [0.5, 0.3, 1]])
    basis = [np.diag(UNITS[k]) for k in (0, 1, 0)]
    problem = ef.Problem(ef.Affine(basis, offset=A), ef.Levels(sigma=0.1))
    starts = [[-1.8, 4.8, 0], [4, -1.5, 3], [5, -2, -4], [3, -1, 5.0]]
    solver = ef.Solver(problem, "levenberg-marquardt")
    found = ef.multistart(solver, [-2.0, 0, 5], starts)
    losses = found.solution.loss.numpy()
    np.testing.assert_allclose(found.loss, [losses.min(), losses.max()], rtol=1e-6)
    assert found.loss[1] > 1.1 * found.loss[0]
    np.testing.assert_array_equal(found.family_dimension, 1)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e9])
def test_solutions_at_a_large_offset_are_two(offset):
    problem = ef.Problem(ef.Additive([[0.0, 1], [1, 0]]))
    solver = ef.Solver(problem, "levenberg-marquardt")
    starts = offset + np.array([[0.0, 12], [12, 0]])
    found = ef.multistart(solver, [offset + 1, offset + 11], starts)
    np.testing.assert_array_equal(found.counts, [1, 1])


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_errors_where_levels_coincide_do_not_depend_on_the_basis(angle, monkeypatch):
    X, Z = np.array([[0.0, 1], [1, 0]]), np.diag([1.0, -1])
    c, s = np.cos(angle), np.sin(angle)
    problem = ef.Problem(
        ef.Affine([np.eye(2), c * X + s * Z, c * Z - s * X]), ef.Levels(sigma=0.1)
    )
    found = ef.uncertainty(problem, [1.0, 0, 0], [1.0, 1])
    # Chi-square of each is 200 r^2.
    np.testing.assert_allclose(found.standard_errors, 200**-0.5, rtol=1e-12)
    assert found.num_undetermined == found.degrees_of_freedom == 0
    solution = ef.Solver(problem).fit([0.9, 0.2, 0.1], [1.0, 1])
    found = ef.uncertainty(problem, solution, [1.0, 1])
    np.testing.assert_allclose(found.standard_errors, 200**-0.5, rtol=1e-4)
    # Of some members only, in one piece and in two.
    members = [[1.0, 0, 0], [1, 0.3, 0.4]], [[1.0, 1], [0.5, 1.5]]
    for most in (2**24, 1):
        monkeypatch.setattr("eigenfit.analysis.sensitivity._MAX_NUMBERS", most)
        both = ef.uncertainty(problem, *members)
        np.testing.assert_allclose(both.standard_errors[0], 200**-0.5, rtol=1e-12)
        assert both.num_undetermined.tolist() == [0, 1]


@pytest.mark.parametrize("share", [5e-7, 2e-6, 1e-9])
def test_small_shares_in_what_is_undetermined(share):
    problem = diagonal([[1.0, 1, 0], [0, share, 1]], [0.0, 0.0], sigma=0.01)
    found = ef.uncertainty(problem, [1.0, 0, 2], [1.0, 2])
    assert np.isinf(found.standard_errors).all()
    assert found.undetermined() == [f"r0 - r1 + {share:.4g} r2"]


def test_a_double_root_has_no_derivative():
    both = COUPLING + np.array([[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]])
    for square in (True, False):
        levels = ef.Levels([0, 1]) if square else ef.Levels()
        problem = ef.Problem(ef.Affine([np.eye(3), both], offset=SQUARE), levels)
        targets = tf.constant([0.5, 1.5, 3.5][: problem.num_targets], tf.float64)
        starts = [[0.4, 0.3], [0.4, 0.1], [0.5, 0.0]]
        with tf.GradientTape() as tape:
            t = tf.tile(targets[tf.newaxis], [3, 1])
            tape.watch(t)
            solution = ef.Solver(problem, "levenberg-marquardt").fit(starts, t)
            coupling = tf.reduce_sum(solution.parameters[:, 1])
        assert (solution.result == ef.Result.converged).numpy().all()
        assert np.isnan(tape.gradient(coupling, t)).all()


def second(problem, r, t):
    """The Hessian of the loss by central differences."""
    h = 1e-4 * np.eye(len(r))

    def loss(x):
        return float(problem.loss(x, t))

    def mixed(a, b):
        rises = loss(r + a + b) + loss(r - a - b) - loss(r + a - b) - loss(r - a + b)
        return rises / 4e-8

    r = np.asarray(r)
    return np.array([[mixed(a, b) for a in h] for b in h])


def test_errors_at_an_extremum_of_what_is_measured():
    # The least gap of the levels is more than that of the targets: as many data as
    # unknowns, a residual left over, so that J is singular at the minimum.
    A = np.array([[[0.5, 0.5], [0.5, 0.1]], np.eye(2)])
    t = np.array([0.2, 0.6])
    starts = [[0.3, 0.1], [-0.5, 0.2], [0.8, -0.4], [0.0, 0.0]]
    problem = ef.Problem(ef.Affine(A, offset=np.diag([0.0, 1.0])), ef.Levels(sigma=0.1))
    solver = ef.Solver(problem, "levenberg-marquardt")
    solution = solver.fit(starts, t)
    assert set(solution.result.numpy()) == {ef.Result.minimum}
    found = ef.uncertainty(problem, solution, t)
    # The Hessian has an inverse there; fourth powers of the distance take off 1 %.
    expected = np.sqrt(
        np.diag(np.linalg.inv(second(problem, solution.parameters[0], t) / 2))
    )
    errors = np.broadcast_to(expected, [4, 2])
    np.testing.assert_allclose(found.standard_errors, errors, rtol=0.015)
    np.testing.assert_array_equal(found.num_undetermined, 0)
    np.testing.assert_array_equal(found.degrees_of_freedom, 1)
    # The same where the whole Jacobian vanishes.
    gap = ef.Differences([(1, 0)], sigma=0.1)
    offset = [[0.0, 0.5], [0.5, 1.0]]
    problem = ef.Problem(ef.Affine([np.diag([1, -1.3])], offset=offset), gap)
    solution = ef.Solver(problem, "levenberg-marquardt").fit([[-0.3], [1.0]], [0.8])
    found = ef.uncertainty(problem, solution, [0.8])
    H = second(problem, solution.parameters[0], [0.8])
    expected = np.full([2, 1], np.sqrt(2 / H[0, 0]))
    np.testing.assert_allclose(found.standard_errors, expected, rtol=0.03)
    # A parameter that the data do determine keeps its error, however weak it is.
    structure = ef.Affine([np.diag([1.0, 0]), np.diag([0, 1e-7])])
    weak = ef.Problem(structure, ef.Levels(sigma=0.1))
    solution = ef.Solver(weak).fit([1.0, 3.0], [3e-7, 1.0])
    errors = ef.uncertainty(weak, solution, [3e-7, 1.0]).standard_errors
    np.testing.assert_allclose(errors, [0.1, 1e6], rtol=1e-6)


@pytest.mark.parametrize("method", ["levenberg-marquardt", "auto"])
def test_the_extremum_of_a_difference_is_stationary(method):
    B = np.array(
        [
            [1.0516, 2.6185, 3.5822, -1.5443],
            [2.6185, -0.1799, -0.1215, -0.1115],
            [3.5822, -0.1215, -1.4088, 0.3703],
            [-1.5443, -0.1115, 0.3703, 4.9003],
        ]
    )
    structure = ef.Affine([B], offset=np.diag([0.0, 2, 4, 6]) + 0.3)
    known = ef.Parameters(["a"], bounds={"a": (-0.44, 0.37)})
    gap = ef.Differences([(2, 1)])
    problem = ef.Problem(structure, gap, parameters=known)
    t = [2.5715673799604346]
    starts = np.linspace(-0.44, 0.37, 10)[:, np.newaxis]
    solver = ef.Solver(problem, method)
    solution = solver.fit(starts, t)
    grid = np.linspace(-0.44, 0.37, 200001)
    w = np.linalg.eigvalsh(structure.offset + grid[:, np.newaxis, np.newaxis] * B)
    losses = (w[:, 2] - w[:, 1] - t[0]) ** 2
    inside = np.abs(solution.parameters.numpy()[:, 0] - grid[np.argmin(losses)]) < 1e-5
    assert inside.sum() >= 7
    assert (solution.result.numpy()[inside] == ef.Result.stationary).all()
    listed = ef.multistart(solver, t, starts)
    np.testing.assert_allclose(listed.loss[0], losses.min(), rtol=1e-8)


@pytest.mark.slow
def test_a_coupling_that_is_zero_at_a_minimum_has_no_sign():
    def between(i, j):
        E = np.zeros([3, 3])
        E[i, j] = E[j, i] = 1
        return E

    B = np.array([between(0, 1), between(1, 2), np.eye(3)])
    offset = np.diag([0.0, 1, 3])
    A = offset + np.tensordot([0.7, 0.0, 0.2], B, 1)
    t = np.linalg.eigvalsh(A) - [0, 0, 0.2]
    problem = ef.Problem(ef.Affine(B, offset=offset), ef.Levels(sigma=0.05))
    solver = ef.Solver(problem, "levenberg-marquardt")
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        start = rng.uniform([-0.3, -1, -1], 1)
        found = ef.deflate(solver, start, t)
        np.testing.assert_allclose(found.parameters[:, 1], 0, atol=3e-7)
        np.testing.assert_array_equal(found.copies, 2)
        assert len(found.parameters) == 2


@pytest.mark.parametrize("unit", [1e-200, 1e160])
@pytest.mark.parametrize("sigma", [None, 0.01])
def test_derivatives_whose_squares_leave_the_range_are_no_minimum(unit, sigma):
    A = np.diag([1.0, 2.0, 4.0])
    B = np.diag([1.0, -1.0, 2.0]) / unit
    problem = ef.Problem(ef.Affine([B], offset=A), ef.Levels(sigma=sigma))
    solution = ef.Solver(problem).fit([0.1 * unit], [1.2, 1.8, 4.4])
    # At .2 in this unit, the targets are met.
    assert solution.result == ef.Result.nonfinite


@pytest.mark.parametrize(("support", "coupling"), [(1e14, 0.5), (1e12, 0.01)])
def test_couplings_beside_a_stiff_support_have_their_sign(support, coupling):
    X = np.zeros([3, 3])
    X[0, 1] = X[1, 0] = 1
    E = np.diag([1.0, 0, 0])
    offset = np.diag([0, 1, support])
    offset[0, 1] = offset[1, 0] = coupling
    problem = ef.Problem(ef.Affine([X, E], offset=offset), ef.Levels([0, 1]))
    truth = np.array([-0.3, 0.2])
    t = np.linalg.eigvalsh((offset - 0.3 * X + 0.2 * E)[:2, :2])
    starts = truth + 0.05 * np.random.default_rng(0).normal(size=[6, 2])
    listed = ef.multistart(ef.Solver(problem, "levenberg-marquardt"), t, starts)
    np.testing.assert_allclose(listed.parameters, [truth], rtol=1e-4)


def test_errors_of_priors_stay_where_data_have_none():
    # Two unknowns that share no datum: the error of one is that of its prior, of the
    # other the textbook's.
    x, t = np.array([1.0, 2, 4]), np.array([1.001, 2.002, 3.999])
    prior = ef.Parameters(["a", "b"], prior={"b": (0.5, 0.5)})
    structure = ef.Affine([np.diag(x), np.zeros([3, 3])])
    problem = ef.Problem(structure, parameters=prior)
    solution = ef.Solver(problem).fit([0.9, 0.5], t)
    slope = x @ t / (x @ x)
    error = np.sqrt(np.sum((t - slope * x) ** 2) / 2 / (x @ x))
    found = ef.uncertainty(problem, solution, t)
    np.testing.assert_allclose(found.standard_errors, [error, 0.5], rtol=1e-6)


def test_given_errors_stay_where_other_data_have_none():
    x, y = np.array([1.0, 2, 4, 0, 0]), np.array([0.0, 0, 0, 7, 8])
    levels = [ef.Levels([0, 1, 2]), ef.Levels([3, 4], sigma=0.5)]
    problem = ef.Problem(ef.Affine([np.diag(x), np.diag(y)]), observations=levels)
    t = np.array([1.001, 2.002, 3.999, 7.4, 7.9])
    solution = ef.Solver(problem).fit([0.9, 1.1], t)
    slope = x @ t / (x @ x)
    error = np.sqrt(np.sum((t - slope * x)[:3] ** 2) / 2 / (x @ x))
    found = ef.uncertainty(problem, solution, t)
    wanted = [error, 0.5 / np.sqrt(y @ y)]
    np.testing.assert_allclose(found.standard_errors, wanted, rtol=1e-6)


def test_errors_of_values_that_follow_targets():
    # Ordinary least squares of a line with a free intercept, the shift.
    b, sigma = np.array([0.0, 1, 3, 4]), 0.1
    offset = np.diag([0.0, 10, 20, 30])
    problem = ef.Problem(
        ef.Affine([np.diag(b)], offset=offset), ef.FreeShift(ef.Levels(sigma=sigma))
    )
    t = np.diag(offset) + b + 7 + [0.05, -0.1, 0.02, 0.08]
    solution = ef.Solver(problem).fit([0.9], t)
    away = b - b.mean()
    wanted = sigma * np.sqrt(1 / 4 + away**2 / (away @ away))
    found = ef.uncertainty(problem, solution, t)
    np.testing.assert_allclose(found.value_errors, wanted, rtol=1e-6)


def test_errors_of_shapes_that_are_scaled_by_a_target():
    K = np.array([[2.0, -1, 0], [-1, 2, -1], [0, -1, 1]])
    supports = [np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0])]
    problem = ef.Problem(
        ef.Affine(supports, offset=K),
        observations=[ef.ModeShapes([0], sigma=1e-3), ef.Levels([0], sigma=1e-3)],
    )
    r = np.array([0.3, 0.2])
    w, X = np.linalg.eigh(K + np.diag([*r, 0]))
    shape = X[:, 0] / X[np.argmax(np.abs(X[:, 0])), 0]
    t = np.concatenate([shape, w[:1]])
    moved = 1e-3 * np.random.default_rng(4).normal(size=[500, 4])
    solver = ef.Solver(problem, "levenberg-marquardt")
    fits = solver.fit(np.tile(r, [500, 1]), t + moved)
    values = problem.values(fits.parameters, t + moved).numpy() - t
    by_targets = np.linalg.lstsq(moved, values, rcond=None)[0]
    found = ef.uncertainty(problem, r, t)
    wanted = 1e-3 * np.linalg.norm(by_targets, axis=0)
    np.testing.assert_allclose(found.value_errors, wanted, rtol=0.005)
