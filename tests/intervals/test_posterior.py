"""Samples against the exact posterior of linear models."""

import numpy as np
import pytest
from scipy import stats

import eigenfit as ef
from eigenfit.intervals.criteria import criterion_of
from eigenfit.intervals.posterior import density_of

SLOPE, OFFSET = np.diag(np.arange(1.0, 6.0)), np.eye(5)
TARGETS = np.array([0.92, 2.17, 2.93, 4.11, 5.3])
A = np.column_stack([np.diag(SLOPE), np.diag(OFFSET)])


def fitted(sigma=None, **known):
    parameters = ef.Parameters(["a", "b"], **known)
    observed = ef.Levels(sigma=sigma)
    problem = ef.Problem(ef.Affine([SLOPE, OFFSET]), observed, parameters=parameters)
    return ef.Solver(problem).fit([1.0, 0.1], TARGETS)


def test_a_linear_model_with_a_prior_has_a_normal_posterior():
    fit = fitted(0.1, prior={"b": (0.5, 0.05)})
    found = ef.posterior(fit, 20000, seed=1)
    precision = A.T @ A / 0.01 + np.diag([0.0, 1 / 0.05**2])
    covariance = np.linalg.inv(precision)
    mean = covariance @ (A.T @ TARGETS / 0.01 + [0.0, 0.5 / 0.05**2])
    # 20000 draws with a correlation time of about 30 moves.
    scatter = np.sqrt(np.diag(covariance) * 30 / 20000)
    assert found.samples.shape == (20000, 2)
    assert (abs(found.samples.mean(axis=0) - mean) < 5 * scatter).all()
    np.testing.assert_allclose(np.cov(found.samples.T), covariance, rtol=0.15)
    assert 0.4 < found.acceptance < 0.9
    low, middle, high = found.quantiles()["a"]
    assert low < middle < high
    rows = [row for row in found.section().rows if row[0] == "a"]
    shown = [f"{middle:.8g}", f"{low - middle:+.3g}", f"{high - middle:+.3g}"]
    independent = 20000 / found.correlation_time[0]
    assert rows == [("a", *shown, f"{independent:.0f}")]
    assert shown[0] in str(found)
    assert shown[0] in found._repr_html_()


def test_unknown_scatter_is_integrated_out():
    fit = fitted()
    found = ef.posterior(fit, 40000, seed=2)
    # Student's distribution with N - 2 degrees of freedom, as for a flat log scatter.
    r, squares = np.linalg.lstsq(A, TARGETS)[:2]
    error = np.sqrt(np.linalg.inv(A.T @ A)[0, 0] * squares[0] / 3)
    exact = stats.t(3, r[0], error)
    shares = np.array([0.16, 0.5, 0.84])
    np.testing.assert_allclose(
        exact.cdf(found.quantiles(*shares)["a"]), shares, atol=0.02
    )


def test_a_free_shift_is_no_datum():
    """The density where the scatter is integrated out, without sampling its tails."""
    problem = ef.Problem(ef.Affine([SLOPE]), ef.FreeShift(ef.Levels()))
    fit = ef.Solver(problem).fit([1.0], TARGETS)
    points = np.array([[1.0], [1.3]])
    first, second = density_of(fit, criterion_of(fit))(points)
    squares = [
        np.sum((x - x.mean()) ** 2)
        for x in (r * np.diag(SLOPE) - TARGETS for r in points[:, 0])
    ]
    # 5 levels less the shift.
    np.testing.assert_allclose(
        second - first, -4 / 2 * np.log(squares[1] / squares[0]), rtol=1e-12
    )


def test_draws_stay_inside_the_bounds_and_are_those_of_their_seed():
    fit = fitted(0.3, bounds={"b": (0.0, None)})
    one, again = (ef.posterior(fit, 640, seed=3).samples for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert (one[:, 1] >= 0).all()
    assert not np.array_equal(one, ef.posterior(fit, 640, seed=4).samples)


def test_what_has_no_end_is_refused():
    both = ef.Affine([SLOPE, 2 * SLOPE])
    problem = ef.Problem(both, ef.Levels(sigma=0.1))
    fit = ef.Solver(problem).fit([0.5, 0.2], TARGETS)
    with pytest.raises(ValueError, match=r"do not determine r0 - 0\.5 r1"):
        ef.posterior(fit, 100)
    with pytest.raises(ValueError, match="positive integer"):
        ef.posterior(fitted(0.1), 0)
