"""All minima of least squares, continua, and their order, in any unit."""

import numpy as np
import pytest
from tests import giant_spin

import eigenfit as ef

EXACT = giant_spin.levels(giant_spin.FITTED)
TARGETS = {"exact": EXACT, "rounded": EXACT.round(2)}


@pytest.fixture(scope="module")
def mn12():
    return ef.Solver(giant_spin.problem())


@pytest.mark.parametrize("kind", TARGETS)
def test_both_pairs_of_minima_of_a_giant_spin(mn12, kind):
    starts, targets = giant_spin.starts(100), TARGETS[kind]
    loss, expected = giant_spin.minima(targets, starts[:30])
    # Two pairs: B22 has either sign in both.
    np.testing.assert_allclose(abs(expected[::2]), abs(expected[1::2]), rtol=1e-3)
    assert len(expected) == 4
    found = ef.multistart(mn12, targets, starts)
    np.testing.assert_allclose(found.parameters[:, 3] > 0, True)
    signed = expected * np.where(expected[:, 3:] < 0, [1, 1, 1, -1], 1)
    np.testing.assert_allclose(found.parameters, signed[::2], rtol=0.01)
    np.testing.assert_allclose(found.loss, loss[::2], rtol=1e-4, atol=1e-20)
    assert found.copies.tolist() == [2, 2]
    assert found.counts.sum() == 100
    assert found.family_dimension.tolist() == [0, 0]
    first = ef.Result.converged if kind == "exact" else ef.Result.minimum
    assert found.result.tolist() == [first, ef.Result.minimum]
    assert "least-squares minimum; 2 copies" in found.texts[1]
    # Each member belongs to the row whose loss it has.
    own = found.solution.loss.numpy()
    np.testing.assert_allclose(own, found.loss[found.labels], rtol=1e-4, atol=1e-15)


def test_copies_are_listed_where_symmetries_are_switched_off(mn12):
    starts, targets = giant_spin.starts(100), TARGETS["rounded"]
    _, expected = giant_spin.minima(targets, starts[:30])
    found = ef.multistart(mn12, targets, starts, symmetries=False)
    assert len(found.parameters) == 4
    assert (np.diff(found.loss) >= -1e-10 * found.loss[0]).all()
    for x in expected:
        gap = np.abs(found.parameters / x - 1).max(axis=1)
        assert (gap < 0.01).sum() == 1
    assert found.copies.tolist() == [1] * 4


@pytest.mark.sample(1)
@pytest.mark.parametrize("exponent", [-490, 490])
def test_solutions_are_the_same_in_any_unit(mn12, exponent):
    starts, targets = giant_spin.starts(30), TARGETS["rounded"]
    own = ef.multistart(mn12, targets, starts)
    factor = 2.0**exponent  # Without rounding: 3e147, and one over that.
    for scaled, by in (
        (ef.multistart(mn12, targets * factor, starts * factor), factor),
        (
            ef.multistart(
                ef.Solver(giant_spin.problem(factor)), targets * factor, starts
            ),
            1.0,
        ),
    ):
        np.testing.assert_allclose(scaled.parameters / by, own.parameters, rtol=1e-9)
        np.testing.assert_array_equal(scaled.counts, own.counts)
        np.testing.assert_array_equal(scaled.result, own.result)
        np.testing.assert_array_equal(scaled.copies, own.copies)


def springs():
    """Five springs between two walls and four masses."""
    B = np.zeros([5, 4, 4])
    for k in range(5):
        ends = [i for i in (k - 1, k) if 0 <= i < 4]
        for i in ends:
            B[k, i, i] = 1
        if len(ends) == 2:
            B[k, ends[0], ends[1]] = B[k, ends[1], ends[0]] = -1
    return B


@pytest.mark.parametrize("factor", [1.0, 1e-140])
def test_a_continuum_is_one_row(factor):
    B = springs()
    targets = factor * np.linalg.eigvalsh(np.tensordot([1, 2, 3, 2, 1.0], B, 1))
    found = ef.multistart(ef.Solver(ef.Problem(ef.Affine(B))), targets, 24)
    assert found.counts.tolist() == [24]
    assert found.family_dimension.tolist() == [1]
    assert found.texts == ["targets met; one of a continuum of 1 dimension"]
    w = np.linalg.eigvalsh(np.tensordot(found.parameters[0], B, 1))
    np.testing.assert_allclose(w, targets, rtol=1e-9)
    # The member that is nearest to where it began.
    ends = found.solution.parameters.numpy()
    away = np.linalg.norm((ends - found.starts) / factor, axis=1)
    np.testing.assert_allclose(found.parameters[0], ends[away.argmin()], rtol=1e-5)


