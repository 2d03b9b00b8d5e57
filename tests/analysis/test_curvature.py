"""Errors where derivatives vanish, against profiles and Hessians of SciPy and NumPy."""

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

import eigenfit as ef


@pytest.mark.parametrize("unit", [1.0, 1e-8, 1e8])
def test_a_coupling_at_zero_is_known_in_second_order(unit):
    """Its column is rounding, not a number; the loss rises with its fourth power."""
    X = np.array([[0.0, 1.0], [1.0, 0.0]])
    problem = ef.Problem(
        ef.Affine([np.diag([1.0, 0.0]), X * unit], offset=np.diag([0.0, 2.0])),
        ef.Levels(sigma=0.001),
    )
    errors = ef.uncertainty(problem, [1.0, 1e-9 / unit], [1.0, 2.0])
    assert errors.rank == 1
    assert errors.num_undetermined == 0
    assert errors.undetermined() == []

    def rise(c):
        def residual(a):
            return (np.linalg.eigvalsh([[a[0], c], [c, 2.0]]) - [1.0, 2.0]) / 0.001

        return 2 * scipy.optimize.least_squares(residual, [1.0]).cost - 1

    expected = scipy.optimize.brentq(rise, 1e-4, 0.5) / unit
    np.testing.assert_allclose(errors.standard_errors[1], expected, rtol=2e-3)


def test_the_fold_of_a_spectrum_determines_its_parameters():
    """Three levels out of reach of three springs: J is singular, the Hessian not."""
    D = np.diff(np.eye(4), axis=0)[:, 1:]
    basis = np.array([np.outer(d, d) for d in D])
    t, sigma = np.array([0.5, 2.5, 6.0]), np.array([0.01, 0.02, 0.05])
    problem = ef.Problem(ef.Affine(basis), ef.Levels(sigma=sigma))
    fit = ef.Solver(problem).fit([3.0, 1.8, 1.1], t)
    assert ef.Result(int(fit.result)) == ef.Result.minimum
    x, h = fit.parameters.numpy(), 1e-4 * np.eye(3)

    def loss(x):
        w = np.linalg.eigvalsh(np.tensordot(x, basis, 1))
        return np.sum(((w - t) / sigma) ** 2)

    def mixed(a, b):
        rises = loss(x + a + b) + loss(x - a - b) - loss(x + a - b) - loss(x - a + b)
        return rises / 4e-8

    H = np.array([[mixed(a, b) for a in h] for b in h])
    assert np.linalg.eigvalsh(H).min() > 0
    errors = fit.uncertainty()
    assert (errors.rank, errors.num_undetermined) == (2, 0)
    expected = np.sqrt(np.diag(np.linalg.inv(H / 2)))
    np.testing.assert_allclose(errors.standard_errors, expected, rtol=0.01)
    assert "family" not in fit.report()


def test_a_mode_that_agrees_wholly_is_known_in_second_order():
    """A MAC of 1 is its maximum, wherever rounding makes the fit end."""
    chain = [np.diag([1.0, 0, 0])]
    chain += [
        np.array([[1.0, -1, 0], [-1, 1, 0], [0, 0, 0]])[::k, ::k] for k in (1, -1)
    ]
    M, true = np.diag([1.0, 2.0, 1.5]), np.array([1000.0, 1500.0, 1200.0])

    def modes(r):
        return scipy.linalg.eigh(np.tensordot(r, chain, 1), M)

    w, X = modes(true)
    observed = [ef.Levels([0, 1], sigma=1.0), ef.MAC([0], [X[:, 0]], sigma=1e-4)]
    structure = ef.Generalized(ef.Affine(chain), M)
    problem = ef.Problem(structure, observations=observed)
    t = [w[0], w[1], 1.0]

    def residual(r):
        v, Y = modes(r)
        y, s = Y[:, 0], X[:, 0]
        mac = (y @ s) ** 2 / (y @ y) / (s @ s)
        return np.array([v[0] - w[0], v[1] - w[1], (mac - 1) / 1e-4])

    def rise(value):
        rest = scipy.optimize.least_squares(
            lambda y: residual(np.insert(y, 1, value)), true[[0, 2]], x_scale=1000.0
        )
        return 2 * rest.cost - 1

    expected = [scipy.optimize.brentq(rise, 1500.0, end) for end in (1300.0, 1700.0)]
    for start in (true, true * [1.001, 1.002, 0.999]):
        errors = ef.Solver(problem).fit(start, t).uncertainty()
        assert (errors.rank, errors.num_undetermined) == (2, 0)
        half = np.ptp(expected) / 2
        np.testing.assert_allclose(errors.standard_errors[1], half, rtol=0.05)


