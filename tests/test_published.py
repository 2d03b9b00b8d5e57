"""Published inverse eigenvalue problems, with their published answers."""

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo
from tests.zoo import FNO_ANSWER, FNO_OFFSET, FNO_TARGETS

import eigenfit as ef


def check(solver, solution, targets, tolerance):
    """The results are honest: NumPy finds the loss below the tolerance."""
    loss = zoo.loss(solver.problem, solution.parameters, targets)
    converged = solution.result.numpy() == ef.Result.converged
    assert (loss[converged] <= tolerance * 1.01).all()
    assert (loss[~converged] > tolerance * 0.99).all()


def test_additive_problem_from_the_published_start():
    solver = ef.Solver(ef.Problem(ef.Additive(FNO_OFFSET)))
    # Residual norm 1e-12, published for Newton after 6 steps.
    solution = solver.fit(FNO_TARGETS, FNO_TARGETS, tolerance=1e-24)
    solution.raise_for_result()
    assert solution.num_steps <= 6
    np.testing.assert_allclose(solution.parameters, FNO_ANSWER, rtol=0, atol=5e-9)


def test_additive_problem_from_a_thousand_starts(rng):
    solver = ef.Solver(ef.Problem(ef.Additive(FNO_OFFSET)))
    starts = FNO_TARGETS + rng.uniform(-30, 30, size=[1000, 8])
    solution = solver.fit(starts, FNO_TARGETS, tolerance=1e-20)
    assert np.mean(solution.result.numpy() == ef.Result.converged) >= 0.99
    check(solver, solution, FNO_TARGETS, 1e-20)
    # Many solutions: the published one is not special.
    distinct = np.unique(solution.parameters.numpy().round(4), axis=0)
    assert len(distinct) > 100


@pytest.mark.sample(2)
@pytest.mark.parametrize("order", [4, 6, 8, 10])
def test_toeplitz_problems_from_sixty_starts(order):
    # Targets 1..n; Newton solves 41 to 58 of 60 starts, monotone descent 11 to 33.
    targets = np.arange(1.0, order + 1)
    starts = np.random.default_rng(0).normal(size=[60, order])
    starts[:, 0] = targets.mean()
    solver = ef.Solver(ef.Problem(ef.Toeplitz(order)))
    solution = solver.fit(starts, targets, tolerance=1e-20)
    assert np.sum(solution.result.numpy() == ef.Result.converged) >= 59
    check(solver, solution, targets, 1e-20)


def frame():
    """18-storey shear frame; Otsuki et al., Adv. Struct. Eng. 25(4) (2022) 698-715."""
    mass = np.r_[np.full(11, 208e3), np.full(6, 206e3), 202e3] / 9.8
    stiffness = np.fromstring(
        "1155 1092 1073 1028 1028 990 963 938 876 840 824 788 712 660 619 562 491 363",
        sep=" ",
    )
    stiffness *= 1e5
    actual = np.fromstring(
        ".05 .05 -.05 -.1 .1 -.15 .15 .25 -.1 .2 .3 .25 -.15 .05 -.15 .1 .2 .2",
        sep=" ",
    )
    basis = np.zeros([18, 18, 18])
    for k in range(18):
        basis[k, k, k] += 1
        if k:
            basis[k, k - 1, k - 1] += 1
            basis[k, k, k - 1] = basis[k, k - 1, k] = -1
    basis *= stiffness[:, None, None] / np.sqrt(mass[:, None] * mass)
    structure = ef.Affine(basis, basis.sum(axis=0))
    targets = np.linalg.eigvalsh(basis.sum(axis=0) + np.tensordot(actual, basis, 1))
    # Published to 8 decimals.
    np.testing.assert_allclose(targets[0], 33.57568354, atol=5e-9)
    np.testing.assert_allclose(targets[-1], 18975.88032481, atol=5e-8)
    return structure, targets


def test_shear_frame_from_the_nominal_stiffnesses():
    structure, targets = frame()
    solver = ef.Solver(ef.Problem(structure, ef.Levels(weights=1 / targets**2)))
    solution = solver.fit(np.zeros(18), targets, tolerance=1e-20)
    solution.raise_for_result()
    w = np.linalg.eigvalsh(solution.matrix.numpy())
    np.testing.assert_allclose(w, targets, rtol=1e-9)


def test_shear_frame_from_random_stiffnesses():
    # Newton alone solves none of them, descent alone a quarter.
    structure, targets = frame()
    solver = ef.Solver(ef.Problem(structure, ef.Levels(weights=1 / targets**2)))
    starts = np.random.default_rng(0).uniform(-0.4, 0.4, size=[100, 18])
    solution = solver.fit(starts, targets, tolerance=1e-18)
    assert np.sum(solution.result.numpy() == ef.Result.converged) >= 90
    check(solver, solution, targets, 1e-18)


