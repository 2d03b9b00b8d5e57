"""The same answer in every unit: codes, steps and parameters do not depend on it."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import eigenfit as ef

RNG = np.random.default_rng(20261129)


def _symmetric(p, n, complex_=False):
    A = RNG.normal(size=[p, n, n])
    if complex_:
        A = A + 1j * RNG.normal(size=[p, n, n])
    return (A + np.conj(np.swapaxes(A, 1, 2))) / 2


def _frame(k):
    # Springs between masses of 1 and a wall: stiffnesses for squared frequencies.
    springs = np.zeros([k, k, k])
    for i in range(k):
        ends = [j for j in (i - 1, i) if j >= 0]
        signs = np.where(np.array(ends) == i, 1.0, -1.0)
        springs[i][np.ix_(ends, ends)] = np.outer(signs, signs)
    return springs


def _angle(r):
    # Homogeneous of degree 1: lengths and an angle would not be.
    a, b, c = tf.unstack(r, axis=-1)
    d = tf.sqrt(a * a + b * b)
    return tf.stack([tf.stack([a, d], -1), tf.stack([d, c], -1)], -2)


class Case:
    """A problem whose matrix is homogeneous in its parameters, with a start.

    Everything in the unit of the levels, times a factor, is the same problem.
    """

    def __init__(
        self, structure, observation=None, *, noise=0.0, power=1.0, dtype="f8"
    ):
        self.structure, self.observation = structure, observation
        self.problem = ef.Problem(structure, observation)
        # Where restarts decide by the last digit, steps differ with rounding.
        self.method = "levenberg-marquardt" if noise else "auto"
        self.solver = ef.Solver(self.problem, self.method)
        self.power = power  # of the factor in the targets
        rng = np.random.default_rng(self.problem.num_parameters)
        p = self.problem.num_parameters
        truth = 1 + 0.3 * rng.uniform(-1, 1, p)
        self.initial = (truth + 0.1 * rng.normal(size=p)).astype(dtype)
        zeros = np.ones(self.problem.num_targets, dtype)
        targets = self.problem.values(truth.astype(dtype), zeros).numpy()
        size = np.abs(targets).max()
        targets = targets + noise * size * rng.normal(size=len(targets))
        self.targets = targets.astype(dtype)

    def fit(self, factor=1.0):
        dtype = self.initial.dtype
        return self.solver.fit(
            (self.initial * factor).astype(dtype),
            (self.targets * factor**self.power).astype(dtype),
        )


BASIS = _symmetric(2, 4)
CASES = {
    "symmetric": lambda: Case(ef.Symmetric(3)),
    "toeplitz": lambda: Case(ef.Toeplitz(4)),
    "more targets": lambda: Case(ef.Affine(BASIS), noise=3e-3),
    "frequencies": lambda: Case(
        ef.Generalized(ef.Affine(_frame(3)), [1.0, 2.0, 3.0]),
        ef.Frequencies(),
        power=0.5,
    ),
    "shapes": lambda: Case(
        ef.Affine(_frame(3)), ef.ModeShapes([0, 1], normalisation="unit"), power=0.0
    ),
    "more targets, single": lambda: Case(
        ef.Affine(BASIS, dtype=tf.float32), noise=3e-3, dtype="f4"
    ),
}
MORE = {
    "hermitian": lambda: Case(ef.Hermitian(2)),
    "tridiagonal": lambda: Case(ef.Tridiagonal(3)),
    "banded": lambda: Case(ef.Banded(3, 1), ef.Levels([0, 2])),
    "laplacian": lambda: Case(
        ef.Laplacian([(0, 1), (1, 2), (0, 2)]), ef.Levels([1, 2])
    ),
    "complex": lambda: Case(ef.Affine(_symmetric(3, 3, True))),
    "weights": lambda: Case(
        ef.Affine(BASIS), ef.Levels(weights=[1.0, 2.0, 3.0, 4.0]), noise=3e-3
    ),
    "parametric": lambda: Case(ef.Parametric(_angle, 2, 3)),
    "differences": lambda: Case(ef.Affine(BASIS), ef.Differences([(1, 0), (3, 1)])),
    "relative": lambda: Case(ef.Affine(BASIS), ef.RelativeTo(0), noise=3e-3),
    "means": lambda: Case(ef.Affine(BASIS), ef.ClusterMeans([[0, 1], [2, 3]])),
    "shift": lambda: Case(ef.Affine(BASIS), ef.FreeShift(ef.Levels()), noise=3e-3),
    "overlaps": lambda: Case(
        ef.Affine(_frame(3)), ef.MAC([0], [[1.0, 2.0, 2.5]]), power=0.0, noise=0.1
    ),
    "symmetric, single": lambda: Case(ef.Symmetric(3, tf.float32), dtype="f4"),
    "toeplitz, single": lambda: Case(ef.Toeplitz(3, tf.float32), dtype="f4"),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    "name", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_factors_change_units_only(name):
    case = (CASES | MORE)[name]()
    one = case.fit()
    is_single = case.initial.dtype == np.float32
    steps, size = int(one.num_steps), np.linalg.norm(one.parameters)

    def scaled(factor):
        other = case.fit(factor)
        assert int(other.result) == int(one.result), factor
        return other, other.parameters.numpy().astype(np.float64) / factor

    @settings(max_examples=12)
    @given(exponent=st.integers(-498, 498))
    def powers_of_two_change_no_bit(exponent):
        k = exponent // 10 if is_single else exponent
        # The square of a frequency is a level.
        other, parameters = scaled(2.0 ** (2 * (k // 2) if case.power == 0.5 else k))
        assert int(other.num_steps) == steps
        np.testing.assert_array_equal(parameters, one.parameters)

    @settings(max_examples=12)
    @given(exponent=st.integers(-150, 150))
    def powers_of_ten_change_digits(exponent):
        other, parameters = scaled(10.0 ** (exponent // 10 if is_single else exponent))
        # Where the loss is level the last digit decides how often a step is tried.
        assert abs(int(other.num_steps) - steps) <= max(2, 0.1 * steps)
        apart = np.linalg.norm(parameters - one.parameters) / size
        assert apart <= (2e-4 if is_single else 1e-8)

    powers_of_two_change_no_bit()
    powers_of_ten_change_digits()


LINEAR = [
    name for name in CASES | MORE if "single" not in name and name != "parametric"
]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name != "more targets"))
        for name in LINEAR
    ],
)
def test_units_of_parameters_change_nothing_else(name):
    case = (CASES | MORE)[name]()
    one, p = case.fit(), case.problem.num_parameters
    errors = ef.uncertainty(case.problem, one, case.targets, scale="sigma")
    if name in ("symmetric", "hermitian"):
        # Not by the closed form, which is for parameters in the unit of the matrix.
        case.method = "levenberg-marquardt"

    @settings(max_examples=3)
    @given(st.lists(st.integers(-8, 8), min_size=p, max_size=p))
    def in_other_units(exponents):
        unit = 10.0 ** np.array(exponents)
        structure = ef.Reparametrized(case.structure, np.diag(unit))
        problem = ef.Problem(structure, case.observation)
        solver = ef.Solver(problem, case.method)
        other = solver.fit(case.initial / unit, case.targets)
        assert int(other.result) == int(one.result)
        size = np.abs(one.eigenvalues).max()
        if case.problem.is_least_squares or int(one.result) == ef.Result.minimum:
            np.testing.assert_allclose(
                other.eigenvalues, one.eigenvalues, atol=1e-8 * size
            )
        found = ef.uncertainty(
            problem, one.parameters / unit, case.targets, scale="sigma"
        )
        for key in ("standard_errors", "level_errors", "value_errors"):
            expected = getattr(errors, key)
            if key == "standard_errors":
                expected = expected / unit
            np.testing.assert_allclose(getattr(found, key), expected, rtol=1e-6)
        assert found.num_undetermined == errors.num_undetermined

    in_other_units()


def _measured(factor, columns=(1.0, 1.0, 1.0)):
    """Levels with errors, an offset, a bound, a prior: all in one unit."""
    rng = np.random.default_rng(3)
    basis = rng.normal(size=[3, 5, 5])
    basis = (basis + np.swapaxes(basis, 1, 2)) / 2
    offset = np.diag([0.0, 1.0, 2.0, 4.0, 7.0])
    truth = np.array([0.5, -0.8, 0.3])
    w = np.linalg.eigvalsh(offset + np.tensordot(truth, basis, 1))
    columns = np.array(columns)
    targets = (w + 0.01 * rng.normal(size=5)) * factor
    # Factors that belong to the matrices, the rest to the parameters.
    known = ef.Parameters(
        ["a", "b", "c"],
        bounds={"b": (None, -0.9 * factor / columns[1])},
        prior={"c": (0.3 * factor / columns[2], 0.02 * factor / columns[2])},
    )
    problem = ef.Problem(
        ef.Affine(basis * columns[:, None, None], offset * factor),
        ef.Levels(sigma=0.01 * factor),
        parameters=known,
    )
    initial = np.array([0.4, -1.1, 0.2]) * factor / columns
    solution = ef.Solver(problem).fit(initial, targets)
    return solution, ef.uncertainty(problem, solution, targets), factor / columns


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "factor",
    [1e-150, 1e150, *(pytest.param(x, marks=pytest.mark.slow) for x in (1e-8, 1e8))],
)
def test_measured_levels_in_other_units(factor):
    one, errors, _ = _measured(1.0)
    other, own, scale = _measured(factor)
    assert ef.Result(int(other.result)) == ef.Result(int(one.result))
    assert ef.Result(int(one.result)) == ef.Result.minimum
    assert abs(int(other.num_steps) - int(one.num_steps)) <= 2
    # Where the loss is level to its last digit, parameters are not.
    np.testing.assert_allclose(other.parameters / scale, one.parameters, rtol=1e-7)
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-8)
    np.testing.assert_allclose(
        own.standard_errors / scale, errors.standard_errors, rtol=1e-6
    )
    np.testing.assert_allclose(
        own.level_errors / factor, errors.level_errors, rtol=1e-6
    )
    assert own.degrees_of_freedom == errors.degrees_of_freedom


@pytest.mark.sample(1)
@pytest.mark.parametrize("columns", [(1e8, 1e-8, 1.0), (1e-8, 1.0, 1e8)])
def test_parameters_in_other_units(columns):
    one, errors, _ = _measured(1.0)
    other, own, scale = _measured(1.0, columns)
    assert int(other.result) == int(one.result)
    np.testing.assert_allclose(other.eigenvalues, one.eigenvalues, atol=1e-9)
    np.testing.assert_allclose(
        own.standard_errors / scale, errors.standard_errors, rtol=1e-6
    )


@pytest.mark.sample(2)
@pytest.mark.parametrize("factor", [1e-150, 1e-5, 1.0, 1e12, 1e150])
def test_levels_far_from_one_are_fitted(factor):
    basis = np.array([np.eye(4), np.eye(4, k=1) + np.eye(4, k=-1)])
    targets = np.linalg.eigvalsh(3.0 * basis[0] + 1.2 * basis[1]) * factor
    for method in ("auto", "levenberg-marquardt"):
        solver = ef.Solver(ef.Problem(ef.Affine(basis)), method)
        solution = solver.fit(np.array([1.0, 0.5]) * factor, targets)
        assert ef.Result(int(solution.result)) == ef.Result.converged
        assert 1 <= int(solution.num_steps) <= 4
        np.testing.assert_allclose(solution.parameters / factor, [3.0, 1.2], rtol=1e-9)


def test_targets_of_zero_take_the_size_of_the_matrix():
    # The traces are 0 where r0 = -r1: a circle of answers, none of them at the start.
    problem = ef.Problem(ef.Affine([np.diag([1.0, 2.0]), np.diag([2.0, 1.0])]))
    for factor in (1e-150, 1.0, 1e150):
        solution = ef.Solver(problem).fit(np.array([2.0, 1.0]) * factor, [0.0, 0.0])
        assert ef.Result(int(solution.result)) == ef.Result.converged
        assert np.abs(solution.parameters).max() <= 1e-9 * factor


def test_a_number_is_an_absolute_loss_and_none_a_relative_one():
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)), ef.LevenbergMarquardt())
    start, targets = np.array([1.0, 3.0, 0.5]) * 1e-3, np.array([1.0, 2.0]) * 1e-3
    absolute = solver.fit(start, targets, tolerance=1e-5)
    assert int(absolute.num_steps) == 0
    assert int(absolute.result) == ef.Result.converged
    relative = solver.fit(start, targets)
    assert int(relative.num_steps) > 0
    limit = 1e-10 * np.sqrt(2 * targets.max() ** 2)
    w = np.linalg.eigvalsh(relative.matrix)
    assert np.linalg.norm(w - targets) <= limit