def profile_width(residual, x, k, step):
    """Half the distance of the values of a parameter where the loss rises by 1."""
    least = np.sum(residual(x) ** 2)
    ends = []
    for side in (-1, 1):

        def rise(value):
            rest = scipy.optimize.least_squares(
                lambda y: residual(np.insert(y, k, value)), np.delete(x, k), xtol=1e-14
            )
            return 2 * rest.cost - least - 1

        ends.append(scipy.optimize.brentq(rise, x[k], x[k] + side * step))
    return (ends[1] - ends[0]) / 2


COUPLED = np.array([np.eye(3), np.zeros([3, 3]), np.zeros([3, 3])])
COUPLED[1, 0, 1] = COUPLED[1, 1, 0] = COUPLED[2, 1, 2] = COUPLED[2, 2, 1] = 1
LADDER = np.diag([0.0, 1.0, 3.0])


@pytest.mark.parametrize("method", ["auto", "levenberg-marquardt"])
@pytest.mark.parametrize("seen", [(0.1, 0.95, 2.8), (0.02, 1.05, 2.9)])
def test_couplings_that_end_at_zero_leave_no_family(method, seen):
    """Wherever near 0 the fit stops, where J is as small."""
    problem = ef.Problem(ef.Affine(COUPLED, LADDER), ef.Levels(sigma=0.1))
    fit = ef.Solver(problem, method).fit([0.01, 0.3, 0.2], seen)
    found = fit.uncertainty()
    assert found.num_undetermined == 0

    def residual(x):
        A = LADDER + np.tensordot(x, COUPLED, 1)
        return (np.linalg.eigvalsh(A) - seen) / 0.1

    x = np.where(np.abs(fit.parameters) < 1e-4, 0.0, fit.parameters)
    for k in range(3):
        half = profile_width(residual, x, k, 1.0)
        np.testing.assert_allclose(found.standard_errors[k], half, rtol=0.1)


@pytest.mark.parametrize("coupling", [1e-6, 1e-4, 1e-3, 1e-2])
def test_errors_beside_an_extremum_are_those_of_the_profile(coupling):
    basis = np.array([np.eye(2), [[0.0, 1.0], [1.0, 0.0]]])
    offset = np.diag([0.0, 3.0])
    problem = ef.Problem(ef.Affine(basis, offset), ef.Levels(sigma=0.1))
    x = np.array([0.0, coupling])
    t = np.linalg.eigvalsh(offset + np.tensordot(x, basis, 1))
    errors = ef.uncertainty(problem, x, t).standard_errors

    def residual(x):
        return (np.linalg.eigvalsh(offset + np.tensordot(x, basis, 1)) - t) / 0.1

    half = profile_width(residual, x, 1, 2.0)
    np.testing.assert_allclose(errors, [0.1 / np.sqrt(2), half], rtol=0.02)


@pytest.mark.parametrize("precision", [1.0, 1e-3, 1e-5])
def test_one_precise_datum_leaves_the_errors_linear(precision):
    D = np.diff(np.eye(9), axis=0)[:, 1:]
    basis = np.array([np.outer(d, d) for d in D])
    r = np.linspace(1.0, 1.7, 8)
    w, V = np.linalg.eigh(np.tensordot(r, basis, 1))
    sigma = np.full(8, 3e-4) * [*[1.0] * 7, precision]
    problem = ef.Problem(ef.Affine(basis), ef.Levels(sigma=sigma))
    errors = ef.uncertainty(problem, r, w).standard_errors
    J = np.einsum("ai,kab,bi->ik", V, basis, V) / sigma[:, np.newaxis]
    expected = np.linalg.norm(np.linalg.inv(J), axis=1)
    np.testing.assert_allclose(errors, expected, rtol=1e-6)
