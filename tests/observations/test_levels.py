import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

W = tf.constant([[-2.0, 0.0, 1.0, 1.5, 4.0]], tf.float64)


def test_all_levels_by_default():
    levels = ef.Levels()
    assert levels.num_targets(5) == 5
    np.testing.assert_array_equal(levels.residual(W, W - 1.0), np.ones([1, 5]))


def test_chosen_levels_in_the_given_order_and_from_the_top():
    levels = ef.Levels([3, 0, -1], weights=[1.0, 4.0, 9.0])
    assert levels.num_targets(5) == 3
    t = tf.constant([[1.0, -1.0, 5.0]], tf.float64)
    residual = levels.residual(W, t)
    np.testing.assert_allclose(residual, [[0.5, -2.0, -3.0]])
    slope = levels.slope(residual, 5)
    np.testing.assert_allclose(slope, [[-8.0, 0, 0, 1.0, -18.0]])


def test_one_weight_for_all():
    levels = ef.Levels([0, 1], weights=4.0)
    t = tf.constant([[0.0, 0.0]], tf.float64)
    np.testing.assert_allclose(levels.residual(W, t), [[-4.0, 0.0]])


def test_order_of_targets_is_that_of_their_levels():
    levels = ef.Levels([-1, 0])
    t = tf.constant([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0]], tf.float64)
    np.testing.assert_array_equal(levels.ordered(t, 5), [True, False, True])


def test_spread_extends_to_all_levels():
    levels = ef.Levels([2, 0], weights=[3.0, 5.0])
    t = tf.constant([7.0, 1.0], tf.float64)
    targets, weights = levels.spread(t, 4)
    np.testing.assert_allclose(targets, [1, 0, 7, 0])
    np.testing.assert_allclose(weights, [5, 0, 3, 0])


@pytest.mark.parametrize(
    ("indices", "targets", "expected"),
    [
        ([0], [3.0], [3, 3, 3, 3, 4]),
        ([-1], [0.5], [-2, 0, 0.5, 0.5, 0.5]),
        ([1, 3], [0.5, 0.75], [-2, 0.5, 0.75, 0.75, 4]),
        ([3, 1], [0.75, 0.5], [-2, 0.5, 0.75, 0.75, 4]),
        ([2], [1.25], [-2, 0, 1.25, 1.5, 4]),
    ],
)
def test_nearest_spectrum_moves_other_levels_only_out_of_the_way(
    indices, targets, expected
):
    t = tf.constant([targets], tf.float64)
    np.testing.assert_allclose(ef.Levels(indices).nearest_spectrum(W, t), [expected])


def test_nearest_spectrum_is_the_nearest(rng):
    # Any other ascending spectrum with the same observed levels lies further away.
    levels = ef.Levels([1, 4])
    w = np.sort(rng.normal(size=6))
    t = np.sort(rng.normal(size=2)) * 2
    nearest = levels.nearest_spectrum(tf.constant([w]), tf.constant([t])).numpy()[0]
    assert (np.diff(nearest) >= 0).all()
    distance = np.linalg.norm(nearest - w)
    for _ in range(500):
        other = nearest + rng.normal(scale=0.3, size=6)
        other[[1, 4]] = t
        other = np.sort(other)
        if np.allclose(other[[1, 4]], t):
            assert np.linalg.norm(other - w) >= distance


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"indices": []}, "`indices` must be a list of at least one integer"),
        ({"indices": [0.5]}, "`indices` must be a list"),
        ({"indices": 3}, "`indices` must be a list"),
        ({"weights": [1.0, 0.0]}, "`weights` must be .* positive"),
        ({"weights": -1.0}, "`weights` must be"),
        ({"weights": [np.nan]}, "`weights` must be"),
        ({"weights": "many"}, "`weights` must be"),
        ({"weights": []}, "`weights` must be"),
        ({"weights": [[1.0]]}, "`weights` must be"),
        ({"indices": [0, 1], "weights": [1.0]}, "1 numbers for 2 observed levels"),
    ],
)
def test_bad_observations_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ef.Levels(**arguments)


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (ef.Levels([3]), "contains 3, but a matrix of order 3 has levels 0..2"),
        (ef.Levels([-4]), "contains -4"),
        (ef.Levels([0, -3]), "names a level twice for order 3"),
        (ef.Levels(weights=[1.0, 2.0]), "2 numbers for 3 observed levels"),
    ],
)
def test_observation_must_fit_the_order(observation, message):
    with pytest.raises(ValueError, match=message):
        ef.Problem(ef.Symmetric(3), observation)


@pytest.mark.parametrize("case", zoo.CASES, ids=str)
def test_problem_derivatives_agree_with_finite_differences(case):
    problem = case.problem()
    x, t = np.array(case.initial), np.array(case.targets)
    loss = problem.loss(tf.constant(x), t)
    np.testing.assert_allclose(loss, zoo.loss(problem, x, t), rtol=1e-12)
    residual = problem.residual(x, t).numpy()
    np.testing.assert_allclose(np.sum(residual**2), loss, rtol=1e-12)
    gradient = zoo.finite_differences(lambda x: zoo.loss(problem, x, t), x, 6e-6)
    np.testing.assert_allclose(problem.gradient(x, t), gradient, atol=1e-7)
    jacobian = zoo.finite_differences(lambda x: problem.residual(x, t), x, 6e-6)
    np.testing.assert_allclose(problem.jacobian(x, t), jacobian, atol=1e-8)
    with tf.GradientTape() as tape:
        r = tf.constant(x)
        tape.watch(r)
        loss = problem.loss(r, t)
    np.testing.assert_allclose(tape.gradient(loss, r), gradient, atol=1e-7)


@pytest.mark.parametrize("case", zoo.CASES, ids=str)
def test_problem_hessian_agrees_with_finite_differences(case):
    problem = case.problem()
    t = tf.constant(case.targets, tf.float64)
    r = tf.constant(case.initial, tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(r)
        with tf.GradientTape() as inner:
            inner.watch(r)
            loss = problem.loss(r, t)
        gradient = inner.gradient(loss, r)
    expected = zoo.finite_differences(
        lambda x: problem.gradient(x, t), np.array(case.initial), 6e-6
    )
    np.testing.assert_allclose(outer.jacobian(gradient, r), expected, atol=1e-6)


def test_problem_refuses_what_is_no_structure_or_observation():
    with pytest.raises(TypeError, match="`structure` must be a structure"):
        ef.Problem(np.eye(3))
    with pytest.raises(TypeError, match="must be observations such as Levels"):
        ef.Problem(ef.Symmetric(3), [0, 1])