def test_complete_graph_from_the_spectrum_of_its_laplacian(rng):
    # 0 and n, n - 1 times: only the complete graph has this spectrum.
    n = 6
    edges = [(i, j) for j in range(n) for i in range(j)]
    solver = ef.Solver(ef.Problem(ef.Laplacian(edges)))
    targets = [0.0] + [float(n)] * (n - 1)
    solution = solver.fit(
        rng.uniform(0.5, 1.5, size=[20, 15]), targets, tolerance=1e-20
    )
    solution.raise_for_result()
    np.testing.assert_allclose(solution.parameters, np.ones([20, 15]), atol=1e-9)


def test_clement_kac_matrix_from_its_spectrum():
    # Zero diagonal, b_i^2 = i (8 - i): eigenvalues -7, -5, ..., 7.
    b = np.sqrt([i * (8 - i) for i in range(1, 8)])
    structure = ef.Tridiagonal(8)
    solver = ef.Solver(ef.Problem(structure))
    targets = np.arange(-7.0, 8.0, 2.0)
    exact = np.r_[np.zeros(8), b]
    np.testing.assert_allclose(solver.eigenvalues(exact), targets, atol=1e-13)
    solution = solver.fit(exact + 0.1, targets, tolerance=1e-20)
    solution.raise_for_result()


def test_answers_do_not_depend_on_the_batch(rng):
    solver = ef.Solver(ef.Problem(ef.Toeplitz(6)))
    starts = rng.normal(size=[8, 6])
    targets = np.arange(1.0, 7.0)
    together = solver.fit(starts, targets, tolerance=1e-20, max_steps=60)
    alone = solver.fit(starts[5], targets, tolerance=1e-20, max_steps=60)
    assert together.num_steps[5] == alone.num_steps
    np.testing.assert_allclose(together.parameters[5], alone.parameters, rtol=1e-7)


def test_targets_that_cannot_be_met_end_with_the_least_squares_answer():
    # diag(r0 + r1, r0 + r1): both levels are equal, the best is their mean.
    structure = ef.Affine([np.eye(2), np.eye(2)])
    solver = ef.Solver(ef.Problem(structure), ef.Alternating(num_bursts=4))
    solution = solver.fit([0.3, 0.1], [1.0, 2.0])
    assert solution.result == ef.Result.stationary
    np.testing.assert_allclose(tf.reduce_sum(solution.parameters), 1.5, atol=1e-7)


@pytest.mark.slow
def test_members_that_have_ended_leave_the_loop_of_xla(rng):
    # 70 members run in buckets of 128 (at most), 64, 32, ...; answers keep their
    # places and are those of the graph.
    problem = ef.Problem(ef.Toeplitz(4))
    starts = rng.normal(size=[70, 4])
    starts[3] = np.nan
    targets = np.arange(1.0, 5.0)
    options = {"tolerance": 1e-20, "max_steps": np.r_[2, np.full(69, 60)]}
    graph = ef.Solver(problem).fit(starts, targets, **options)
    xla = ef.Solver(problem, compile="xla").fit(starts, targets, **options)
    assert xla.result[3] == ef.Result.invalid_input
    assert xla.num_steps[0] <= 2
    check(ef.Solver(problem), xla._replace(**_without(xla, 3)), targets, 1e-20)
    same = np.mean(xla.num_steps.numpy() == graph.num_steps.numpy())
    assert same > 0.8  # rounding decides some long runs
    close = np.isclose(xla.parameters, graph.parameters, atol=1e-6).all(axis=-1)
    assert np.mean(close) > 0.8


def _without(solution, member):
    keep = [i for i in range(len(solution.result)) if i != member]
    return {
        name: tf.gather(getattr(solution, name), keep)
        for name in ("parameters", "loss", "num_steps", "result")
    }


@pytest.mark.parametrize(
    "compile", ["graph", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_members_that_leave_the_loop_keep_their_places(rng, compile):
    # Each has targets of its own, which only its own answer meets.
    problem = ef.Problem(ef.Additive(FNO_OFFSET[:4, :4] / 4))
    targets = 3.0 * np.arange(4) + rng.uniform(size=[200, 4])
    starts = targets + rng.uniform(-2, 2, size=[200, 4])
    solution = ef.Solver(problem, compile=compile).fit(starts, targets, tolerance=1e-20)
    assert len(np.unique(solution.num_steps)) > 3  # they leave at different times
    converged = solution.result.numpy() == ef.Result.converged
    assert np.mean(converged) > 0.95
    loss = zoo.loss(problem, solution.parameters, targets)
    assert (loss[converged] <= 1.01e-20).all()
