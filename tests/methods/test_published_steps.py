"""Each method makes the steps that are published for it, or proved in theory."""

import numpy as np
import pytest
from tests.zoo import FNO_ANSWER, FNO_OFFSET, FNO_TARGETS, fno_multiple_basis

import eigenfit as ef


def multiple():
    """The same paper's example with a triple eigenvalue, its start and its levels.

    They are 1, 1, 1, 2.12075361, ..., 722.68079377 at c = (1, ..., 1).
    """
    basis = fno_multiple_basis()
    levels = np.linalg.eigvalsh(basis.sum(axis=0))
    return ef.Affine(basis), np.repeat([0.99, 1.01], 4), levels


def residual_norms(solver, initial, targets, count):
    """Norms of the residual at the start and after 1, 2, ... steps."""
    # The tolerance is out of reach; a batch whose members differ in their limits.
    solution = solver.fit(
        initial, targets, tolerance=1e-300, max_steps=np.arange(count)
    )
    np.testing.assert_array_equal(solution.num_steps, np.arange(count))
    return np.sqrt(solution.loss.numpy())


@pytest.mark.parametrize("method", [ef.Newton(), ef.ClusterNewton()], ids=repr)
def test_newton_makes_the_published_steps(method):
    solver = ef.Solver(ef.Problem(ef.Additive(FNO_OFFSET)), method)
    norms = residual_norms(solver, FNO_TARGETS, FNO_TARGETS, 6)
    expected = [6.4, 8.9e-1, 1.0e-1, 2.7e-3, 2.3e-6]
    assert [float(f"{norm:.1e}") for norm in norms[:5]] == expected
    # Levels up to 80 have errors of 1e-14 to 1e-13 themselves.
    np.testing.assert_allclose(norms[5], 1.7e-12, rtol=0, atol=3e-13)
    solution = solver.fit(FNO_TARGETS, FNO_TARGETS, tolerance=1e-22)
    assert solution.num_steps == 5
    np.testing.assert_allclose(solution.parameters, FNO_ANSWER, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_newton_goes_uphill_where_the_line_search_does_not(rng):
    problem = ef.Problem(ef.Toeplitz(6))
    start, targets = rng.normal(size=[20, 6]), np.arange(1.0, 7.0)
    start[:, 0] = targets.mean()
    rises = []
    for method in (ef.Newton(), ef.GaussNewton(), ef.LBFGS(), ef.LoewnerNewton()):
        solver = ef.Solver(problem, method)
        loss = np.array(
            [solver.fit(start, targets, max_steps=k).loss for k in range(1, 12)]
        )
        rises.append((np.diff(loss, axis=0) > 1e-12).any())
    assert rises == [True, False, False, False]


def test_newton_with_cluster_equations_makes_the_published_steps():
    structure, start, _ = multiple()
    targets = [1, 1, 1, 2.1208, 9.2189]
    problem = ef.Problem(structure, ef.Levels(range(5)))
    solver = ef.Solver(problem, ef.ClusterNewton())
    norms = residual_norms(solver, start, targets, 5)
    # Published with 9.6e-4 and 3.0e-4 in the middle; the square system of the cluster
    # solved by NumPy gives these.
    np.testing.assert_allclose(
        norms[:4], [9.33e-2, 9.54e-4, 3.10e-4, 5.41e-8], rtol=2e-3
    )
    # Published 1.1e-13; levels up to 723 have errors of that size themselves.
    assert norms[4] < 1e-12
    solution = solver.fit(start, targets, tolerance=1e-24)
    solution.raise_for_result()
    expected = [
        1.00001017,
        1.00002063,
        1.00001963,
        0.99991724,
        1.00014886,
        1.00006979,
        1.00005931,
        1.00009413,
    ]
    np.testing.assert_allclose(solution.parameters, expected, rtol=0, atol=6e-9)


def test_without_cluster_equations_a_triple_level_has_other_steps():
    # Five equations for eight parameters: the triple level parts again in each step.
    structure, start, _ = multiple()
    problem = ef.Problem(structure, ef.Levels(range(5)))
    solver = ef.Solver(problem, ef.Newton())
    norms = residual_norms(solver, start, [1, 1, 1, 2.1208, 9.2189], 5)
    assert norms[4] > 1e-6


def test_cluster_equations_for_all_levels():
    structure, start, targets = multiple()
    targets[:3] = 1.0  # rounding would part them
    solver = ef.Solver(ef.Problem(structure), ef.ClusterNewton())
    norms = residual_norms(solver, start, targets, 4)
    # Published for the 11 equations: 7.1e0, 3.5e-3, 4.5e-7, 4.3e-13.
    np.testing.assert_allclose(norms[:3], [7.1, 3.5e-3, 4.5e-7], rtol=0.02)
    assert norms[3] < 5e-12
    solution = solver.fit(start, targets, tolerance=1e-20)
    assert solution.num_steps == 3
    np.testing.assert_allclose(solution.parameters, np.ones(8), rtol=0, atol=1e-10)


def test_clusters_are_those_of_each_member(rng):
    structure, start, exact = multiple()
    exact[:3] = 1.0
    solver = ef.Solver(ef.Problem(structure), ef.ClusterNewton())
    apart = solver.eigenvalues(np.linspace(0.9, 1.1, 8)).numpy()
    targets = np.stack([exact, apart])
    both = solver.fit(start, targets, tolerance=1e-18)
    both.raise_for_result()
    for k in range(2):
        alone = solver.fit(start, targets[k], tolerance=1e-18)
        np.testing.assert_allclose(both.parameters[k], alone.parameters, rtol=1e-9)
        assert both.num_steps[k] == alone.num_steps


def test_cluster_equations_of_a_complex_matrix(rng):
    # A space of dimension 9 around a matrix with a double level: 4 equations for it.
    n = 4
    X = rng.normal(size=[9, n, n]) + 1j * rng.normal(size=[9, n, n])
    Q = np.linalg.qr(rng.normal(size=[n, n]) + 1j * rng.normal(size=[n, n]))[0]
    targets = [1.0, 1.0, 2.0, 4.0]
    offset = (Q * targets) @ Q.conj().T
    basis = X + X.conj().transpose(0, 2, 1)
    problem = ef.Problem(ef.Affine(basis, (offset + offset.conj().T) / 2, "complex128"))
    starts = rng.normal(size=[20, 9]) * 0.02
    solver = ef.Solver(problem, ef.ClusterNewton())
    solution = solver.fit(starts, targets, tolerance=1e-20)
    solution.raise_for_result()
    assert np.max(solution.num_steps) <= 5
    plain = ef.Solver(problem, ef.Newton())
    assert np.min(plain.fit(starts, targets, tolerance=1e-20).num_steps) > 5


def complete_graph(rng):
    # 0 and n, n - 1 times: only the complete graph has this spectrum.
    edges = [(i, j) for j in range(6) for i in range(j)]
    problem = ef.Problem(ef.Laplacian(edges))
    return problem, rng.uniform(0.5, 1.5, size=[50, 15]), [0.0] + [6.0] * 5


@pytest.mark.parametrize(
    ("method", "most"),
    [(ef.LoewnerNewton(), 3), (ef.LiftAndProject(), 1), (ef.ClusterNewton(), 1)],
    ids=repr,
)
def test_complete_graph_in_a_few_steps(rng, method, most):
    problem, starts, targets = complete_graph(rng)
    solution = ef.Solver(problem, method).fit(starts, targets, tolerance=1e-20)
    solution.raise_for_result()
    assert np.max(solution.num_steps) <= most
    np.testing.assert_allclose(solution.parameters, np.ones([50, 15]), atol=1e-9)


def test_gauss_newton_is_linear_at_a_multiple_level(rng):
    problem, starts, targets = complete_graph(rng)
    solution = ef.Solver(problem, ef.GaussNewton()).fit(
        starts, targets, tolerance=1e-20
    )
    solution.raise_for_result()
    # 34 steps published: the residual halves in each.
    assert 25 <= np.median(solution.num_steps) <= 40


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("relaxation", "expected"), [(1.0, 245), (1.5, 159), (1.9, 133)]
)
def test_lift_and_project_needs_the_published_number_of_steps(relaxation, expected):
    problem = ef.Problem(ef.Additive(FNO_OFFSET))
    solver = ef.Solver(problem, ef.LiftAndProject(relaxation), compile="graph")
    solution = solver.fit(FNO_TARGETS, FNO_TARGETS, tolerance=1e-24)
    solution.raise_for_result()
    assert abs(solution.num_steps.numpy() - expected) <= 2
    np.testing.assert_allclose(solution.parameters, FNO_ANSWER, rtol=0, atol=1e-10)


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    "method", [ef.LiftAndProject(), ef.Newton(), ef.LBFGS()], ids=repr
)
@pytest.mark.parametrize("targets", [[1, 1, 1], [1, 2, 3], [-1, 0, 5]])
def test_every_symmetric_matrix_in_one_step(rng, method, targets):
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)), method)
    start = rng.uniform(size=[50, 6])
    solution = solver.fit(start, targets, tolerance=1e-20)
    solution.raise_for_result()
    assert np.max(solution.num_steps) == 1
    # The nearest of all matrices with these levels (Hoffman & Wielandt).
    V = np.linalg.eigh(solver.problem.structure.assemble(start))[1]
    nearest = (V * targets) @ V.transpose(0, 2, 1)
    np.testing.assert_allclose(solution.matrix, nearest, rtol=0, atol=1e-10)


def inconsistent():
    """Seven levels for six parameters."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=[7, 7, 7])
    X += X.transpose(0, 2, 1)
    targets = np.sort(rng.normal(size=7) * 4)
    starts = rng.normal(size=[20, 6])
    return ef.Problem(ef.Affine(X[:6], X[6])), starts, targets


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "method",
    [
        ef.LoewnerNewton(),
        ef.LiftAndProject(),
        ef.LiftAndProject(1.9),
        ef.LBFGS(),
        ef.LevenbergMarquardt(),
    ],
    ids=repr,
)
def test_targets_out_of_reach_end_with_the_least_squares_answer(method):
    problem, starts, targets = inconsistent()
    solver = ef.Solver(problem, method, compile="graph")
    solution = solver.fit(starts, targets)
    assert (solution.result.numpy() == ef.Result.minimum).all()
    gradient = problem.gradient(solution.parameters, np.tile(targets, [20, 1]))
    assert np.abs(gradient).max() < 2e-5
    # A minimum: the Hessian is positive definite there.
    hessian = problem.hessian(solution.parameters, np.tile(targets, [20, 1]))
    assert np.linalg.eigvalsh(hessian).min() > 0
