"""Errors of parameters against the normal equations in NumPy, and by experiment."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.stats
import tensorflow as tf
from tests import zoo
from tests.test_simulations import beam

import eigenfit as ef
from eigenfit.analysis.notation import with_error

# Levels of a diagonal matrix are linear in r while they do not cross.
X = np.array([[1.0, 0.0], [1.0, 0.5], [1.0, 1.0], [1.0, 2.0]])
OFFSET = np.diag([0.0, 10.0, 20.0, 30.0])
LINE = ef.Affine([np.diag(X[:, 0]), np.diag(X[:, 1])], OFFSET)
SIGMA = np.array([0.1, 0.2, 0.1, 0.4])
T = np.array([1.05, 11.4, 22.1, 34.8])


def fitted(problem, t):
    return ef.Solver(problem, ef.LevenbergMarquardt()).fit([1.0, 2.0], t)


def normal_equations(J, sigma):
    J = J / sigma[:, None]
    return np.linalg.inv(J.T @ J)


def test_a_linear_problem_is_weighted_regression():
    problem = ef.Problem(LINE, ef.Levels(sigma=SIGMA))
    found = fitted(problem, T)
    result = ef.uncertainty(problem, found, T)
    C = normal_equations(X, SIGMA)
    r = C @ X.T @ ((T - np.diag(OFFSET)) / SIGMA**2)
    residual = (X @ r + np.diag(OFFSET) - T) / SIGMA
    assert result.scale == "sigma"
    np.testing.assert_allclose(result.values, r, rtol=1e-6)
    np.testing.assert_allclose(result.covariance, C, rtol=1e-12)
    np.testing.assert_allclose(result.standard_errors, np.sqrt(np.diag(C)))
    np.testing.assert_allclose(result.chi_square, residual @ residual, rtol=1e-9)
    assert result.degrees_of_freedom == 2
    np.testing.assert_allclose(
        result.reduced_chi_square, residual @ residual / 2, rtol=1e-9
    )
    rho = C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])
    np.testing.assert_allclose(result.correlation, [[1, rho], [rho, 1]], rtol=1e-12)
    band = np.sqrt(np.diag(X @ C @ X.T))
    np.testing.assert_allclose(result.level_errors, band, rtol=1e-12)
    np.testing.assert_allclose(result.value_errors, band, rtol=1e-12)
    assert result.rank == 2
    assert result.undetermined() == []


def test_the_scale_of_the_residual_makes_up_for_weights_of_unknown_size():
    for factor in (1.0, 100.0):
        problem = ef.Problem(LINE, ef.Levels(weights=factor / SIGMA**2))
        found = fitted(problem, T)
        result = ef.uncertainty(problem, found, T)
        assert result.scale == "residual"
        C = normal_equations(X, SIGMA) * result.reduced_chi_square / factor
        np.testing.assert_allclose(result.covariance, C, rtol=1e-8)
        forced = ef.uncertainty(problem, found, T, scale="sigma")
        expected = normal_equations(X, SIGMA) / factor
        np.testing.assert_allclose(forced.covariance, expected, rtol=1e-10)


def test_errors_are_those_of_repeated_experiments():
    # 4000 fits of noisy data: a standard deviation is known to 1 / sqrt(8000) = 1.1 %.
    problem = ef.Problem(LINE, ef.Levels(sigma=SIGMA))
    truth = np.array([1.0, 2.0])
    clean = X @ truth + np.diag(OFFSET)
    noise = np.random.default_rng(1).normal(size=[4000, 4]) * SIGMA
    solver = ef.Solver(problem, ef.GaussNewton(), compile="graph")
    found = solver.fit(truth, clean + noise, max_steps=20).parameters.numpy()
    result = ef.uncertainty(problem, truth, clean)
    np.testing.assert_allclose(found.std(axis=0), result.standard_errors, rtol=0.045)
    correlation = np.corrcoef(found.T)[0, 1]
    np.testing.assert_allclose(correlation, result.correlation[0, 1], atol=0.03)
    levels = found @ X.T
    np.testing.assert_allclose(levels.std(axis=0), result.level_errors, rtol=0.045)
    chi = ((levels + np.diag(OFFSET) - clean - noise) / SIGMA) ** 2
    np.testing.assert_allclose(chi.sum(axis=1).mean(), 2, rtol=0.1)


def test_a_curved_problem_with_blocks_and_priors():
    basis = np.random.default_rng(0).normal(size=[3, 3, 3])
    basis += basis.swapaxes(-1, -2)
    structure = ef.Affine(basis, np.diag([0.0, 3.0, 7.0]))
    mass = np.diag([1.0, 2.0, 1.5])
    blocks = [
        ef.Block(structure, ef.Levels(sigma=0.1)),
        ef.Block(ef.Generalized(structure, mass), ef.Levels([0, 2], sigma=0.2)),
    ]
    known = ef.Parameters(prior={"r1": (0.0, 0.3)})
    problem = ef.Problem(blocks, parameters=known)
    r = np.array([0.2, -0.1, 0.3])

    def levels(r):
        K = np.diag([0.0, 3.0, 7.0]) + np.tensordot(r, basis, 1)
        return np.concatenate(
            [np.linalg.eigvalsh(K), scipy.linalg.eigh(K, mass, eigvals_only=True)]
        )

    J = zoo.finite_differences(levels, r, 6e-6)
    rows = np.vstack([J[:3] / 0.1, J[[3, 5]] / 0.2, [[0, 1 / 0.3, 0]]])
    C = np.linalg.inv(rows.T @ rows)
    t = levels(r)[[0, 1, 2, 3, 5]] + 0.1
    result = ef.uncertainty(problem, r, t)
    np.testing.assert_allclose(result.covariance, C, rtol=1e-6)
    band = np.sqrt(np.diag(J @ C @ J.T))
    np.testing.assert_allclose(result.level_errors, band, rtol=1e-6)
    np.testing.assert_allclose(result.value_errors, band[[0, 1, 2, 3, 5]], rtol=1e-6)
    # Five targets and a prior for three parameters.
    assert result.degrees_of_freedom == 3
    assert result.scale == "sigma"


def test_ties_and_fixed_parameters():
    known = ef.Parameters(
        ["a", "b", "c"], ties={"b": {"a": -3.0, "": 1.0}}, fixed={"c": 0.0}
    )
    basis = [np.diag(x) for x in np.column_stack([X, [0, 0, 0, 1.0]]).T]
    problem = ef.Problem(
        ef.Affine(basis, OFFSET), ef.Levels(sigma=SIGMA), parameters=known
    )
    result = ef.uncertainty(problem, [1.0], T)
    j = (X @ [1.0, -3.0]) / SIGMA
    error = 1 / np.sqrt(j @ j)
    np.testing.assert_allclose(result.standard_errors, [error])
    np.testing.assert_allclose(result.all_values, [1.0, -2.0, 0.0])
    np.testing.assert_allclose(result.all_standard_errors, [error, 3 * error, 0])
    names = [name for name, _ in result.table()]
    assert names == ["a", "b", "c"]


def test_a_parameter_on_its_bound_counts_as_held():
    known = ef.Parameters(["a", "b"], bounds={"b": (0.0, 1.5)})
    problem = ef.Problem(LINE, ef.Levels(sigma=SIGMA), parameters=known)
    t = X @ [1.0, 2.0] + np.diag(OFFSET)
    found = ef.Solver(problem, ef.LevenbergMarquardt()).fit([1.0, 1.0], t)
    result = ef.uncertainty(problem, found, t)
    np.testing.assert_array_equal(result.on_bounds, [0, 1])
    error = 1 / np.sqrt(np.sum(SIGMA**-2))
    np.testing.assert_allclose(result.standard_errors, [error, np.nan], rtol=1e-10)
    np.testing.assert_allclose(result.covariance, [[error**2, 0], [0, 0]], rtol=1e-10)
    assert result.degrees_of_freedom == 3
    assert result.rank == 1
    assert result.undetermined() == []


def test_a_parameter_on_its_bound_leaves_the_others_determined():
    problem = beam(upper=1.0)
    clean = problem.values([1.1, 1.1, 0.9, 0.7], np.zeros(7)).numpy()
    targets = clean + np.array([1, -1, 1, -1, 1, -1, 1]) / problem.roots()
    solution = ef.Solver(problem).fit([1.1, 1.0, 0.9, 0.7], targets)
    found = ef.uncertainty(problem, solution, targets)
    np.testing.assert_array_equal(found.on_bounds, [0, 1, 0, 0])
    assert found.num_undetermined == 0
    assert found.degrees_of_freedom == 4
    J = problem.jacobian(solution.parameters, targets).numpy()[:, [0, 2, 3]]
    expected = np.sqrt(np.diag(np.linalg.inv(J.T @ J)))
    np.testing.assert_allclose(found.standard_errors[[0, 2, 3]], expected, rtol=1e-6)


def diagonal(*rows):
    """A problem whose Jacobian has these rows."""
    rows = np.array(rows)
    offset = np.diag(100.0 * np.arange(len(rows)))
    return ef.Problem(ef.Affine([np.diag(x) for x in rows.T], offset))


@pytest.mark.parametrize(
    ("rows", "rank", "expected"),
    [
        ([[1.0, 2.0], [1.0, 2.0]], 1, ["r0 - 0.5 r1"]),
        ([[1.0, 0.0], [2.0, 0.0]], 1, ["r1"]),
        # Parameters of very different units take part alike.
        ([[1.0, 2e6], [2.0, 4e6]], 1, ["r0 - 5e-07 r1"]),
        ([[1e-4, 20.0], [2e-4, 40.0]], 1, ["r0 - 5e-06 r1"]),
        # Two directions are told apart as far as possible.
        ([[1.0, 0.0, 0.0]] * 3, 1, ["r1", "r2"]),
        ([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]], 1, ["r0 - r1", "r2"]),
        # Fewer targets than parameters.
        ([[1.0, -1.0, 0.0]], 1, ["r0 + r1", "r2"]),
        ([[1.0, 0.0], [0.0, 1.0]], 2, []),
        ([[0.0, 0.0], [0.0, 0.0]], 0, ["r0", "r1"]),
    ],
)
def test_combinations_that_the_data_do_not_determine_are_named(rows, rank, expected):
    problem = diagonal(*rows)
    t = 100.0 * np.arange(len(rows))
    result = ef.uncertainty(problem, np.zeros(problem.num_parameters), t, scale="sigma")
    assert result.rank == rank
    assert sorted(result.undetermined()) == sorted(expected)
    named = {word for text in expected for word in text.split() if word[0] == "r"}
    infinite = {
        name
        for name, error in zip(result.names, result.standard_errors, strict=True)
        if np.isinf(error)
    }
    assert infinite == named
    for name, text in result.table():
        assert ("not determined" in text) == (name in named)


def test_what_is_determined_keeps_its_error_beside_what_is_not():
    # r0 and r1 only as a sum, r2 alone: twice with sigma 1.
    problem = diagonal([1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0])
    result = ef.uncertainty(problem, np.zeros(3), [0.0, 100, 200], scale="sigma")
    np.testing.assert_allclose(result.standard_errors, [np.inf, np.inf, np.sqrt(0.5)])
    # The level r0 + r1 itself is known to 1.
    np.testing.assert_allclose(result.level_errors, np.sqrt([1.0, 0.5, 0.5]))


def test_single_precision_finds_the_rank_as_well():
    rows = np.random.default_rng(2).normal(size=[5, 2])
    rows = np.column_stack([rows, rows @ [0.3, -0.7]])
    full = ef.Affine(
        [np.diag(x) for x in rows.T], np.diag(10.0 * np.arange(5)), tf.float32
    )
    result = ef.uncertainty(
        ef.Problem(full), np.float32([0.1, 0.2, 0.3]), np.float32(10 * np.arange(5))
    )
    assert result.rank == 2
    assert len(result.undetermined()) == 1


def test_a_free_shift_costs_a_degree_of_freedom():
    problem = ef.Problem(
        ef.Affine([np.diag(X[:, 1])], OFFSET), ef.FreeShift(ef.Levels(sigma=SIGMA))
    )
    result = ef.uncertainty(problem, [2.0], T)
    assert result.degrees_of_freedom == 2
    # As if the shift were the first parameter of the line.
    C = normal_equations(X, SIGMA)
    np.testing.assert_allclose(result.standard_errors, [np.sqrt(C[1, 1])], rtol=1e-10)


def test_without_degrees_of_freedom_nothing_is_made_up():
    problem = diagonal([1.0, 0.0], [0.0, 1.0])
    result = ef.uncertainty(problem, [0.1, 0.2], [0.0, 100.0])
    assert result.degrees_of_freedom == 0
    assert np.isnan(result.reduced_chi_square)
    assert np.isnan(result.standard_errors).all()


def test_batches_and_broadcasting(rng):
    problem = ef.Problem(LINE, ef.Levels(sigma=SIGMA))
    r = rng.normal(size=[2, 3, 2])
    result = ef.uncertainty(problem, r, T)
    assert result.covariance.shape == (2, 3, 2, 2)
    assert result.level_errors.shape == (2, 3, 4)
    one = ef.uncertainty(problem, r[1, 2], T)
    np.testing.assert_allclose(result.covariance[1, 2], one.covariance)
    np.testing.assert_allclose(result.chi_square[1, 2], one.chi_square)
    assert result.undetermined((1, 2)) == []
    assert result.table((1, 2)) == one.table()


def test_nan_stays_in_its_member():
    problem = ef.Problem(LINE, ef.Levels(sigma=SIGMA))
    result = ef.uncertainty(problem, [[1.0, 2.0], [np.nan, 2.0]], T)
    modes = ef.Problem(ef.Symmetric(2), ef.ModeShapes([0], sigma=0.1))
    kink = ef.uncertainty(modes, [1.0, 1.0, 0.0], [1.0, 0.5])
    assert np.isnan(kink.standard_errors).all()
    assert kink.undetermined() == []
    assert np.isfinite(result.covariance[0]).all()
    assert np.isnan(result.chi_square[1])


def test_bad_arguments_are_refused():
    problem = ef.Problem(LINE)
    with pytest.raises(ValueError, match='`scale` must be "sigma" or "residual"'):
        ef.uncertainty(problem, [1.0, 2.0], T, scale="other")
    with pytest.raises(ValueError, match=r"`solution` must have shape \[..., 2\]"):
        ef.uncertainty(problem, [1.0], T)
    with pytest.raises(ValueError, match=r"`targets` must have shape \[..., 4\]"):
        ef.uncertainty(problem, [1.0, 2.0], T[:2])


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0123, "1.2346(123)"),
        (-1.23456, 0.0123, "-1.2346(123)"),
        (12345.678, 12.3, "12345.7(123)"),
        (1234.5, 678.0, "1234(678)"),
        (1.0, 0.00999999, "1.0000(100)"),
        (5.0, 0.0, "5"),
        (5.0, np.inf, "5 (not determined)"),
        (5.0, np.nan, "5"),
        (1.5e-14, 2.5e-16, "1.5000e-14 +- 2.50e-16"),
        (1.2345678912345e-14, 1.2e-25, "1.2345678912345e-14 +- 1.20e-25"),
        (123456.789, 1e-11, "1.2345678900000000e+05 +- 1.00e-11"),
        (2e15, 0.4, "2.0000000000000000e+15 +- 4.00e-01"),
        (0.0, 1e-20, "0.00e+00 +- 1.00e-20"),
    ],
)
def test_value_with_error(value, error, text):
    assert with_error(value, error) == text


def test_a_bound_in_single_precision_is_inside():
    problem = ef.Problem(
        ef.Affine([[[1.0]]], dtype="float32"), parameters=ef.Parameters(bounds=(0, 0.1))
    )
    solver = ef.Solver(problem)
    first = solver.fit([0.05], [1.0])
    again = solver.fit(first.parameters, [1.0])
    assert problem.on_bounds(again.parameters).numpy().tolist() == [1]


def test_single_precision_has_no_more_digits_than_it_knows():
    structure = ef.Affine(X.T[:, :, np.newaxis] * np.eye(4), OFFSET, dtype=tf.float32)
    problem = ef.Problem(
        structure, parameters=ef.Parameters(["a", "b"], fixed={"b": 0.1})
    )
    found = ef.uncertainty(problem, tf.constant([0.7], tf.float32), T)
    assert found.all_values.tolist() == [0.7, 0.1]
    assert found.table()[1][1] == "0.1"


SPRINGS = np.einsum("ki,kj->kij", *[np.eye(4) - np.eye(4, k=-1)] * 2)


@pytest.mark.sample(1)
@pytest.mark.parametrize("normalisation", ["unit", "max"])
def test_shapes_scaled_to_their_targets_have_a_datum_less_each(normalisation, rng):
    """1000 simulated measurements of three levels and shapes of a chain."""
    x, number = np.array([1.0, 1.3, 0.8, 1.1]), 1000
    w, X = np.linalg.eigh(np.tensordot(x, SPRINGS, 1))
    levels = np.sort(w[:3] + 0.005 * rng.normal(size=[number, 3]))

    shapes = X.T[:3] + 0.01 * rng.normal(size=[number, 3, 4])
    if normalisation == "unit":
        shapes /= np.linalg.norm(shapes, axis=-1, keepdims=True)
    targets = np.concatenate([levels, shapes.reshape(number, -1)], axis=1)
    observed = [
        ef.Levels([0, 1, 2], sigma=0.005),
        ef.ModeShapes([0, 1, 2], normalisation=normalisation, sigma=0.01),
    ]
    problem = ef.Problem(ef.Affine(SPRINGS), observations=observed)
    solution = ef.Solver(problem).fit(np.tile(x, [number, 1]), targets)
    assert solution.success.all()
    found = ef.uncertainty(problem, solution, targets)
    assert (found.degrees_of_freedom == 15 - 3 - 4).all()
    mean = found.chi_square.mean()
    assert abs(mean - 8) < 3 * np.sqrt(2 * 8 / number)
    p = scipy.stats.chi2.sf(found.chi_square, 8)
    assert scipy.stats.kstest(p, "uniform").pvalue > 0.01
    half = scipy.stats.norm.isf(0.025) * found.standard_errors
    covered = np.abs(solution.parameters - x) < half
    assert (np.abs(covered.mean(axis=0) - 0.95) < 0.025).all()


def test_a_single_component_tells_nothing_once_it_is_scaled():
    structure = ef.Affine([np.diag([1.0, 0, 0]), np.diag([0, 1.0, 0])])
    for own in (
        ef.ModeShapes([0, 1], [0], "unit"),
        ef.ModeShapes([0, 1], [0], "max"),
        ef.MAC([0, 1], [[1.0], [1.0]], [0]),
    ):
        assert ef.Problem(structure, observations=[ef.Levels(), own]).num_data == 3
    kept = ef.ModeShapes([0, 1], [0], "mass")
    assert ef.Problem(structure, observations=[ef.Levels(), kept]).num_data == 5
