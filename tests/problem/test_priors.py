"""Priors of combinations of parameters, against SciPy with the same rows."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from tests import zoo

import eigenfit as ef

NAMES = ["A", "B", "C"]
BASIS = np.array([np.diag([1.0, 0, 0]), np.diag([0, 1.0, 1]), np.eye(3)[::-1]])
OFFSET = np.diag([0.0, 2.0, 5.0])
ROWS = np.array([[1.0, -2.0, 1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 0.5]])
MEAN, SIGMA = np.array([0.1, -0.4, 0.3]), np.array([0.2, 0.5, 2.0])


def priors():
    return [
        ef.Prior({k: x for k, x in zip(NAMES, row, strict=True) if x}, mean, sigma)
        for row, mean, sigma in zip(ROWS, MEAN, SIGMA, strict=True)
    ]


def test_combinations_are_rows_of_the_residual():
    known = ef.Parameters(NAMES, prior=priors())
    problem = ef.Problem(ef.Affine(BASIS, OFFSET), parameters=known)
    r, t = np.array([0.4, -0.3, 0.2]), np.array([0.1, 2.0, 4.9])
    levels = np.linalg.eigvalsh(OFFSET + np.tensordot(r, BASIS, 1))
    expected = np.concatenate([levels - t, (ROWS @ r - MEAN) / SIGMA])
    assert problem.num_priors == 3
    np.testing.assert_allclose(problem.residual(r, t), expected, rtol=1e-12)
    J = zoo.finite_differences(lambda x: problem.residual(x, t).numpy(), r, 6e-6)
    np.testing.assert_allclose(problem.jacobian(r, t), J, atol=1e-8)
    H = zoo.finite_differences(lambda x: problem.gradient(x, t).numpy(), r, 6e-6)
    np.testing.assert_allclose(problem.hessian(r, t), H, atol=1e-6)


def test_combinations_of_fixed_and_tied_parameters():
    known = ef.Parameters(
        NAMES, fixed={"A": 0.7}, ties={"C": {"B": 1.5, "": -0.5}}, prior=priors()
    )
    problem = ef.Problem(ef.Affine(BASIS, OFFSET), parameters=known)
    t = np.array([0.1, 2.0, 4.9])
    full = np.array([0.7, 0.3, 1.5 * 0.3 - 0.5])
    found = problem.residual([0.3], t).numpy()[3:]
    np.testing.assert_allclose(found, (ROWS @ full - MEAN) / SIGMA, rtol=1e-12)


def test_the_mapping_and_the_list_are_one():
    pairs = {"C": (0.5, 0.1), "A": (1.0, 2.0)}
    alone = [ef.Prior({k: 1.0}, *pair) for k, pair in pairs.items()]
    r, t = [0.4, -0.3, 0.2], [0.1, 2.0, 4.9]
    found = [
        ef.Problem(
            ef.Affine(BASIS, OFFSET), parameters=ef.Parameters(NAMES, prior=prior)
        ).residual(r, t)
        for prior in (pairs, alone)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_smoothness_is_the_differences(order):
    found = ef.smoothness(list("abcde"), 0.2, order)
    rows = [[prior.coefficients.get(k, 0.0) for k in "abcde"] for prior in found]
    np.testing.assert_array_equal(rows, np.diff(np.eye(5), order, axis=0))
    assert {(prior.mean, prior.sigma) for prior in found} == {(0.0, 0.2)}


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: ef.Prior([1.0], 0, 1), TypeError, r"`coefficients` of a Prior must"),
        (lambda: ef.Prior({"A": 0.0}, 0, 1), ValueError, "factor that is not 0"),
        (lambda: ef.Prior({"A": "x"}, 0, 1), ValueError, r"`coefficients\['A'\]`"),
        (lambda: ef.Prior({"A": 1}, np.nan, 1), ValueError, "`mean` of a Prior"),
        (lambda: ef.Prior({"A": 1}, 0, 0.0), ValueError, "give a tie"),
        (lambda: ef.Parameters(prior=[("A", 1)]), TypeError, r"`prior\[0\]` must be a"),
        (lambda: ef.smoothness(["A", "B"], 1.0), ValueError, "more than 2"),
        (lambda: ef.smoothness(["A", "B", "A"], 1.0), ValueError, "twice"),
        (lambda: ef.smoothness(NAMES, 1.0, 0), ValueError, "`order` must be"),
        (
            lambda: ef.Parameters(NAMES, prior=[ef.Prior({"D": 1}, 0, 1)]).resolve(3),
            ValueError,
            "`prior` names 'D'",
        ),
        (
            lambda: ef.Parameters(
                NAMES, fixed={"A": 1.0}, prior=[ef.Prior({"A": 1}, 0, 1)]
            ).resolve(3),
            ValueError,
            "nothing is unknown",
        ),
        (
            lambda: ef.Parameters(
                NAMES, period={"A": 1.0}, prior=[ef.Prior({"A": 1, "B": 1}, 0, 1)]
            ),
            ValueError,
            "has both a `prior` and a `period`",
        ),
    ],
)
def test_misuse_is_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def sturm_liouville(number, levels):
    """-u'' + q u on a grid of (0, pi), zero at its ends: basis, offset, levels."""
    step = np.pi / (number + 1)
    x = step * np.arange(1, number + 1)
    offset = (2 * np.eye(number) - np.eye(number, k=1) - np.eye(number, k=-1)) / step**2
    basis = np.zeros([number, number, number])
    basis[range(number), range(number), range(number)] = 1
    w = scipy.linalg.eigvalsh(offset + np.diag(np.exp(x)))
    return basis, offset, np.exp(x), w[:levels]


def test_a_potential_from_its_levels_and_its_smoothness():
    # q = e^x (J. Paine, SIAM J. Sci. Stat. Comput. 5 (1984)), 49 points, 15 levels.
    number, levels, sigma = 49, 15, 0.05
    basis, offset, q, targets = sturm_liouville(number, levels)
    names = [f"q{k}" for k in range(number)]
    problem = ef.Problem(
        ef.Affine(basis, offset),
        ef.Levels(range(levels), sigma=1e-3),
        parameters=ef.Parameters(names, prior=ef.smoothness(names, sigma)),
    )
    start = np.linspace(1.0, 20.0, number)
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile="graph")
    solution = solver.fit(start, targets)
    assert solution.success

    second = np.diff(np.eye(number), 2, axis=0) / sigma

    def residual(r):
        w = scipy.linalg.eigvalsh(offset + np.diag(r), subset_by_index=[0, levels - 1])
        return np.concatenate([(w - targets) / 1e-3, second @ r])

    def jacobian(r):
        _, V = scipy.linalg.eigh(offset + np.diag(r), subset_by_index=[0, levels - 1])
        return np.concatenate([V.T**2 / 1e-3, second])

    found = scipy.optimize.least_squares(
        residual, start, jacobian, xtol=1e-14, ftol=1e-14, gtol=1e-12
    )
    r = solution.parameters.numpy()
    np.testing.assert_allclose(solution.loss, 2 * found.cost, rtol=1e-8)
    np.testing.assert_allclose(r, found.x, atol=1e-4 * np.abs(q).max())
