"""Regions of two parameters against the exact rise of linear models and SciPy."""

import numpy as np
import pytest
from scipy.stats import chi2

import eigenfit as ef


def test_rises_are_those_of_the_quadratic_form():
    known = ef.Parameters(["a", "b", "c"])
    powers = [np.diag(np.arange(1.0, 7.0) ** k) for k in range(3)]
    problem = ef.Problem(ef.Affine(powers), ef.Levels(sigma=0.1), parameters=known)
    targets = np.array([1.1, 2.0, 2.9, 4.2, 4.9, 6.1])
    fit = ef.Solver(problem).fit([0.1, 1.0, 0.0], targets)
    found = ef.contours(fit, ("b", "a"), points=5)
    C = fit.uncertainty().covariance[np.ix_([1, 0], [1, 0])]
    moved = np.stack([found.x, found.y], -1) - found.best
    expected = np.einsum("...i,ij,...j->...", moved, np.linalg.inv(C), moved)
    np.testing.assert_allclose(found.rise, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found.limits, chi2.ppf([0.68, 0.95], 2))
    assert found.rise.max() > found.limits.max()
    (axes,) = found.plot().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("b", "a")
    regions = [getattr(own, "levels", []) for own in axes.collections]
    np.testing.assert_allclose(np.concatenate(regions), found.limits)
    for names in (("a", "a"), ("a",), ("a", "d")):
        with pytest.raises(ValueError, match="names"):
            ef.contours(fit, names)
    with pytest.raises(ValueError, match="points"):
        ef.contours(fit, ("a", "b"), points=2)
