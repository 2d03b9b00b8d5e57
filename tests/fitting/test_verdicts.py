"""What a fit says of itself: minima, local minima, steps, one descent or several."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import tensorflow as tf
from tests import giant_spin, zoo

import eigenfit as ef
from eigenfit.gallery import load

METHODS = ["auto", "levenberg-marquardt", "gauss-newton"]


def _name(solution):
    return ef.Result(int(solution.result)).name


@pytest.mark.parametrize("method", METHODS)
def test_levels_rounded_to_two_digits_are_a_minimum(method):
    targets = np.round(giant_spin.levels(giant_spin.FITTED), 2)[1:]
    problem = ef.Problem(ef.Affine(giant_spin.operators()), ef.RelativeTo(0))
    start, size = giant_spin.START, np.abs(giant_spin.START)
    solution = ef.Solver(problem, method).fit(start, targets)
    assert _name(solution) == "minimum"
    assert solution.success
    assert solution.raise_for_result() is solution
    assert int(solution.num_steps) <= 15
    reference = scipy.optimize.least_squares(
        lambda x: giant_spin.levels(x * size)[1:] - targets,
        start / size,
        method="lm",
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    np.testing.assert_allclose(solution.loss, 2 * reference.cost, rtol=1e-8)
    # The sign of B22 is free.
    found = np.abs(solution.parameters.numpy() / size)
    np.testing.assert_allclose(found, np.abs(reference.x), rtol=1e-5)


def _measured(noise, sigma, number=5, p=2, seed=0):
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=[p, number, number])
    basis = basis + np.swapaxes(basis, 1, 2)
    truth = 1 + 0.3 * rng.normal(size=p)
    w = np.linalg.eigvalsh(np.tensordot(truth, basis, 1))
    targets = w + noise * rng.normal(size=number)
    problem = ef.Problem(ef.Affine(basis), ef.Levels(sigma=sigma))
    return problem, truth, targets


@pytest.mark.slow
def test_more_targets_than_unknowns_end_at_a_minimum():
    problem, start, targets = _measured(0.01, None)
    assert problem.is_least_squares
    for method in [*METHODS, "newton", "loewner-newton", "lbfgs"]:
        solution = ef.Solver(problem, method).fit(start, targets)
        assert _name(solution) == "minimum", method
        gradient = zoo.finite_differences(
            lambda r: zoo.loss(problem, r, targets), solution.parameters.numpy(), 1e-5
        )
        assert np.abs(gradient).max() <= 1e-6


def test_as_many_unknowns_as_targets_miss_them_at_a_local_minimum():
    # Off-diagonal entries of 1 keep two levels apart by 2 at least.
    problem = ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]]))
    assert not problem.is_least_squares
    solution = ef.Solver(problem, "levenberg-marquardt").fit([0.3, 0.5], [0.0, 1.0])
    assert _name(solution) == "stationary"
    assert not solution.success
    np.testing.assert_allclose(solution.loss, 0.5, rtol=1e-9)
    with pytest.raises(ef.FitError, match="local minimum that is not good enough"):
        solution.raise_for_result()
    # The same targets with errors are data.
    data = ef.Problem(problem.structure, ef.Levels(sigma=0.1))
    assert data.is_least_squares
    solution = ef.Solver(data, "levenberg-marquardt").fit([0.3, 0.5], [0.0, 1.0])
    assert _name(solution) == "minimum"


@pytest.mark.sample(1)
@pytest.mark.parametrize("way", ["graph", "xla", "eager"])
def test_a_saddle_is_no_minimum(way):
    # Couplings enter by their squares: at 0 the gradient by them vanishes.
    coupling = np.zeros([1, 3, 3])
    coupling[0, 0, 1] = coupling[0, 1, 0] = 1
    problem = ef.Problem(ef.Affine(coupling, np.diag([0.0, 1.0, 3.0])))
    method = ef.LevenbergMarquardt()
    # No step leaves it by itself; two levels of three would move.
    solution = ef.Solver(problem, method, compile=way).fit([0.0], [-0.3, 1.3, 3.1])
    np.testing.assert_array_equal(solution.parameters, [0.0])
    assert _name(solution) == "stationary"
    solution = ef.Solver(problem, method, compile=way).fit([0.5], [-0.3, 1.3, 3.1])
    assert _name(solution) == "minimum"


@pytest.mark.sample(2)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sigma", [1e-4, 1e-6])
def test_errors_far_below_the_levels(method, sigma):
    problem, start, targets = _measured(0.0, sigma)
    big = ef.Problem(ef.Affine(problem.structure.basis * 1e6), ef.Levels(sigma=sigma))
    w = np.linalg.eigvalsh(np.tensordot(start, problem.structure.basis * 1e6, 1))
    targets = w + sigma * np.random.default_rng(1).normal(size=len(w))
    solution = ef.Solver(big, method).fit(start * 1.02, targets)
    assert _name(solution) == "minimum"
    # Linear at the answer: what is left is what no parameter explains, less rounding.
    V = np.linalg.eigh(np.tensordot(start, problem.structure.basis, 1))[1]
    J = np.einsum("ji,pjk,ki->ip", V, problem.structure.basis, V)
    e = (targets - w) / sigma
    expected = np.sum((e - J @ np.linalg.lstsq(J, e, rcond=None)[0]) ** 2)
    hidden = 20 * np.finfo(float).eps * np.abs(w).max() / sigma
    assert abs(float(solution.loss) - expected) <= 0.02 * expected + hidden


def test_degenerate_levels_measured_apart_are_a_minimum():
    # Kramers doublets: each level twice, whatever the parameters are.
    rng = np.random.default_rng(4)
    half = rng.normal(size=[2, 3, 3])
    half = half + np.swapaxes(half, 1, 2)
    basis = np.array([np.kron(A, np.eye(2)) for A in half])
    w = np.repeat(np.linalg.eigvalsh(half.sum(axis=0)), 2)
    targets = np.sort(w + 0.01 * rng.normal(size=6))
    problem = ef.Problem(ef.Affine(basis), ef.Levels(sigma=0.01))
    solution = ef.Solver(problem).fit([1.1, 0.9], targets)
    assert _name(solution) == "minimum"
    means = targets.reshape(3, 2).mean(axis=1)
    reference = scipy.optimize.least_squares(
        lambda r: np.linalg.eigvalsh(np.tensordot(r, half, 1)) - means, [1.1, 0.9]
    )
    np.testing.assert_allclose(solution.parameters, reference.x, atol=1e-6)


def test_priors_count_as_data():
    rng = np.random.default_rng(1)
    basis = rng.normal(size=[4, 4, 4])
    basis = (basis + np.swapaxes(basis, 1, 2)) / 2
    truth = rng.normal(size=4)
    targets = np.linalg.eigvalsh(np.tensordot(truth, basis, 1))[:2] + 0.1
    mean = truth + 0.3
    known = ef.Parameters(prior={f"r{k}": (mean[k], 0.5) for k in range(4)})
    problem = ef.Problem(ef.Affine(basis), ef.Levels([0, 1]), parameters=known)
    assert problem.num_data == 6
    solution = ef.Solver(problem).fit(mean, targets)
    assert _name(solution) == "minimum"
    alone = ef.Solver(problem, "levenberg-marquardt").fit(mean, targets)
    assert int(solution.num_steps) <= int(alone.num_steps) + 3

    def residuals(r):
        w = np.linalg.eigvalsh(np.tensordot(r, basis, 1))[:2]
        return np.concatenate([w - targets, (r - mean) / 0.5])

    reference = scipy.optimize.least_squares(residuals, mean, xtol=1e-14, ftol=1e-14)
    np.testing.assert_allclose(solution.loss, 2 * reference.cost, rtol=1e-8)


def test_a_smooth_potential_from_its_lowest_levels():
    # -u'' + q u with q = e^x on 49 points, from 15 levels.
    points, h = 49, np.pi / 50
    x = h * np.arange(1, points + 1)
    laplacian = (2 * np.eye(points) - np.eye(points, k=1) - np.eye(points, k=-1)) / h**2
    basis = np.zeros([points] * 3)
    basis[np.arange(points), np.arange(points), np.arange(points)] = 1
    targets = np.linalg.eigvalsh(laplacian + np.diag(np.exp(x)))[:15]
    names = [f"q{k}" for k in range(points)]
    known = ef.Parameters(names, prior=ef.smoothness(names, sigma=0.05))
    problem = ef.Problem(
        ef.Affine(basis, laplacian), ef.Levels(range(15), sigma=1e-3), parameters=known
    )
    solution = ef.Solver(problem).fit(np.linspace(1.0, 20.0, points), targets)
    assert _name(solution) == "minimum"
    assert int(solution.num_steps) <= 12
    differences = np.diff(np.eye(points), 2, axis=0) / 0.05

    def residuals(q):
        w = np.linalg.eigvalsh(laplacian + np.diag(q))[:15]
        return np.concatenate([(w - targets) / 1e-3, differences @ q])

    def jacobian(q):
        V = np.linalg.eigh(laplacian + np.diag(q))[1][:, :15]
        return np.concatenate([V.T**2 / 1e-3, differences])

    reference = scipy.optimize.least_squares(
        residuals, np.exp(x), jacobian, xtol=1e-14, ftol=1e-14, gtol=1e-14
    )
    np.testing.assert_allclose(solution.loss, 2 * reference.cost, rtol=1e-6)


SYMMETRIC = [
    (1, 0, 0, 0),
    pytest.param((1, 0.5, 0.1, 0), marks=pytest.mark.slow),
    pytest.param((1, 0.5, 0, 0), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("start", SYMMETRIC)
def test_angles_at_their_symmetric_values(start):
    def ring(r):
        t, v, theta, phi = tf.unstack(r, axis=-1)
        diagonal, zero = v * tf.cos(theta), tf.zeros_like(t)
        real = t * (1 + tf.cos(phi)) / 2
        imaginary = t * tf.sin(phi) / 2
        A = [
            [tf.complex(diagonal, zero), tf.complex(real, imaginary)],
            [tf.complex(real, -imaginary), tf.complex(-diagonal, zero)],
        ]
        return tf.stack([tf.stack(row, -1) for row in A], -2)

    structure = ef.Parametric(ring, 2, 4, tf.complex128)
    true = tf.constant([1.2, 0.7, 0.3, 0.4], tf.float64)
    targets = np.linalg.eigvalsh(structure.assemble(true).numpy())
    for method in ("auto", "levenberg-marquardt"):
        solver = ef.Solver(ef.Problem(structure), method)
        solution = solver.fit(np.array(start, float), targets)
        assert _name(solution) == "converged"
        assert int(solution.num_steps) <= 8
        # No step of rounding noise.
        assert np.abs(solution.parameters).max() < 10


@pytest.mark.parametrize("seed", range(3))
def test_equal_targets_of_a_ring(seed):
    bonds = np.zeros([8, 8, 8])
    for k in range(8):
        bonds[k, k, (k + 1) % 8] = bonds[k, (k + 1) % 8, k] = -1
    targets = np.sort(-2 * np.cos(np.pi * np.arange(8) / 4)).round(12)
    start = 1 + 0.2 * np.random.default_rng(seed).normal(size=8)
    solution = ef.Solver(ef.Problem(ef.Affine(bonds))).fit(start, targets)
    assert _name(solution) == "converged"
    assert int(solution.num_steps) <= 24
    w = np.linalg.eigvalsh(np.tensordot(solution.parameters.numpy(), bonds, 1))
    np.testing.assert_allclose(w, targets, atol=1e-8)


def test_a_multiple_level_beside_few_others():
    entry = load("fno-multiple-5")
    solution = ef.Solver(entry.problem).fit(entry.initial, entry.targets)
    assert _name(solution) == "converged"


def _bounded_beam():
    # Four stiffness factors of a cantilever of eight Hermite elements, m = EI = 1.
    elements, h = 8, 1 / 8
    k = np.array([[12, 6, -12, 6], [6, 4, -6, 2], [-12, -6, 12, -6], [6, 2, -6, 4]])
    m = np.array(
        [[156, 22, 54, -13], [22, 4, 13, -3], [54, 13, 156, -22], [-13, -3, -22, 4]]
    )
    units = np.array([1, h, 1, h])
    n = 2 * (elements + 1)
    K, M = np.zeros([4, n, n]), np.zeros([n, n])
    for e in range(elements):
        own = slice(2 * e, 2 * e + 4)
        K[e // 2, own, own] += k * np.outer(units, units) / h**3
        M[own, own] += m * np.outer(units, units) * h / 420
    K, M = K[:, 2:, 2:], M[2:, 2:]
    w = scipy.linalg.eigh(np.tensordot([1.0, 0.9, 1.2, 0.8], K, 1), M)[0][:6]
    f = np.sqrt(w) / (2 * np.pi)
    noise = np.random.default_rng(0).normal(size=6)
    return K, M, f * (1 + 0.01 * noise), 0.01 * f


@pytest.mark.sample(2)
@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
@pytest.mark.parametrize("has_sigma", [True, False])
@pytest.mark.parametrize("highest", [1.05, pytest.param(0.9, marks=pytest.mark.slow)])
def test_fits_that_lie_on_a_bound_end_there(method, has_sigma, highest):
    K, M, targets, sigma = _bounded_beam()
    observed = ef.Frequencies(range(6), sigma=sigma if has_sigma else None)
    known = ef.Parameters(bounds=(0.1, highest))
    structure = ef.Generalized(ef.Affine(K), M)
    problem = ef.Problem(structure, observed, parameters=known)
    solver = ef.Solver(problem, method)
    solution = solver.fit(np.full(4, 0.7), targets, record_every=1)
    assert _name(solution) == "minimum"
    assert (problem.on_bounds(solution.parameters).numpy() == 1).any()
    loss = solution.history.loss.numpy()
    flat = int(np.argmax(loss <= loss[-1] * (1 + 1e-12)))
    assert int(solution.num_steps) <= flat + 3
    roots = problem.roots()

    def residuals(r):
        w = scipy.linalg.eigh(np.tensordot(r, K, 1), M, eigvals_only=True)[:6]
        return roots * (np.sqrt(w) / (2 * np.pi) - targets)

    reference = scipy.optimize.least_squares(
        residuals, np.full(4, 0.7), bounds=(0.1, highest), xtol=1e-14, ftol=1e-14
    )
    assert solution.loss <= 2 * reference.cost * (1 + 1e-6)


def test_rounding_of_the_levels_does_not_meet_a_tolerance():
    """In single precision levels of 1e3 are known to 2e-4, their loss to 6e-8."""
    structure = ef.Symmetric(3, dtype="float32")
    solver = ef.Solver(ef.Problem(structure), ef.Alternating())
    targets = np.array([1.0e3, 1.1e3, 1.3e3], np.float32)
    starts = 1e3 * np.random.default_rng(0).uniform(0.5, 1.5, [200, 6])
    solution = solver.fit(starts.astype(np.float32), targets, tolerance=1e-8)
    r = solution.parameters.numpy().astype(np.float64)
    levels = np.linalg.eigvalsh(ef.Symmetric(3).assemble(r))
    losses = np.sum((levels - targets) ** 2, axis=1)
    met = solution.result.numpy() == ef.Result.converged
    assert ((losses <= 1e-8) | (solution.loss.numpy() == 0))[met].all()
    assert losses.max() < 1e-6


def test_a_saddle_of_one_downward_direction_is_no_minimum():
    """Along a the loss is least at 0; a coupling c, of either sign, would lower it."""
    bases = [[[1.0, 0], [0, 0]], [[0.0, 1], [1, 0]]]
    structure = ef.Affine(bases, [[0.0, 0], [0, 2.0]])
    problem = ef.Problem(structure, ef.Levels(sigma=1.0))
    solution = ef.Solver(problem, ef.LevenbergMarquardt()).fit([0.5, 0.0], [0.0, 3.0])
    np.testing.assert_allclose(solution.parameters, [0, 0], atol=1e-6)
    w = np.linalg.eigvalsh(problem.hessian([0.0, 0.0], [0.0, 3.0]))
    assert w[0] < -0.1 < 0.1 < w[1]
    assert solution.result == ef.Result.stationary


@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
@pytest.mark.parametrize("sigma", [0.1, None])
def test_a_parameter_that_ran_off_meets_nothing(method, sigma):
    """Its matrix is so large that rounding of the levels exceeds the residual.

    In the limit the levels are those of the first matrix projected off the ones vector;
    no multiple of them meets the targets to better than 3 sigma.
    """
    basis = np.array([np.diag(np.arange(6.0)), np.full([6, 6], 0.3)])
    t = np.array([0.641478922, 1.218332031, 2.14496113, 3.226438075, 4.512427275])
    Q = np.linalg.svd(np.ones([1, 6]))[2][1:]
    limit = np.linalg.eigvalsh(Q @ basis[0] @ Q.T)
    missed = limit @ t / (limit @ limit) * limit - t
    assert np.abs(missed).max() > 0.3
    problem = ef.Problem(ef.Affine(basis), ef.Levels(range(5), sigma=sigma))
    fit = ef.Solver(problem, method).fit([1.0, 0.5], t, max_steps=3000)
    assert not fit.success
    assert "targets are met" not in fit.report()
