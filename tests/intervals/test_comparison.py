"""Models of the same data compared, against formulas in NumPy and lmfit's F-test."""

import numpy as np
import pytest
from scipy import stats

import eigenfit as ef

TARGETS = np.array([0.92, 2.17, 2.93, 4.11, 5.3])
SLOPE, OFFSET = np.diag(np.arange(1.0, 6.0)), np.eye(5)
CURVE = np.diag(np.arange(1.0, 6.0) ** 2)


def fitted(*basis, sigma=None, targets=TARGETS):
    problem = ef.Problem(ef.Affine(list(basis)), ef.Levels(sigma=sigma))
    return ef.Solver(problem).fit([1.0, 0.1, 0.1][: len(basis)], targets)


def squares(*columns):
    A = np.column_stack([np.diag(B) for B in columns])
    return float(np.linalg.lstsq(A, TARGETS)[1][0])


def test_criteria_and_tests_without_standard_deviations():
    fits = {"line": fitted(SLOPE, OFFSET), "ray": fitted(SLOPE)}
    found = ef.compare(fits, nested=True)
    S = {"ray": squares(SLOPE), "line": squares(SLOPE, OFFSET)}
    unknowns = {"ray": 1, "line": 2}
    aic = {k: 5 * np.log(S[k] / 5) + 2 * unknowns[k] for k in S}
    bic = {k: 5 * np.log(S[k] / 5) + np.log(5) * unknowns[k] for k in S}
    assert found.names == tuple(sorted(S, key=aic.get))
    for k, name in enumerate(found.names):
        np.testing.assert_allclose(found.chi_square[k], S[name], rtol=1e-9)
        np.testing.assert_allclose(found.aic[k], aic[name], rtol=1e-9)
        np.testing.assert_allclose(found.bic[k], bic[name], rtol=1e-9)
    ratio = (S["ray"] - S["line"]) / (S["line"] / 3)
    line = found.names.index("line")
    np.testing.assert_allclose(found.f_ratio[line], ratio, rtol=1e-7)
    np.testing.assert_allclose(
        found.probability[line], stats.f.sf(ratio, 1, 3), rtol=1e-7
    )
    assert np.isnan(found.f_ratio[1 - line])
    np.testing.assert_allclose(found.weights.sum(), 1)


def test_known_standard_deviations_are_compared_by_chi_square():
    fits = {"ray": fitted(SLOPE, sigma=0.1), "curve": fitted(SLOPE, CURVE, sigma=0.1)}
    found = ef.compare(fits, nested=True)
    falls = (squares(SLOPE) - squares(SLOPE, CURVE)) / 0.01
    curve = found.names.index("curve")
    np.testing.assert_allclose(
        found.probability[curve], stats.chi2.sf(falls, 1), rtol=1e-7
    )
    np.testing.assert_allclose(
        found.aic[curve], squares(SLOPE, CURVE) / 0.01 + 4, rtol=1e-9
    )
    assert "curve" in str(found)


def test_what_cannot_be_compared_is_refused():
    ray, line = fitted(SLOPE), fitted(SLOPE, OFFSET)
    with pytest.raises(ValueError, match="at least two"):
        ef.compare({"ray": ray})
    with pytest.raises(ValueError, match=r"fits\['other'\]. has other targets"):
        ef.compare({"ray": ray, "other": fitted(SLOPE, targets=TARGETS + 0.1)})
    with pytest.raises(ValueError, match="has other targets, weights"):
        ef.compare({"ray": ray, "sigma": fitted(SLOPE, sigma=0.1)})
    exact = fitted(SLOPE, targets=np.arange(1.0, 6.0))
    other = fitted(SLOPE, OFFSET, targets=np.arange(1.0, 6.0))
    with pytest.raises(ValueError, match="no AIC"):
        ef.compare({"exact": exact, "other": other})
    assert ef.compare({"ray": ray, "line": line}).f_ratio.shape == (2,)


def test_a_robust_loss_is_no_likelihood(tmp_path):
    problem = ef.Problem(
        ef.Affine([SLOPE]), ef.Levels(sigma=0.1, loss="cauchy", loss_scale=3)
    )
    fit = ef.Solver(problem, compile="eager").fit([1.0], TARGETS)
    assert fit.success
    fit.save(tmp_path / "robust.fit")
    for robust in (fit, ef.load(tmp_path / "robust.fit")):
        with pytest.raises(
            ValueError,
            match=r"`fits\['wide'\]` has the robust loss 'cauchy' in observation 0 "
            r"\(levels, from 'level 0' on\)",
        ):
            ef.compare({"ray": fitted(SLOPE, sigma=0.1), "wide": robust})


def test_a_prior_is_a_datum_and_mixed_errors_have_no_criterion():
    known = ef.Parameters(["a", "b"], prior={"b": (0.0, 1.0)})
    structure = ef.Affine([SLOPE, OFFSET])
    problem = ef.Problem(structure, ef.Levels(sigma=0.1), parameters=known)
    prior = ef.Solver(problem).fit([1.0, 0.1], TARGETS)
    with pytest.raises(ValueError, match="has other targets, weights or priors"):
        ef.compare({"plain": fitted(SLOPE, OFFSET, sigma=0.1), "prior": prior})
    low, high = ef.Levels([0, 1], sigma=0.1), ef.Levels([2, 3, 4])
    mixed = ef.Problem(structure, observations=[low, high])
    fit = ef.Solver(mixed).fit([1.0, 0.1], TARGETS)
    assert fit.success
    assert np.isnan([fit.aic, fit.bic]).all()
    assert "AIC" not in fit.report()


@pytest.mark.parametrize(
    "other", [{"b": (0.0, 1.0)}, {"a": (1.1, 0.1)}, {"a": (1.0, 0.2)}]
)
def test_other_priors_are_other_data(other):
    def fit(*basis, prior):
        names = list("abc")[: len(basis)]
        known = ef.Parameters(names, prior=prior)
        problem = ef.Problem(
            ef.Affine(list(basis)), ef.Levels(sigma=0.1), parameters=known
        )
        return ef.Solver(problem).fit(np.ones(len(basis)), TARGETS)

    small = fit(SLOPE, OFFSET, prior={"a": (1.0, 0.1)})
    same = fit(SLOPE, OFFSET, CURVE, prior={"a": (1.0, 0.1)})
    assert ef.compare({"small": small, "large": same}).names
    different = fit(SLOPE, OFFSET, CURVE, prior=other)
    with pytest.raises(ValueError, match="other targets, weights or priors"):
        ef.compare({"small": small, "large": different})


def test_a_larger_model_that_fits_worse_is_not_nested():
    fits = {"ray": fitted(SLOPE, sigma=0.1), "other": fitted(CURVE, OFFSET, sigma=0.1)}
    assert fits["other"].chi_square > fits["ray"].chi_square
    with pytest.raises(ValueError, match="has more unknowns than `fits"):
        ef.compare(fits, nested=True)
