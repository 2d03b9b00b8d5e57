"""What observations refuse, and how they say so."""

import numpy as np
import pytest

import eigenfit as ef

MAKING = [
    (lambda: ef.Levels([0], weights=1.0, sigma=1.0), "Give either `weights` or"),
    (lambda: ef.Levels(sigma=[1.0, 0.0]), "`sigma` must be one or a list of positive"),
    (lambda: ef.Levels(sigma=1e-155), "`sigma` must lie between 1e-154 and"),
    (lambda: ef.Levels(sigma=[1.0, 1e170]), "got 1 to 1e.170. Give matrices, targets"),
    (lambda: ef.Frequencies([0.5]), "`indices` must be a list of at least one integer"),
    (lambda: ef.Frequencies(sigma="small"), "`sigma` must be"),
    (lambda: ef.ClusterMeans([]), "`clusters` must be a list of lists of levels"),
    (lambda: ef.ClusterMeans([0, 1]), "`clusters` must be a list"),
    (lambda: ef.ClusterMeans(3), "`clusters` must be a list of lists"),
    (lambda: ef.ClusterMeans([[]]), "`clusters` must be a list of at least one"),
    (lambda: ef.RelativeTo("lowest"), "`level` must be"),
    (lambda: ef.RelativeTo(0, [1.5]), "`indices` must be a list"),
    (lambda: ef.Differences([]), "`pairs` must hold at least one"),
    (lambda: ef.Differences([(0, 1, 2)]), "`pairs` must be a list of .upper, lower."),
    (lambda: ef.Differences([1, 0]), "`pairs` must be a list"),
    (lambda: ef.Differences([(1, 1)]), "a level minus itself"),
    (lambda: ef.Differences([(("a", 0), ("a", 0))]), "a level minus itself"),
    (lambda: ef.Differences([(("a",), 0)]), "`pairs` must be a list"),
    (lambda: ef.ModeShapes([]), "`levels` must be a list of at least one integer"),
    (lambda: ef.ModeShapes([0], ["top"]), "`components` must be a list"),
    (lambda: ef.ModeShapes([0], normalisation="l1"), '"max", "unit" or "mass", got'),
    (lambda: ef.MAC([0, 1], [[1.0]]), "`shapes` has 1 rows for 2 levels"),
    (lambda: ef.MAC([0], [[0.0, 0.0]]), "`shapes` has a row that is zero"),
    (lambda: ef.MAC([0], [1.0, 2.0]), "`shapes` must be a full table"),
]


@pytest.mark.parametrize(("make", "message"), MAKING)
def test_bad_observations_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_free_shift_is_of_an_observation():
    with pytest.raises(TypeError, match="`observation` must be an observation"):
        ef.FreeShift([0, 1])


@pytest.mark.parametrize(
    ("observation", "message"),
    [
        (ef.Frequencies([3]), "contains 3, but a matrix of order 3 has levels 0..2"),
        (ef.Frequencies(weights=[1.0]), "1 numbers for 3 observed levels"),
        (ef.ClusterMeans([[0, -3]]), "names a level twice"),
        (ef.ClusterMeans([[0], [5]]), "contains 5"),
        (ef.ClusterMeans([[0], [1]], sigma=[1.0]), "1 numbers for 2"),
        (ef.RelativeTo(5), "`level` contains 5"),
        (ef.RelativeTo(0, [1, -3]), "`indices` contains `level` 0 itself"),
        (ef.Differences([(2, -1)]), "a level minus itself for order 3"),
        (ef.Differences([(2, 3)]), "`pairs` contains 3"),
        (ef.Differences([(1, 0)], weights=[1.0, 2.0]), "2 numbers for 1"),
        (ef.Differences([(("a", 1), ("a", 0))]), "names the block 'a': give it to"),
        (ef.ModeShapes([0, -3]), "`levels` names .* repeated"),
        (ef.ModeShapes([0], [1, 1]), "`components` names .* repeated"),
        (ef.ModeShapes([0], [3]), "`components` contains 3"),
        (ef.ModeShapes([0], weights=[1.0]), "1 numbers for 3"),
        (ef.MAC([0], [[1.0, 2.0]]), "2 columns for 3 measured components"),
        (ef.FreeShift(ef.Levels([4])), "contains 4"),
        (ef.FreeShift(ef.ModeShapes([0])), "targets that set a scale"),
    ],
    ids=str,
)
def test_observations_must_fit_the_order(observation, message):
    with pytest.raises(ValueError, match=message):
        ef.Problem(ef.Symmetric(3), observation)


def test_one_level_has_none_to_be_relative_to():
    with pytest.raises(ValueError, match="has no level besides"):
        ef.Problem(ef.Symmetric(1), ef.RelativeTo(0))


@pytest.mark.parametrize(
    ("observation", "targets", "message"),
    [
        (ef.Frequencies(), [1.0, 2.0, 1.5], "must ascend with their levels"),
        (ef.Frequencies([0, 2]), [-1.0, 2.0], "must not be negative, got -1"),
        (ef.FreeShift(ef.Levels()), [3.0, 2.0, 1.0], "must ascend"),
    ],
    ids=str,
)
def test_impossible_targets_are_refused(observation, targets, message):
    problem = ef.Problem(ef.Symmetric(3), observation)
    with pytest.raises(ValueError, match=message):
        problem.check_targets(np.array(targets))
    assert not problem.ordered(np.array(targets))


def test_any_order_of_differences_and_means_is_possible():
    for observation in (ef.Differences([(1, 0), (2, 0)]), ef.ClusterMeans([[1], [0]])):
        problem = ef.Problem(ef.Symmetric(3), observation)
        problem.check_targets(np.array([5.0, -1.0]))
        assert problem.ordered(np.array([5.0, -1.0]))


def test_how_they_are_shown():
    shown = [
        (ef.Frequencies([0, 2]), "Frequencies([0, 2])"),
        (ef.ClusterMeans([[0, 1], [2]]), "ClusterMeans([[0, 1], [2]])"),
        (ef.RelativeTo(0, weights=2.0), "RelativeTo(0, weights=2.0)"),
        (ef.Differences([(1, 0)]), "Differences([(1, 0)])"),
        (ef.Differences([(k + 1, k) for k in range(20)]), "Differences('20 pairs')"),
        (ef.ModeShapes([0], [1, 2]), "ModeShapes([0], [1, 2], 'max')"),
        (ef.FreeShift(ef.Levels([0])), "FreeShift(Levels([0]))"),
    ]
    for observation, text in shown:
        assert repr(observation) == text
