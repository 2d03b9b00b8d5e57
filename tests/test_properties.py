"""Properties that hold for all inputs, searched by hypothesis."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import zoo

import eigenfit as ef
from eigenfit_export import load_model, save_model

ORDERS = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def spectra(draw, order, least_gap=0.0):
    """Ascending levels; neighbours may coincide, exactly or nearly.

    They are 0 or above 1e-150, since a level further below a start is refused.
    """
    gaps = st.one_of(
        st.just(0.0), st.sampled_from([1e-12, 1e-9, 1e-6]), st.floats(0.05, 2.0)
    )
    first = draw(st.floats(-3, 3).filter(lambda x: x == 0 or abs(x) > 1e-150))
    steps = [max(least_gap, draw(gaps)) for _ in range(order - 1)]
    return first + np.cumsum([0.0, *steps])


def orthogonal(seed, order):
    Q, R = np.linalg.qr(np.random.default_rng(seed).normal(size=[order, order]))
    return Q * np.sign(np.diag(R))


def pack(A):
    structure = ef.Symmetric(len(A))
    return structure.disassemble(tf.constant(A))


def affine(seed, order, p):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=[p + 1, order, order])
    X = (X + X.swapaxes(1, 2)) / 2
    return ef.Affine(X[1:], X[0])


@given(order=ORDERS, p=st.integers(1, 8), seed=SEEDS)
def test_assembled_matrices_are_symmetric(order, p, seed):
    rng = np.random.default_rng(seed)
    for structure in (ef.Symmetric(order), affine(seed, order, p)):
        r = tf.constant(rng.normal(scale=10.0, size=[2, structure.num_parameters]))
        A = structure.assemble(r).numpy()
        np.testing.assert_array_equal(A, A.swapaxes(-1, -2))


@given(order=ORDERS, p=st.integers(1, 8), seed=SEEDS)
def test_pullback_is_the_adjoint_of_the_derivative(order, p, seed):
    # Both structures are affine: A(r + d) - A(r) is the derivative along d.
    rng = np.random.default_rng(seed)
    for structure in (ef.Symmetric(order), affine(seed, order, p)):
        r, d = rng.normal(size=[2, structure.num_parameters])
        G = rng.normal(size=[order, order])
        dA = structure.assemble(tf.constant(r + d)) - structure.assemble(tf.constant(r))
        pulled = structure.pullback(tf.constant(r), tf.constant(G)).numpy()
        np.testing.assert_allclose(pulled @ d, np.sum(dA * G), atol=1e-11)


@given(order=ORDERS, seed=SEEDS, data=st.data())
def test_gradient_agrees_with_finite_differences(order, seed, data):
    # Levels may coincide where their targets do: there the loss is smooth.
    w = data.draw(spectra(order))
    t = np.sort(np.random.default_rng(seed).normal(size=order))
    same = np.diff(w) < 0.05
    for i in np.flatnonzero(same):
        t[i + 1] = t[i]
    t = np.sort(t)
    Q = orthogonal(seed, order)
    problem = ef.Problem(ef.Symmetric(order))
    r = pack(Q @ np.diag(w) @ Q.T).numpy()
    # Between levels closer than the step their own kinks cancel in the sum only
    # when their targets agree, which they do here.
    expected = zoo.finite_differences(lambda x: zoo.loss(problem, x, t), r, 1e-5)
    scale = 1 + np.abs(expected).max()
    np.testing.assert_allclose(problem.gradient(r, t), expected, atol=1e-7 * scale)


@given(order=ORDERS, p=st.integers(1, 8), seed=SEEDS)
def test_jacobian_agrees_with_finite_differences(order, p, seed):
    # Single levels are smooth only where they are apart: the random matrix is
    # shifted to eigenvalues at least 0.3 apart.
    structure = affine(seed, order, p)
    shift = np.diag(np.arange(order)) * 20.0
    structure = ef.Affine(structure._basis.numpy().reshape(p, order, order), shift)
    problem = ef.Problem(structure)
    r = np.random.default_rng(seed).normal(scale=0.3, size=p)
    t = np.zeros(order)
    expected = zoo.finite_differences(lambda x: zoo.levels(problem, x), r, 1e-5)
    np.testing.assert_allclose(problem.jacobian(r, t), expected, atol=1e-7)


@given(order=ORDERS, seed=SEEDS, data=st.data())
def test_jacobian_holds_where_levels_coincide(order, seed, data):
    # A single level of a cluster has no derivative, the sum over the cluster has.
    w = data.draw(spectra(order))
    cluster = np.cumsum(np.diff(w, prepend=w[0]) >= 0.05)
    Q = orthogonal(seed, order)
    problem = ef.Problem(ef.Symmetric(order))
    r = pack(Q @ np.diag(w) @ Q.T).numpy()

    def sums(levels):
        return np.array([levels[cluster == k].sum(axis=0) for k in np.unique(cluster)])

    expected = zoo.finite_differences(lambda x: sums(zoo.levels(problem, x)), r, 1e-5)
    J = problem.jacobian(r, w).numpy()
    np.testing.assert_allclose(sums(J), expected, atol=1e-7)


@given(order=ORDERS, seed=SEEDS, data=st.data())
def test_eigenvalues_and_loss_are_invariant_under_similarity(order, seed, data):
    w = data.draw(spectra(order))
    t = np.sort(np.random.default_rng(seed).normal(size=order))
    Q = orthogonal(seed, order)
    A = np.diag(w)
    B = Q @ A @ Q.T
    np.testing.assert_allclose(ef.eigvalsh(A), w, atol=1e-13)
    np.testing.assert_allclose(ef.eigvalsh(B), w, atol=1e-13)
    loss = np.sum((w - t) ** 2)
    for X in (A, B):
        np.testing.assert_allclose(ef.spectral_loss(X, t), loss, atol=1e-11)


@given(order=ORDERS, seed=SEEDS, c=st.floats(-100, 100))
def test_a_shift_of_the_matrix_shifts_the_levels(order, seed, c):
    X = np.random.default_rng(seed).normal(size=[order, order])
    A = X + X.T
    shifted = ef.eigvalsh(A + c * np.eye(order))
    np.testing.assert_allclose(shifted, ef.eigvalsh(A) + c, atol=1e-12)
    t = np.zeros(order)
    loss = ef.spectral_loss(A + c * np.eye(order), t + c)
    np.testing.assert_allclose(loss, ef.spectral_loss(A, t), rtol=1e-10, atol=1e-10)


@given(seed=SEEDS, data=st.data())
def test_permuting_equal_targets_changes_nothing(seed, data):
    order = 4
    t = np.array([0.5, 1.0, 1.0, 1.0])
    weights = np.ones(order)
    permutation = [0, *data.draw(st.permutations([1, 2, 3]))]
    r = np.random.default_rng(seed).normal(size=10)
    A = ef.Symmetric(order).assemble(tf.constant(r))
    one = ef.spectral_loss(A, t, weights)
    two = ef.spectral_loss(A, t[permutation], weights[permutation])
    assert one == two
    observed = ef.Problem(ef.Symmetric(order), ef.Levels(permutation))
    np.testing.assert_allclose(observed.loss(tf.constant(r), t), one, rtol=1e-14)
    np.testing.assert_allclose(
        observed.gradient(r, t), ef.Problem(ef.Symmetric(order)).gradient(r, t)
    )


_PROJECT = {n: ef.Solver(ef.Problem(ef.Symmetric(n))) for n in range(1, 7)}


@given(order=ORDERS, seed=SEEDS, data=st.data())
def test_projection_is_exact_and_the_nearest(order, seed, data):
    t = data.draw(spectra(order))
    rng = np.random.default_rng(seed)
    r = rng.normal(size=order * (order + 1) // 2)
    solution = _PROJECT[order].fit(r, t, tolerance=1e-20)
    assert solution.result == ef.Result.converged
    assert solution.num_steps <= 1
    A = zoo.numpy_symmetric(r, order)
    distance = np.linalg.norm(solution.matrix - A)
    np.testing.assert_allclose(
        distance, np.linalg.norm(np.linalg.eigvalsh(A) - t), atol=1e-12
    )


_DAMPED = ef.Solver(ef.Problem(zoo.CASES[4].structure(tf.float64)))


@given(seed=SEEDS, scale=st.floats(0.01, 3.0))
def test_converged_means_that_numpy_finds_the_loss_below_the_tolerance(seed, scale):
    rng = np.random.default_rng(seed)
    r = rng.normal(size=[20, 5]) * scale
    t = np.sort(rng.normal(size=[20, 4]), axis=-1)
    solution = _DAMPED.fit(r, t, tolerance=1e-12, max_steps=40)
    loss = zoo.loss(_DAMPED.problem, solution.parameters, t)
    # An error e of a level changes a sum of squares L by 2 sqrt(L) e.
    rounding = 1e-13 * np.sqrt(loss) + 1e-26
    assert (np.abs(solution.loss - loss) <= rounding).all()
    converged = solution.result.numpy() == ef.Result.converged
    np.testing.assert_array_equal(converged, loss <= 1e-12)
    start = zoo.loss(_DAMPED.problem, r, t)
    assert (loss <= start * (1 + 1e-12)).all()


_AUTO = {
    structure.order: ef.Solver(ef.Problem(structure))
    for structure in (ef.Toeplitz(3), ef.Toeplitz(5), ef.Tridiagonal(4))
}


@pytest.mark.slow
@given(
    order=st.sampled_from(sorted(_AUTO)),
    seed=SEEDS,
    exponent=st.floats(-12, 12),
    digits=st.integers(0, 8),
    data=st.data(),
)
def test_no_start_makes_auto_lie(order, seed, exponent, digits, data):
    # Rounded starts meet points of symmetry; targets may coincide, or not be met.
    solver = _AUTO[order]
    rng = np.random.default_rng(seed)
    t = data.draw(spectra(order))
    r = rng.normal(size=[8, solver.problem.num_parameters]).round(digits)
    r *= 10.0**exponent
    tolerance = 1e-12 * max(1.0, np.abs(t).max()) ** 2
    solution = solver.fit(r, t, tolerance=tolerance, max_steps=60)
    loss = zoo.loss(solver.problem, solution.parameters, t)
    converged = solution.result.numpy() == ef.Result.converged
    # An error e of a level changes a sum of squares L by 2 sqrt(L) e.
    scale = np.abs(zoo.levels(solver.problem, solution.parameters)).max(axis=-1)
    rounding = 1e-14 * scale * np.sqrt(order * loss) + (1e-14 * scale) ** 2
    assert (loss[converged] <= tolerance + rounding[converged]).all()
    assert (loss[~converged] > tolerance - rounding[~converged]).all()
    assert (np.abs(solution.loss - loss) <= 10 * rounding).all()


@pytest.mark.slow  # tests/export has fixed cases of it
@settings(max_examples=5)
@given(order=st.integers(1, 4), seed=SEEDS)
def test_a_reloaded_solver_gives_the_same_numbers(tmp_path_factory, order, seed):
    rng = np.random.default_rng(seed)
    solver = ef.Solver(ef.Problem(ef.Symmetric(order)), ef.LevenbergMarquardt())
    loaded = load_model(save_model(solver, tmp_path_factory.mktemp("models")))
    r = rng.normal(size=[3, solver.problem.num_parameters])
    t = np.sort(rng.normal(size=[3, order]), axis=-1)
    pairs = [
        (solver.fit(r, t)[:6], loaded.fit(r, t)[:6]),
        (solver.gradient(r, t), loaded.gradient(r, t)),
        ([solver.eigenvalues(r)], [loaded.eigenvalues(r)]),
    ]
    for ours, theirs in pairs:
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x, y)
