"""Reports as text and HTML."""

import numpy as np
import pytest

import eigenfit as ef
from eigenfit.reports.numbers import format_array


def test_small_numbers_are_not_printed_as_zero():
    assert format_array(np.array([1e-9, 2e-9])) == "  1.e-09 2.e-09"
    assert format_array(np.array([1.0, -1e-17])) == "  1. 0."


LINES = ef.Problem(
    ef.Affine([np.diag([0.0, 1.0, 3.0]), np.diag([1.0, 2.0, 0.0])]),
    ef.Differences(
        [(1, 0), (2, 0), (2, 1)],
        sigma=[0.1, 0.1, 0.2],
        labels=["1 <- 0", "2 <- 0", "2 <- 1"],
        unit="GHz",
    ),
)


def test_labels_and_units_reach_every_report(tmp_path):
    fit = ef.Solver(LINES).fit([1.0, 0.2], [1.3, 2.9, 1.5])
    text = fit.report()
    assert "Targets in GHz" in text
    assert "2 <- 1" in text
    assert "level 1 - level 0" not in text
    assert list(fit.residuals) == ["1 <- 0", "2 <- 0", "2 <- 1"]
    datum = fit.to_dict()["data"][0]
    assert (datum["name"], datum["unit"]) == ("1 <- 0", "GHz")
    assert "2 &lt;- 1" in fit._repr_html_()
    fit.write_report(tmp_path / "a.csv")
    assert "datum,1 <- 0,GHz," in (tmp_path / "a.csv").read_text()
    fit.save(tmp_path / "a.fit")
    assert ef.load(tmp_path / "a.fit").report() == text
    assert fit.plot().axes[-1].get_xlabel() == "observed value / GHz"


def test_what_is_measured_twice_keeps_both_residuals():
    levels = ef.Levels([0], sigma=0.1)
    problem = ef.Problem(ef.Affine([np.eye(2)]), observations=[levels, levels, levels])
    fit = ef.Solver(problem).fit([1.0], [0.9, 1.0, 1.4])
    assert list(fit.residuals) == ["level 0", "level 0 (2)", "level 0 (3)"]
    np.testing.assert_allclose(list(fit.residuals.values()), [0.2, 0.1, -0.3])


def test_several_units_stand_beside_their_data():
    frame = ef.Generalized(
        ef.Affine([np.diag([1.0, 2.0]), np.diag([1.0, 3.0])]), np.eye(2)
    )
    observed = [ef.Levels(unit="1/s^2", labels=["first", "second"])]
    observed += [ef.Frequencies([0], unit="Hz")]
    problem = ef.Problem(frame, observations=observed)
    fit = ef.Solver(problem).fit([1.0, 1.0], [2.1, 5.2, 0.23])
    lines = fit.report().splitlines()
    first, last = (next(x for x in lines if name in x) for name in ("first", "freq"))
    assert "1/s^2" in first
    assert "Hz" not in first
    assert "Hz" in last
    assert not any(line.startswith("Targets in") for line in lines)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"labels": ["a", "a", "b"]}, "'a' twice"),
        ({"labels": "abc"}, "must be a list of texts"),
        ({"labels": ["a", ""]}, "must be a list of texts"),
        ({"unit": 3}, "`unit` must be a text"),
    ],
)
def test_labels_and_units_that_are_none(options, text):
    with pytest.raises(ValueError, match=text):
        ef.Levels(**options)


def test_as_many_labels_as_targets():
    with pytest.raises(ValueError, match="`labels` has 2 texts for 3 targets"):
        ef.Problem(ef.Symmetric(3), ef.Levels(labels=["a", "b"]))


def test_data_that_are_met_tell_of_no_errors(tmp_path):
    """Rounding is no scatter, and a parameter inside its bounds is not at one."""
    basis = [np.eye(3), np.diag([0.0, 1.0, 2.0])]
    for rows, unknowns in ((basis, 2), ([*basis, np.diag([0.0, 1.0, 4.0])], 3)):
        known = ef.Parameters(bounds=(-9.0, 9.0))
        problem = ef.Problem(ef.Affine(rows), parameters=known)
        fit = ef.Solver(problem).fit(np.full(unknowns, 0.5), [1.0, 3.0, 5.0])
        assert fit.success
        rows = fit.to_dict()["parameters"]
        assert [row["standard_error"] for row in rows] == [None] * unknowns
        assert not any("at bound" in row["note"] for row in rows)
        assert ("no scatter" in fit.report()) == (unknowns == 2)


def test_zeros_that_rounding_hides_are_printed_as_zeros():
    fit = ef.Solver(ef.Problem(ef.Symmetric(3))).fit(
        [0.12, 0.89, 0.0, 0.22, 0.84, 0.55], [1.0, 1.0, 1.0]
    )
    record = fit.record()
    assert record.is_rounding.tolist() == [False] * 3 + [True] * 3
    # In any unit, and beside parameters of another one.
    tiny = ef.Affine([np.diag([1.0, 2.0]) * 1e20, np.diag([0.0, 1.0])])
    fit = ef.Solver(ef.Problem(tiny)).fit([1e-20, 1.0], [1.0, 3.0])
    assert not fit.record().is_rounding.any()


def test_many_correlations_are_cut_where_they_are_printed():
    rng = np.random.default_rng(1)
    basis = rng.normal(size=[12, 24, 24])
    basis = basis + basis.swapaxes(1, 2)
    problem = ef.Problem(ef.Affine(basis), ef.Levels(sigma=1.0))
    r = rng.normal(size=12)
    t = np.linalg.eigvalsh(np.tensordot(r, basis, 1)) + 0.1
    fit = ef.Solver(problem).fit(r, t)
    strong = np.abs(np.tril(fit.uncertainty().correlation, -1)) > 0.1
    rest = int(strong.sum()) - 40
    assert rest > 0
    assert f"({rest} more)" in fit.report()


def test_means_of_levels_are_flagged_as_blends():
    matrix = ef.Affine([np.diag([0.0, 1.0, 1.001, 2.0]), np.eye(4)])
    observed = ef.ClusterMeans([[0], [1, 2], [3]], sigma=0.01)
    solver = ef.Solver(ef.Problem(matrix, observed))
    for middle, flag in ((1.1, "blend"), (1.4, "blend, outlier")):
        fit = solver.fit([1.0, 0.0], [0.1, middle, 2.1])
        flags = [row["flag"] for row in fit.to_dict()["data"]]
        assert flags[1] == flag
        assert "blend" not in flags[0] + flags[2]
        assert flag in fit.report()
