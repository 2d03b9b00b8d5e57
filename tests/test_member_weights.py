"""Weights of each member, against solvers whose observations have them."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

OFFSET = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 1.0], [0.5, 1.0, 0.0]])
DIAGONALS = [np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 1.0, 0.0])]
SPRINGS = [
    np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]),
    np.array([[0.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]]),
]


def part(weights, start, end):
    return None if weights is None else weights[start:end]


def levels(weights):
    # More members than parameters: least squares, of which some take many steps.
    return ef.Problem(ef.Affine(DIAGONALS, offset=OFFSET), ef.Levels(weights=weights))


def equal_targets(weights):
    return ef.Problem(ef.Affine(SPRINGS, offset=np.eye(3)), ef.Levels(weights=weights))


def some_levels(weights):
    structure = ef.Parametric(zoo.exponential, 3, 3)
    return ef.Problem(structure, ef.Levels([2, 0], weights=weights))


def differences(weights):
    observations = [
        ef.FreeShift(ef.Levels(weights=part(weights, 0, 3))),
        ef.Differences([(1, 0), (2, 0)], weights=part(weights, 3, 5)),
    ]
    structure = ef.Affine(DIAGONALS, offset=OFFSET)
    return ef.Problem(structure, observations=observations)


def shapes(weights):
    observations = [
        ef.Frequencies(weights=part(weights, 0, 3)),
        ef.ModeShapes([0], weights=part(weights, 3, 6)),
    ]
    structure = ef.Affine(SPRINGS, offset=np.diag([2.0, 1.0, 1.5]))
    return ef.Problem(structure, observations=observations)


def with_sigma(weights):
    sigma = 0.1 if weights is None else None
    observation = ef.Levels(weights=weights, sigma=sigma)
    return ef.Problem(ef.Affine(DIAGONALS, offset=OFFSET), observation)


def inputs(problem, number, seed=0):
    rng = np.random.default_rng(seed)
    m, p = problem.num_targets, problem.num_parameters
    initial = rng.uniform(0.5, 2.0, [number, p])
    near = tf.constant(initial + rng.uniform(0.0, 0.3, [number, p]))
    values = problem.values(near, tf.ones([number, m], tf.float64)).numpy()
    targets = values * rng.uniform(1.0, 1.02, [number, m])
    return initial, targets, rng.uniform(0.1, 10.0, [number, m])


def fitted(solver, initial, targets, weights, mode="graph"):
    number = len(initial)
    steps = np.full(number, solver.method.default_max_steps, np.int32)
    program = solver.programs.weighted_fit.variant(mode)
    given = (initial, targets, weights, np.zeros(number), steps)
    return ef.Solution._make((*program(*map(tf.constant, given)), None))


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "make", [levels, equal_targets, some_levels, differences, shapes, with_sigma]
)
def test_fits_are_those_of_problems_with_these_weights(make):
    base = ef.Solver(make(None))
    initial, targets, weights = inputs(base.problem, 40)
    if make is equal_targets:
        targets[:, 1] = targets[:, 2]
    found = fitted(base, initial, targets, weights)
    assert len(np.unique(found.num_steps)) > 1 or make is some_levels
    for k in (0, 9, 17):
        solver = ef.Solver(make(weights[k]), method=base.method)
        wanted = solver.fit(initial[k], targets[k])
        assert found.result[k] == wanted.result
        np.testing.assert_allclose(found.loss[k], wanted.loss, rtol=1e-7, atol=1e-18)
        np.testing.assert_allclose(found.parameters[k], wanted.parameters, rtol=1e-5)


def test_members_with_a_weight_that_is_not_positive_are_invalid():
    solver = ef.Solver(levels(None))
    initial, targets, weights = inputs(solver.problem, 4)
    weights[1, 0], weights[2, 2], weights[3, 1] = 0, np.nan, np.inf
    found = fitted(solver, initial, targets, weights, mode="eager")
    invalid = ef.Result.invalid_input
    assert (found.result.numpy() == invalid).tolist() == [False, True, True, True]


def test_methods_that_count_all_levels_alike_refuse():
    solver = ef.Solver(levels(None), ef.LiftAndProject())
    with pytest.raises(ValueError, match=r"Levels\(weights of each member\) differ"):
        fitted(solver, *inputs(solver.problem, 2), mode="eager")
