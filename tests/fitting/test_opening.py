"""A single fit in two parts against the same method in one."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef


def affine(rng):
    basis = rng.normal(size=[3, 4, 4])
    return ef.Affine(basis + basis.transpose(0, 2, 1))


PROBLEMS = {
    # Undamped steps go up and down.
    "toeplitz": lambda rng: ef.Problem(ef.Toeplitz(5)),
    "few targets": lambda rng: ef.Problem(ef.Symmetric(3), ef.Levels([0, 2])),
    "bounds": lambda rng: ef.Problem(
        affine(rng),
        ef.Levels([0, 1, 3]),
        parameters=ef.Parameters(list("abc"), bounds={"a": (0, 1)}),
    ),
    # The scales of the columns change from step to step.
    "several observations": lambda rng: ef.Problem(
        affine(rng), observations=[ef.Levels([0]), ef.Differences([(2, 1), (3, 0)])]
    ),
}


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_parts_make_the_steps_of_the_whole(rng, name):
    problem = PROBLEMS[name](rng)
    solver = ef.Solver(problem, ef.Alternating())
    whole = ef.Solver(problem, ef.Alternating()).programs.single.search
    for _ in range(12):
        initial = rng.uniform(size=problem.num_parameters)
        goal = rng.uniform(size=problem.num_parameters)
        targets = problem.values(goal, np.zeros(problem.num_targets))
        for max_steps in (0, 1, 3, 9, 20, 3000):
            solution = solver.fit(initial, targets, max_steps=max_steps)
            given = [tf.constant(initial), targets, tf.constant(0.0, tf.float64)]
            fields = whole.call("graph", [*given, tf.constant(max_steps)])
            np.testing.assert_array_equal(solution.parameters, fields[0])
            np.testing.assert_array_equal(solution.loss, fields[3])
            assert solution.num_steps == fields[4]
            if fields[5] in (ef.Result.converged, ef.Result.max_steps):
                assert solution.result == fields[5]
    both = "resume" in vars(solver.programs.distinct.single)
    assert both == (name != "few targets")  # or only one of the parts was tried


def test_what_is_met_by_good_steps_needs_no_more():
    solver = ef.Solver(ef.Problem(ef.Additive(np.ones([3, 3]))), compile="graph")
    assert solver.fit([1.0, 4.0, 9.0], [1.5, 4.5, 9.5]).result == ef.Result.converged
    assert solver.num_traces() == 1


def test_where_newton_diverges_a_descent_needs_no_more_either():
    frame = ef.gallery.load("shear-frame-18")
    solver = ef.Solver(frame.problem, ef.Alternating(), compile="graph")
    solution = solver.fit(frame.initial, frame.targets, tolerance=frame.tolerance)
    assert solution.result == ef.Result.converged
    assert solver.num_traces() == 2


@pytest.mark.sample(1)
@pytest.mark.parametrize("compile", ["graph", "eager"])
def test_a_step_to_nan_is_the_same_alone_and_in_a_batch(compile):
    """The first Newton step makes the mass matrix indefinite."""
    stiffness = ef.Affine(
        [np.diag([1.0, 0.0]), np.zeros([2, 2])], offset=[[1.0, -0.5], [-0.5, 2.0]]
    )
    mass = ef.Affine(
        [np.zeros([2, 2]), np.diag([0.0, 1.0])], offset=np.diag([1.0, 0.3])
    )
    solver = ef.Solver(ef.Problem(ef.Generalized(stiffness, mass)), compile=compile)
    start, targets = np.array([3.2252, 3.2332]), [1.32376, 3.02732]
    alone = solver.fit(start, targets)
    several = solver.fit([start, start], targets)
    recorded = solver.fit(start, targets, record_every=1)
    losses = recorded.history.loss.numpy()
    assert (losses[:3] == losses[0]).all()
    assert alone.result == ef.Result.converged
    for other in (several, recorded):
        np.testing.assert_allclose(other.num_steps, alone.num_steps, atol=2)
        np.testing.assert_array_equal(other.result, alone.result)
        np.testing.assert_allclose(
            other.parameters, np.broadcast_to(alone.parameters, other.parameters.shape)
        )
