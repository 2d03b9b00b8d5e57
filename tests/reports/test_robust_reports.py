"""Robust fits are reported with their outliers and without what is Gaussian."""

import csv
import re

import numpy as np
import pytest
from tests.combinations import each

import eigenfit as ef

LOSSES = ("soft_l1", "huber", "cauchy")
RISE = np.arange(6.0)
# A line 1 + 2 k, with a deviation of 8 standard deviations at k = 3.
TARGETS = 1 + 2 * RISE + 0.1 * np.array([0.4, -0.3, 0.2, 8.0, -0.5, 0.3])


def fitted(loss, sigma=0.1):
    how = {"sigma": sigma} if sigma else {"loss_scale": 0.1}
    problem = ef.Problem(
        ef.Affine([np.eye(6), np.diag(RISE)]), ef.Levels(loss=loss, **how)
    )
    solver = ef.Solver(problem, "levenberg-marquardt", compile="eager")
    return solver.fit([1.1, 1.9], TARGETS)


def words(text):
    """The first words of the lines above the first heading."""
    return [line.split()[0] for line in text.partition("\n\n")[0].splitlines()]


def test_outliers_stand_in_every_form_of_the_report(tmp_path):
    def check(loss, sigma):
        fit = fitted(loss, sigma)
        assert fit.success
        text = fit.report(width=120)
        found = "Fit      robust loss, 1 outlier among 6 data: level 3"
        assert text.splitlines()[1] == found
        flagged = [x.split()[:2] for x in text.splitlines() if x.endswith("  outlier")]
        assert flagged == [["level", "3"]]
        flags = ["", "", "", "outlier", "", ""]
        assert fit.to_frame("data")["flag"].tolist() == flags
        document = fit.to_dict()
        assert [row["flag"] for row in document["data"]] == flags
        assert (document["outliers"], document["losses"]) == (["level 3"], [loss])
        page, table = tmp_path / "fit.html", tmp_path / "fit.csv"
        fit.write_report(page)
        assert page.read_text("utf-8").count(">outlier</td>") == 1
        assert "1 outlier among 6 data" in page.read_text("utf-8")
        fit.write_report(table)
        with table.open() as file:
            rows = [x["note"] for x in csv.DictReader(file) if x["kind"] == "datum"]
        assert rows == flags
        fit.save(tmp_path / "a.fit")
        again = ef.load(tmp_path / "a.fit")
        assert again.report() == fit.report()
        assert again.to_dict() == document

    each(check, loss=LOSSES, sigma=[0.1, None])


def test_no_number_of_gaussian_errors_is_given():
    def check(loss, sigma):
        fit = fitted(loss, sigma)
        assert np.isnan([fit.chi_square, fit.aic, fit.bic]).all()
        document = fit.to_dict()
        given = [document[x] for x in ("chi_square", "probability", "aic", "bic")]
        assert given == [None] * 4
        shown = fit.report(width=140)
        assert words(shown) == ["Result", "Fit", "Note", "Loss", "Problem", "Method"]
        assert shown.startswith("Result   minimum after")
        why = (
            "Chi-square, p, AIC and BIC are for Gaussian errors, which the robust "
            f"loss ({loss}) does not assume."
        )
        assert document["note"] == why
        assert shown.count(why) == fit._repr_html_().count(why) == 1
        rest = shown.replace(why, "") + fit._repr_html_().replace(why, "")
        assert not re.search(r"chi-square|p = |AIC|scatter", rest, re.IGNORECASE)

    each(check, loss=LOSSES, sigma=[0.1, None])


def test_squares_are_reported_as_before():
    fit = fitted("linear")
    text = fit.report()
    assert words(text)[:2] == ["Result", "Fit"]
    assert "Note" not in words(text)
    assert "AIC" in words(text)
    assert re.search(r"chi-square [\d.]+ for 4 degrees of freedom", text)
    A = np.column_stack([np.ones(6), RISE])
    missed = A @ np.linalg.lstsq(A, TARGETS)[0] - TARGETS
    far = np.abs(missed) > 0.5
    assert far.any()
    np.testing.assert_array_equal(fit.to_frame("data")["flag"] == "outlier", far)
    assert fit.to_dict()["note"] == ""
    alone = fitted("linear", None)
    assert alone.to_dict()["outliers"] == []
    assert "scatter of data" in alone.report()


def test_one_robust_observation_is_enough_to_have_no_chi_square():
    """Data with standard deviations are flagged by these, whatever their loss is."""
    matrix = ef.Affine([np.eye(6), np.diag(RISE)])
    observed = [
        ef.Levels(range(3), sigma=0.1, loss="huber"),
        ef.Levels(range(3, 6), sigma=0.1),
    ]
    problem = ef.Problem(matrix, observations=observed)
    targets = 1 + 2 * RISE
    targets[1] += 2.0 - 1e-9
    targets[5] -= 0.6
    values = np.array([1.0, 2.0])
    fit = ef.Solver(problem, compile="eager").fit(values, targets, max_steps=0)
    record = fit.record()
    np.testing.assert_allclose(record.values, 1 + 2 * RISE)
    assert record.outlier_names == ["level 1", "level 5"]
    assert fit.to_dict()["losses"] == ["huber", "linear"]
    assert "(huber)" in record.note
    assert record.agreement is None


@pytest.mark.parametrize("number", [6, 7])
def test_only_some_of_many_outliers_are_named(number):
    matrix = ef.Affine([np.eye(9)], np.diag(10.0 * np.arange(9)))
    problem = ef.Problem(matrix, ef.Levels(sigma=0.1, loss="cauchy"))
    targets = 10.0 * np.arange(9) + 1
    targets[:number] += 3.0
    fit = ef.Solver(problem, compile="eager").fit([1.0], targets, max_steps=0)
    (line,) = [x for x in fit.report(width=200).splitlines() if x.startswith("Fit")]
    named = ", ".join(f"level {k}" for k in range(6)) + ", ..." * (number > 6)
    assert line == f"Fit      robust loss, {number} outliers among 9 data: {named}"
