"""Starts where levels coincide whose targets differ."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef

EDGES = [(i, j) for j in range(4) for i in range(j)]
CASES = {
    # A = 2.5 I: every eigenvector of a diagonal matrix is a unit vector, along which
    # no off-diagonal parameter has a derivative.
    "toeplitz": (ef.Toeplitz(4), [2.5, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]),
    "toeplitz at zero": (ef.Toeplitz(4), np.zeros(4), [1.0, 2.0, 3.0, 4.0]),
    "tridiagonal": (ef.Tridiagonal(3), [1.0, 1, 1, 0, 0], [0.5, 1.0, 2.5]),
    "laplacian at zero": (ef.Laplacian(EDGES), np.zeros(6), [0.0, 1.0, 2.0, 4.0]),
    "float32": (ef.Toeplitz(3, tf.float32), np.zeros(3), [1.0, 2.0, 4.0]),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("compile", ["graph", "xla"])
@pytest.mark.parametrize("name", CASES)
def test_are_left_by_descent(name, compile):
    structure, start, targets = CASES[name]
    problem = ef.Problem(structure)
    solver = ef.Solver(problem, ef.LevenbergMarquardt(), compile=compile)
    start = np.asarray(start)
    solution = solver.fit(start, targets, tolerance=1e-9)
    before = zoo.loss(problem, start, targets)
    levels = zoo.levels(problem, solution.parameters)
    # Not only the mean of the levels has moved: they have parted.
    assert np.ptp(levels) > 0.5 * np.ptp(targets)
    assert solution.loss < 0.2 * before


def test_are_given_back_unchanged_when_no_step_is_made():
    solver = ef.Solver(ef.Problem(ef.Toeplitz(4)), ef.LevenbergMarquardt())
    solution = solver.fit(np.zeros(4), [1.0, 2.0, 3.0, 4.0], max_steps=0)
    np.testing.assert_array_equal(solution.parameters, np.zeros(4))


def test_other_members_start_where_they_are():
    solver = ef.Solver(ef.Problem(ef.Toeplitz(4)), ef.LevenbergMarquardt())
    starts = np.array([[2.5, 0.4, 0.1, -1.4], [2.5, 0.0, 0.0, 0.0]])
    state = solver.init(starts, [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(state.point.parameters[0], starts[0])
    moved = np.abs(state.point.parameters[1] - starts[1])
    assert 0 < moved.max() < 1e-6


def test_equal_targets_are_no_reason_to_move():
    solver = ef.Solver(ef.Problem(ef.Toeplitz(3)), ef.LevenbergMarquardt())
    state = solver.init([2.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(state.point.parameters, [2.0, 0.0, 0.0])
