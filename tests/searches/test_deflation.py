"""Further solutions from one start."""

import itertools

import numpy as np
import pytest
from tests import giant_spin

import eigenfit as ef

COUPLING = np.array([[0.0, 0.4, 0.0], [0.4, 0.0, 0.3], [0.0, 0.3, 0.0]])


@pytest.fixture(scope="module")
def two():
    return ef.Solver(ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]])))


def test_both_orders_of_a_diagonal_in_closed_form(two):
    # Diagonal (a, b) with a + b = 5, a b - 1 = 4.
    roots = np.sort(np.roots([1.0, -5.0, 5.0]))
    found = ef.deflate(two, [1.0, 3.0], [1.0, 4.0])
    order = np.argsort(found.parameters[:, 0])
    np.testing.assert_allclose(found.parameters[order], [roots, roots[::-1]], atol=1e-5)
    np.testing.assert_allclose(found.eigenvalues, [[1.0, 4.0]] * 2, atol=1e-4)
    assert (found.loss <= 1e-8).all()
    assert found.num_fits >= 2


def test_from_a_start_that_is_a_solution_itself(two):
    roots = np.sort(np.roots([1.0, -5.0, 5.0]))
    found = ef.deflate(two, roots, [1.0, 4.0])
    assert len(found.parameters) == 2
    np.testing.assert_allclose(found.parameters[0], roots, atol=1e-12)
    np.testing.assert_allclose(found.parameters[1], roots[::-1], atol=1e-5)


@pytest.mark.slow  # two minima of order 2 are told apart as well
def test_all_solutions_of_an_additive_problem_of_order_3():
    # As many as SciPy finds from a dense grid of starts: all orders of the diagonal.
    import scipy.optimize

    t = np.array([1.0, 5.0, 9.0])

    def residual(r):
        return np.linalg.eigvalsh(COUPLING + np.diag(r)) - t

    expected = []
    for start in itertools.permutations(t):
        root = scipy.optimize.root(residual, start, tol=1e-13).x
        assert np.abs(residual(root)).max() < 1e-10
        expected.append(root)
    solver = ef.Solver(ef.Problem(ef.Additive(COUPLING)))
    found = ef.deflate(solver, [1.0, 5.0, 8.0], t, max_failures=6, tolerance=1e-16)
    assert len(found.parameters) >= 4
    for own in found.parameters:
        distance = np.linalg.norm(np.array(expected) - own, axis=1)
        assert distance.min() < 1e-5
    gaps = np.linalg.norm(
        found.parameters[:, None] - found.parameters, axis=-1
    ) + 10 * np.eye(len(found.parameters))
    assert gaps.min() > 1e-2


def test_limits(two):
    assert len(ef.deflate(two, [1.0, 3.0], [1.0, 4.0], max_solutions=1).loss) == 1
    none = ef.deflate(two, [1.0, 3.0], [1.0, 1.5], max_failures=1)  # 2 is the least gap
    assert none.parameters.shape == (0, 2)
    assert none.eigenvalues.shape == (0, 2)
    assert none.num_fits == 1


def test_solutions_stay_inside_bounds():
    known = ef.Parameters(bounds={"r0": (0.0, 2.0)})
    problem = ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]]), parameters=known)
    solver = ef.Solver(problem, ef.LevenbergMarquardt())
    found = ef.deflate(solver, [1.0, 3.0], [1.0, 4.0])
    np.testing.assert_allclose(
        found.parameters, [np.sort(np.roots([1.0, -5.0, 5.0]))], atol=1e-5
    )


def test_single_precision():
    structure = ef.Additive([[0.0, 1.0], [1.0, 0.0]], "float32")
    solver = ef.Solver(ef.Problem(structure))
    found = ef.deflate(solver, [1.0, 3.0], [1.0, 4.0])
    assert len(found.parameters) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [1.0, 4.0]), r"`initial` must have shape \[..., 2\]"),
        (([[1.0, 3.0]], [1.0, 4.0]), r"`initial` must be one start \[2\]"),
        (([1.0, 3.0], [1.0, 4.0, 5.0]), r"`targets` must have shape \[..., 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(two, arguments, message):
    with pytest.raises(ValueError, match=message):
        ef.deflate(two, *arguments)
    with pytest.raises(ValueError, match="`max_solutions` must be an integer"):
        ef.deflate(two, [1.0, 3.0], [1.0, 4.0], max_solutions=0)
    with pytest.raises(ValueError, match="`max_failures` must be an integer"):
        ef.deflate(two, [1.0, 3.0], [1.0, 4.0], max_failures=0)


@pytest.mark.sample(1)
@pytest.mark.parametrize("rounded", [False, True])
def test_all_four_minima_of_a_giant_spin(rounded):
    targets = giant_spin.levels(giant_spin.FITTED)
    targets = targets.round(2) if rounded else targets
    _, expected = giant_spin.minima(targets, giant_spin.starts(20))
    assert len(expected) == 4
    solver = ef.Solver(giant_spin.problem())
    found = ef.deflate(solver, giant_spin.START, targets, max_solutions=4)
    for x in expected:
        assert np.abs(found.parameters / x - 1).max(axis=1).min() < 0.01
    assert (found.copies == 2).all()
    assert np.isin(found.result, [ef.Result.converged, ef.Result.minimum]).all()
    one = ef.deflate(solver, giant_spin.START, targets, max_solutions=1, max_copies=1)
    assert len(one.loss) == 1


def test_of_a_continuum_one_solution_is_given():
    B = np.stack([np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), [[0.0, 1.0], [1.0, 0.0]]])
    solver = ef.Solver(ef.Problem(ef.Affine(B)))
    found = ef.deflate(solver, [1.0, 3.0, 0.5], [1.0, 4.0])
    assert found.family_dimension.tolist() == [1]
    assert "continuum" in found.texts[0]
    assert found.num_fits == 4
