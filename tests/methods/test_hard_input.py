"""What every method does with hard starts, hostile members and odd shapes."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

METHODS = [
    ef.Newton(),
    ef.ClusterNewton(),
    ef.GaussNewton(),
    ef.LoewnerNewton(),
    ef.LiftAndProject(),
    ef.LBFGS(memory=4),
]
every_method = pytest.mark.parametrize("method", METHODS, ids=repr)

OFFSET = np.array([[0, 0.3, 0.1], [0.3, 0, 0.2], [0.1, 0.2, 0]])
START, TARGETS = np.array([1.0, 2.0, 4.0]), np.array([1.1, 2.2, 4.3])


@functools.cache
def additive(method, dtype=tf.float64):
    problem = ef.Problem(ef.Additive(OFFSET, dtype))
    return ef.Solver(problem, method, compile="graph")


@pytest.mark.sample(3)
@every_method
def test_hostile_members_leave_the_others_alone(method):
    solver = additive(method)
    starts = np.tile(START, [6, 1]) + np.arange(6)[:, np.newaxis] * [0.01, 0, -0.02]
    hostile = starts.copy()
    hostile[1, 2] = np.nan
    hostile[3] = 1e200  # its square overflows
    hostile[4, 0] = np.inf
    clean = solver.fit(starts, TARGETS)
    mixed = solver.fit(hostile, TARGETS)
    clean.raise_for_result()
    good = [0, 2, 5]
    for name in ("parameters", "loss", "num_steps", "result", "matrix"):
        ours, theirs = (getattr(x, name).numpy()[good] for x in (mixed, clean))
        np.testing.assert_array_equal(ours, theirs)
    result = mixed.result.numpy()
    assert result[1] == result[4] == ef.Result.invalid_input
    met = np.allclose(mixed.eigenvalues[3], TARGETS, atol=1e-8)
    assert met == (result[3] == ef.Result.converged)


@pytest.mark.sample(2)
@every_method
def test_a_matrix_that_becomes_nan_ends_its_member_only(method):
    # sqrt(r) is NaN for r < 0: the first member's whole step leads there.
    def roots(r):
        return tf.linalg.diag(tf.sqrt(r))

    problem = ef.Problem(ef.Parametric(roots, 2, 2))
    if isinstance(method, ef.LiftAndProject):
        with pytest.raises(ValueError, match="needs a structure that is linear"):
            ef.Solver(problem, method)
        return
    solver = ef.Solver(problem, method, compile="graph")
    targets = [[0.1, 1.5], [1.0, 2.0]]
    solution = solver.fit([[4.0, 5.0], [1.2, 3.5]], targets, tolerance=1e-16)
    alone = solver.fit([1.2, 3.5], targets[1], tolerance=1e-16)
    assert solution.result[1] == ef.Result.converged
    np.testing.assert_allclose(
        solution.parameters[1], alone.parameters, rtol=1e-12, atol=0
    )
    assert np.isfinite(solution.parameters).all()
    if isinstance(method, (ef.Newton, ef.ClusterNewton)):
        assert solution.result[0] == ef.Result.nonfinite
    else:
        # The trial is refused, and shorter ones succeed.
        assert solution.result[0] == ef.Result.converged


@every_method
@pytest.mark.parametrize("batch", [[], [3], [2, 2], [0]], ids=str)
def test_batch_shapes(method, batch):
    solver = additive(method)
    size = int(np.prod(batch))
    shift = np.linspace(-0.1, 0.1, max(size, 1))[:size, np.newaxis]
    start = (START + shift).reshape([*batch, 3])
    solution = solver.fit(start, TARGETS)
    assert solution.parameters.shape == [*batch, 3]
    assert solution.result.shape == batch
    solution.raise_for_result()
    if size:
        flat = tf.reshape(solution.parameters, [-1, 3])[-1]
        alone = solver.fit(start.reshape([-1, 3])[-1], TARGETS).parameters
        np.testing.assert_allclose(flat, alone, rtol=1e-12)


@every_method
def test_single_precision(method):
    solver = additive(method, tf.float32)
    solution = solver.fit(START, TARGETS, tolerance=1e-10)
    solution.raise_for_result()
    assert solution.parameters.dtype == tf.float32
    assert zoo.loss(solver.problem, solution.parameters, TARGETS) < 2e-10


@every_method
def test_a_tolerance_below_rounding_ends_stalled(method):
    solver = additive(method)
    solution = solver.fit(START, TARGETS, tolerance=1e-60)
    assert solution.result in (ef.Result.stalled, ef.Result.converged)
    assert solution.loss < 1e-27
    assert solution.num_steps < method.default_max_steps


@pytest.mark.sample(3)
@every_method
def test_a_multiple_of_the_identity_is_left(method):
    targets = [1.0, 2.0, 3.0]
    # The Jacobian of the Toeplitz matrices with these levels is singular: lift and
    # project needs more and more steps for each digit.
    slow = isinstance(method, ef.LiftAndProject)
    for structure, start, tolerance in (
        (ef.Symmetric(3), np.zeros(6), 1e-12),
        (ef.Symmetric(3), [2.0, 2.0, 2.0, 0.0, 0.0, 0.0], 1e-12),
        (ef.Toeplitz(3), [2.0, 0.0, 0.0], 1e-6 if slow else 1e-12),
    ):
        solver = ef.Solver(ef.Problem(structure), method, compile="graph")
        solution = solver.fit(start, targets, tolerance=tolerance)
        solution.raise_for_result()
        loss = zoo.loss(solver.problem, solution.parameters, targets)
        assert loss < 1.1 * tolerance


@pytest.mark.parametrize(
    "method", [ef.LoewnerNewton(), ef.LBFGS(), ef.LiftAndProject()], ids=repr
)
def test_a_descent_that_is_trapped_says_so(method):
    # From here a Toeplitz matrix of order 4 comes to a minimum with loss 0.02.
    problem = ef.Problem(ef.Toeplitz(4))
    solver = ef.Solver(problem, method, compile="graph")
    targets = [1.0, 2.0, 3.0, 4.0]
    solution = solver.fit([2.5, 0.0, 0.0, 0.0], targets)
    assert solution.result == ef.Result.stationary
    assert solution.loss < 0.021
    np.testing.assert_allclose(
        problem.gradient(solution.parameters, targets), np.zeros(4), atol=1e-6
    )


@every_method
def test_a_parameter_without_influence_keeps_its_value(method):
    basis = [np.diag([1.0, 0.0]), np.zeros([2, 2]), np.diag([0.0, 1.0])]
    solver = ef.Solver(ef.Problem(ef.Affine(basis)), method, compile="graph")
    solution = solver.fit([0.5, 7.0, 2.5], [1.0, 2.0], tolerance=1e-16)
    solution.raise_for_result()
    np.testing.assert_allclose(solution.parameters, [1.0, 7.0, 2.0], atol=1e-7)


@every_method
def test_parameters_that_do_the_same(method):
    # The Gram matrix and every Hessian are singular.
    basis = [np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), np.diag([2.0, 0.0])]
    solver = ef.Solver(ef.Problem(ef.Affine(basis)), method, compile="graph")
    solution = solver.fit([0.1, 2.5, 0.2], [1.0, 2.0], tolerance=1e-16)
    solution.raise_for_result()
    assert np.abs(solution.parameters).max() < 5


@every_method
def test_targets_that_cannot_be_met_end_stationary(method):
    # Both levels are equal, the best is the mean of the targets.
    problem = ef.Problem(ef.Affine([np.eye(2), np.eye(2)]))
    solver = ef.Solver(problem, method, compile="graph")
    solution = solver.fit([0.3, 0.1], [1.0, 2.0])
    assert solution.result == ef.Result.stationary
    np.testing.assert_allclose(tf.reduce_sum(solution.parameters), 1.5, atol=1e-7)


@every_method
def test_the_limit_of_steps_is_reported(method):
    solver = additive(method)
    solution = solver.fit(START, TARGETS, tolerance=1e-20, max_steps=0)
    assert solution.result == ef.Result.max_steps
    assert solution.num_steps == 0
    np.testing.assert_array_equal(solution.parameters, START)


@pytest.mark.sample(3)
@every_method
def test_units_of_the_parameters_do_not_matter(method):
    scale = np.array([1e-6, 1.0, 1e5])
    basis = [np.diag(e) for e in np.eye(3)]
    plain = ef.Problem(ef.Affine(basis, OFFSET))
    scaled = ef.Problem(ef.Affine(np.array(basis) * scale[:, None, None], OFFSET))
    one, other = (
        ef.Solver(p, method, compile="graph").fit(r, TARGETS, tolerance=1e-10)
        for p, r in ((plain, START), (scaled, START / scale))
    )
    one.raise_for_result()
    assert one.num_steps == other.num_steps
    np.testing.assert_allclose(
        other.parameters * scale, one.parameters, rtol=0, atol=1e-6
    )


def test_options_are_checked():
    for relaxation in (0.5, 2.0, float("nan")):
        with pytest.raises(ValueError, match="`relaxation`"):
            ef.LiftAndProject(relaxation)
    with pytest.raises(TypeError, match="`relaxation`"):
        ef.LiftAndProject("fast")
    for memory in (0, 2.5, True):
        with pytest.raises(ValueError, match="`memory`"):
            ef.LBFGS(memory)
    with pytest.raises(ValueError, match="`initial_damping`"):
        ef.LoewnerNewton(initial_damping=0)


def test_lift_and_project_accepts_equal_weights():
    problem = ef.Problem(ef.Additive(OFFSET), ef.Levels(weights=[2.0, 2.0, 2.0]))
    solution = ef.Solver(problem, ef.LiftAndProject(1.5)).fit(START, TARGETS)
    solution.raise_for_result()
    unequal = ef.Problem(ef.Additive(OFFSET), ef.Levels(weights=[2.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=r"the weights of .* differ.*Levenberg"):
        ef.Solver(unequal, ef.LiftAndProject())


def test_lift_and_project_with_the_lowest_levels_only():
    problem = ef.Problem(ef.Additive(np.pad(OFFSET, [(0, 1), (0, 1)])), ef.Levels([0]))
    solution = ef.Solver(problem, ef.LiftAndProject()).fit([3.0, 3.5, 4.0, 5.0], [2.0])
    solution.raise_for_result()


@pytest.mark.sample(2)
@every_method
def test_a_step_is_short_in_the_units_of_the_matrix(method):
    unit = 1e12
    basis = [np.diag(e) * unit for e in np.eye(3)]
    problem = ef.Problem(ef.Affine(basis, OFFSET))
    solver = ef.Solver(problem, method, compile="graph")
    solution = solver.fit(START / unit, TARGETS, tolerance=1e-60)
    assert solution.result in (ef.Result.stalled, ef.Result.converged)
    assert solution.num_steps < min(method.default_max_steps, 300)


def squares(r):
    return tf.linalg.diag(tf.square(r))


def test_loewner_newton_leaves_a_region_of_negative_curvature():
    # The loss (r^2 - 1)^2 is concave for |r| < 0.577, with a maximum at 0.
    problem = ef.Problem(ef.Parametric(squares, 1, 1))
    solver = ef.Solver(problem, ef.LoewnerNewton(), compile="graph")
    solution = solver.fit([[0.3], [-0.2], [0.5]], [1.0], tolerance=1e-16)
    solution.raise_for_result()
    assert np.max(solution.num_steps) <= 16
    np.testing.assert_allclose(
        solution.parameters, [[1.0], [-1.0], [1.0]], rtol=0, atol=1e-8
    )


def test_lbfgs_leaves_out_pairs_of_negative_curvature():
    problem = ef.Problem(ef.Parametric(squares, 2, 2))
    method = ef.LBFGS(memory=3)
    targets = tf.constant([1.0, 4.0], tf.float64)
    state = method.init(problem, tf.constant([0.02, 1.9], tf.float64), targets)
    inside = tf.constant([0.05, 1.9], tf.float64)
    proposed = method.propose(problem, state.point, targets, state.memory)
    trial = problem.evaluate(inside, targets)
    kept = method.learn(problem, proposed, state.point, trial)
    np.testing.assert_array_equal(kept.inverses, np.zeros(3))
    assert np.any(kept.half_gradient != state.memory.half_gradient)
    outside = problem.evaluate(tf.constant([1.5, 1.9], tf.float64), targets)
    learned = method.learn(problem, proposed, trial, outside)
    assert learned.inverses[0] > 0
    np.testing.assert_array_equal(learned.inverses[1:], np.zeros(2))
