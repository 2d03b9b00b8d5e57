"""Verdicts where two levels cross, though their targets differ."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.fitting.verdicts import Ended, judge

# Two levels m -+ |(x, y)|, one that knows m as well, and one that stays.
MEAN = np.diag([1.0, 1.0, 0.1, 0.0])
SPLIT = np.diag([1.0, -1.0, 0.0, 0.0])
COUPLING = np.zeros([4, 4])
COUPLING[0, 1] = COUPLING[1, 0] = 1.0
OFFSET = np.diag([0.0, 0.0, 10.0, 20.0])


def _verdict(parameters, targets, weights):
    structure = ef.Affine([MEAN, SPLIT, COUPLING], OFFSET)
    problem = ef.Problem(structure, ef.Levels(weights=weights))
    return _judged(problem, parameters, targets)


def _judged(problem, parameters, targets):
    ended = Ended(
        tf.constant([parameters], tf.float64),
        tf.constant([targets], tf.float64),
        tf.ones([1], tf.float64),
        tf.zeros([1], tf.float64),
        tf.constant([int(ef.Result.stalled)]),
    )
    return ef.Result(int(judge(problem, ended)[0])).name


@pytest.mark.parametrize("weights", [[1.0] * 4, [1e8, 1.0, 1e-8, 1.0]])
@pytest.mark.parametrize("split", [0.0, 1e-16, 1e-15, 1e-13])
def test_a_crossing_along_which_the_loss_falls_is_no_minimum(split, weights):
    # The mean is wrong by .01, and so are the levels, however they split. The second
    # derivatives are infinite there, or 1 over the distance of the levels.
    assert _verdict([0.01, split, 0.0], [-0.5, 0.5, 10.0, 20.0], weights) == "stalled"


@pytest.mark.parametrize("split", [0.5, -0.3])
def test_beside_crossings_there_are_minima(split):
    # The first two levels want a mean of 0, the third one of .1.
    answer = 0.1 * 0.01 / (2 + 0.1**2)
    targets = [-abs(split), abs(split), 10.01, 20.0]
    assert _verdict([answer, split, 0.0], targets, [1.0] * 4) == "minimum"


def test_the_top_of_a_shape_s_loss_is_a_saddle():
    # The lowest mode is orthogonal to the shape: the loss has its maximum there, and
    # nothing is known of how large columns of shapes can be.
    basis = [np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])]
    shape = ef.MAC([0], [[1.0, 0.0]], sigma=0.01)
    problem = ef.Problem(ef.Affine(basis), shape)
    assert _judged(problem, [1.0, 0.0], [1.0]) == "stationary"