def test_a_double_root_is_no_continuum_and_near_roots_are_two():
    solver = ef.Solver(ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]])))
    found = ef.multistart(solver, [1.0, 3.0], 16)
    assert found.family_dimension.tolist() == [0]
    np.testing.assert_allclose(found.parameters, [[2.0, 2.0]], atol=1e-5)
    # Diagonal (a, b): a + b = 4 + d, (a - b)^2 = (2 + d)^2 - 4.
    d = 1e-5
    half = np.sqrt((2 + d) ** 2 - 4) / 2
    found = ef.multistart(solver, [1.0, 3.0 + d], 16)
    rows = found.parameters[found.parameters[:, 0].argsort()]
    expected = 2 + d / 2 + half * np.array([[-1, 1], [1, -1]])
    np.testing.assert_allclose(rows, expected, atol=1e-7)


def test_parameters_of_small_influence_tell_solutions_apart():
    # Squares of the second parameter move a level of 1 by 1e-6 of the first one.
    B = np.zeros([2, 3, 3])
    B[0] = np.diag([1e6, 2e6, 0.0])
    B[1, 1, 2] = B[1, 2, 1] = 1.0
    offset = np.zeros([3, 3])
    offset[1, 2] = offset[2, 1] = 0.3
    problem = ef.Problem([ef.Block(ef.Affine(B, offset=offset))])
    solver = ef.Solver(problem, ef.LevenbergMarquardt())
    targets = np.linalg.eigvalsh(offset + B[0] * 1e-6 + 0.8 * B[1])
    starts = [[1e-6, 0.7], [1e-6, -1.5], [1e-6, 1.0], [1e-6, -1.0]]
    found = ef.multistart(solver, targets, starts)
    assert found.counts.tolist() == [2, 2]
    np.testing.assert_allclose(np.sort(found.parameters[:, 1]), [-1.4, 0.8], rtol=1e-6)


def test_distinct_solutions_of_fits_that_were_made(mn12):
    starts, targets = giant_spin.starts(20), TARGETS["exact"]
    solver = ef.Solver(giant_spin.problem(), ef.LevenbergMarquardt())
    fits = solver.fit(starts, targets)
    found = ef.distinct_solutions(solver, fits, targets, starts=starts)
    codes = fits.result.numpy()
    assert found.counts.sum() == np.isin(codes, [0, 6]).sum()
    assert ((found.labels == 0) == (codes == 0)).all()
    with pytest.raises(ValueError, match="`solution` must be of one batch"):
        ef.distinct_solutions(solver, solver.fit(starts[0], targets), targets)


def test_random_starts_have_the_unit_of_the_targets():
    B = giant_spin.operators()
    for parameters in (None, ef.Parameters(bounds={"r0": (None, 0.0)})):
        problem = ef.Problem(
            ef.Affine(list(B)), ef.FreeShift(ef.Levels()), parameters=parameters
        )
        solver = ef.Solver(problem, ef.LevenbergMarquardt())
        small, large = (
            ef.multistart(solver, EXACT * x, 8, max_steps=0).starts
            for x in (2.0**-300, 1.0)
        )
        np.testing.assert_array_equal(small, large * 2.0**-300)
        # Levels of the size of the targets.
        size = np.abs(np.linalg.eigvalsh(np.tensordot(large, B, 1))).max(axis=1)
        assert (size > EXACT.max() / 30).all()
        assert (size < EXACT.max() * 30).all()


@pytest.mark.parametrize("sigma", [0.05, None])
def test_single_precision_lists_each_minimum_once(sigma):
    # A minimum that misses the data is known to the root of the rounding of its loss.
    rng = np.random.default_rng(0)

    def symmetric():
        A = rng.normal(size=[3, 3])
        return (A + A.T) / 2

    bases = [[np.eye(3), symmetric(), symmetric()] for _ in range(2)]
    offsets = [np.diag([1.0, 2.0, 4.0]), np.diag([2.0, 1.0, 5.0])]
    truth = np.array([0.2, 0.5, -0.4])
    levels = [
        np.linalg.eigvalsh(offset + np.tensordot(truth, basis, 1))
        for offset, basis in zip(offsets, bases, strict=True)
    ]
    targets = np.concatenate(levels) + 0.05 * rng.normal(size=6)
    found = {}
    for dtype in ("float64", "float32"):
        blocks = [
            ef.Block(ef.Affine(basis, offset, dtype=dtype), ef.Levels(sigma=sigma))
            for offset, basis in zip(offsets, bases, strict=True)
        ]
        solver = ef.Solver(ef.Problem(blocks))
        found[dtype] = ef.multistart(solver, targets.astype(dtype), starts=64, seed=1)
    single, double = found["float32"], found["float64"]
    assert len(double.parameters) == 3
    np.testing.assert_allclose(single.parameters, double.parameters, atol=1e-3)
    np.testing.assert_array_equal(single.counts, double.counts)
