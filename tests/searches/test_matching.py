"""Assignment of targets to levels, and fits that follow it."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import eigenfit as ef

numbers = st.floats(-5.0, 5.0, allow_nan=False)


@hypothesis.given(
    st.lists(numbers, min_size=1, max_size=5),
    st.data(),
)
def test_the_assignment_is_the_best_of_all(levels, data):
    w = np.sort(levels)
    t = np.array(data.draw(st.lists(numbers, min_size=1, max_size=len(w))))
    weights = np.array(
        data.draw(st.lists(st.floats(0.1, 5), min_size=len(t), max_size=len(t)))
    )
    found = ef.match_levels(w, t, weights)
    assert len(set(found)) == len(t)
    cost = np.sum(weights * (w[found] - t) ** 2)
    best = min(
        np.sum(weights * (w[list(k)] - t) ** 2)
        for k in itertools.permutations(range(len(w)), len(t))
    )
    np.testing.assert_allclose(cost, best, atol=1e-12)


def test_weights_decide_who_gets_a_level_that_two_want():
    levels, t = [0.0, 1.0, 10.0], [0.9, 1.1]
    assert ef.match_levels(levels, t).tolist() == [0, 1]
    assert ef.match_levels(levels, t, [100.0, 1.0]).tolist() == [1, 0]


def test_overlaps_decide_and_deviations_only_between_equal_ones():
    overlaps = [[0.1, 0.9, 0.0], [0.8, 0.2, 0.0]]
    assert ef.match_levels([0, 1, 2], [0, 1], overlaps=overlaps).tolist() == [1, 0]
    equal = np.full([2, 3], 0.5)
    assert ef.match_levels([0, 1, 2], [2.1, 0.9], overlaps=equal).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [1.0, 2.0, 3.0]), "at most 2 numbers, as there are levels"),
        (([1.0, 2.0], [[1.0]]), r"`targets` must be a vector .* got shape \[1, 1\]"),
        (([[1.0, 2.0]], [1.0]), "`eigenvalues` must be a vector"),
        (([1.0, np.nan], [1.0]), "must be finite"),
        (([1.0, 2.0], [1.0], [1.0, 2.0]), r"`weights` must be a number or have sha"),
        (([1.0, 2.0], [1.0], None, [[1.0]]), r"`overlaps` must have shape \[1, 2\]"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ef.match_levels(*arguments)


@pytest.mark.slow  # the assignment is tested by itself
def test_a_fit_settles_on_the_levels_that_are_nearest_after_it():
    # Of diag(1, 2, 3, 4) + r, targets 4.6 and 2.55: at r = 0 nearest to 4 and 3, but
    # then to 4 and 2 at the r = 0.075 of that fit ...
    structure = ef.Affine([np.eye(4)], np.diag([1.0, 2.0, 3.0, 4.0]))
    found = ef.fit_matched(structure, [0.0], [4.6, 2.55], tolerance=1e-12)
    w = found.solution.eigenvalues.numpy()
    np.testing.assert_allclose(w, np.arange(1.0, 5.0) + 0.575, atol=1e-6)
    assert found.indices.tolist() == [3, 1]
    assert found.settled
    assert found.num_fits == 2
    # ... and the same whatever the order of the targets.
    other = ef.fit_matched(structure, [0.0], [2.55, 4.6], tolerance=1e-12)
    np.testing.assert_array_equal(other.indices, found.indices[::-1])


def crossing():
    """Two uncoupled oscillators whose levels cross at r = 1, weakly coupled."""
    coupling = np.array([[0.0, 0.01], [0.01, 0.0]])
    return ef.Affine([np.diag([1.0, 0.0])], np.diag([0.0, 1.0]) + coupling)


def test_shapes_follow_a_mode_through_a_crossing():
    # At r = 2 the first oscillator is the upper level; the start has it below.
    truth = crossing().assemble(np.array([2.0])).numpy()
    w, V = np.linalg.eigh(truth)
    by_shape = ef.fit_matched(
        crossing(), [0.3], w[::-1], shapes=V.T[::-1], tolerance=1e-12
    )
    np.testing.assert_allclose(by_shape.solution.parameters, [2.0], atol=1e-5)
    assert by_shape.indices.tolist() == [1, 0]
    assert by_shape.settled
    # One mode, measured at one place only.
    one = ef.fit_matched(
        crossing(),
        [1.8],
        w[1:],
        shapes=V.T[1:],
        components=[0, 1],
        tolerance=1e-14,
    )
    np.testing.assert_allclose(one.solution.parameters, [2.0], atol=1e-5)


def test_two_modes_exchange_their_places():
    # Oscillators at 1 and 2 that were measured at 1.9 and 1.1.
    structure = ef.Affine(
        [np.diag([1.0, 0]), np.diag([0, 1.0])], 0.01 * np.eye(2)[::-1]
    )
    steps = {"max_steps": 1, "max_fits": 20, "method": ef.LevenbergMarquardt()}
    start, t = [1.0, 2.0], [1.9, 1.1]
    by_shape = ef.fit_matched(structure, start, t, shapes=np.eye(2), **steps)
    np.testing.assert_allclose(by_shape.solution.parameters, [1.9, 1.1], atol=1e-3)
    assert by_shape.settled
    assert by_shape.solution.loss < 1e-8
    by_level = ef.fit_matched(structure, start, t, **steps)
    np.testing.assert_allclose(by_level.solution.parameters, [1.1, 1.9], atol=1e-3)


def test_names_bounds_and_weights_pass_through():
    structure = ef.Affine([np.eye(3)], np.diag([1.0, 2.0, 3.0]))
    known = ef.Parameters(["shift"], bounds=(0.0, 0.1))
    found = ef.fit_matched(
        structure,
        [0.05],
        [3.4, 1.2],
        weights=[1.0, 3.0],
        parameters=known,
        method=ef.LevenbergMarquardt(),
    )
    np.testing.assert_allclose(found.solution.parameters, [0.1])
    np.testing.assert_allclose(found.solution.loss, 0.3**2 + 3 * 0.1**2)
    assert found.solver.problem.parameter_names == ("shift",)


def test_the_limit_of_fits_is_kept():
    structure = ef.Affine([np.eye(3)], np.diag([1.0, 2.0, 3.0]))
    found = ef.fit_matched(structure, [0.0], [3.4], max_fits=1)
    assert found.num_fits == 1
    with pytest.raises(ValueError, match="`max_fits` must be an integer"):
        ef.fit_matched(structure, [0.0], [3.4], max_fits=0)


def test_bad_starts_are_refused():
    structure = ef.Symmetric(2)
    with pytest.raises(ValueError, match=r"`initial` must have shape \[..., 3\]"):
        ef.fit_matched(structure, [1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="`initial` must be one start"):
        ef.fit_matched(structure, np.ones([2, 3]), [1.0])
    with pytest.raises(ValueError, match="at most 2 numbers"):
        ef.fit_matched(structure, [1.0, 2.0, 0.1], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="`weights` must be a number"):
        ef.fit_matched(structure, [1.0, 2.0, 0.1], [1.0, 2.0], weights=[1.0])


@pytest.mark.parametrize("factor", [1e-170, 1e170])
@pytest.mark.parametrize("overlaps", [None, np.full([2, 4], 0.5)])
def test_levels_are_assigned_in_any_unit(factor, overlaps):
    levels, targets = np.array([0.0, 1.0, 5.0, 6.0]), np.array([5.8, 0.9])
    for weights in (None, [1.0, 1e-8]):
        found = ef.match_levels(
            factor * levels, factor * targets, weights, overlaps=overlaps
        )
        assert found.tolist() == [3, 1]
