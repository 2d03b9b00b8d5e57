"""Errors of robust fits against Huber's formula in NumPy, and simulated."""

import numpy as np
import pytest
from scipy.stats import norm
from tests.combinations import each

import eigenfit as ef

NUMBER = 24
PLACES = 1e3 * np.arange(NUMBER)


def location(loss, scale=1.0, **how):
    """All levels of a matrix are one unknown, each beside a place of its own."""
    matrix = ef.Affine([np.eye(NUMBER)], np.diag(PLACES))
    return ef.Problem(matrix, ef.Levels(loss=loss, loss_scale=scale, **how))


def errors_of(rng, shape):
    """Normal errors, one of ten with 6 times the standard deviation."""
    wide = rng.random(shape) < 0.1
    return rng.normal(size=shape) * np.where(wide, 6.0, 1.0)


def psi(name, x):
    """Half the derivative of rho(x^2), and its derivative."""
    if name == "huber":
        return np.clip(x, -1, 1), (np.abs(x) < 1).astype(float)
    if name == "cauchy":
        return x / (1 + x**2), (1 - x**2) / (1 + x**2) ** 2
    return x / np.sqrt(1 + x**2), (1 + x**2) ** -1.5


def test_errors_are_those_of_huber():
    """Section 7.6 of Robust Statistics for one unknown that all data have in common."""

    def check(loss, sigma, scale):
        data = sigma * errors_of(np.random.default_rng(3), NUMBER)
        how = {"sigma": sigma} if sigma != 1 else {}
        problem = location(loss, scale, **how)
        fit = ef.Solver(problem, "levenberg-marquardt", compile="eager").fit(
            [np.median(data)], PLACES + data
        )
        x = (float(fit.parameters[0]) - data) / sigma / scale
        first, second = psi(loss, x)
        K = 1 + second.var() / second.mean() ** 2 / NUMBER
        error = K * np.sqrt((first**2).sum() / (NUMBER - 1)) / second.mean()
        found = fit.uncertainty().standard_errors[0]
        wanted = sigma * scale * error / NUMBER**0.5
        np.testing.assert_allclose(found, wanted, rtol=1e-6)

    each(check, loss=["soft_l1", "huber", "cauchy"], sigma=[1, 0.3], scale=[1.0, 2.0])


@pytest.mark.slow
def test_estimates_scatter_as_their_errors_say():
    """The data scatter by more than their sigma says, which errors do not believe."""

    def check(loss):
        number, sigma = 3000, 0.5
        data = errors_of(np.random.default_rng(5), [number, NUMBER])
        problem = location(loss, 1.5, sigma=sigma)
        fit = ef.Solver(problem, "levenberg-marquardt", compile="eager").fit(
            np.median(data, axis=1)[:, np.newaxis], PLACES + data
        )
        assert fit.success.all()
        errors = fit.uncertainty().standard_errors[:, 0]
        estimates = np.ravel(fit.parameters)
        held, share = np.mean(np.abs(estimates) < errors), 2 * norm.cdf(1) - 1
        assert abs(held - share) < 3 * np.sqrt(share * (1 - share) / number)
        assert np.std(estimates) > 1.5 * sigma / NUMBER**0.5

    each(check, loss=["soft_l1", "huber", "cauchy"])
