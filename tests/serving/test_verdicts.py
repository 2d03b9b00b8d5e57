"""What the command line says of fits to measured data, and with which exit code."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import chi2
from tests import giant_spin
from typer.testing import CliRunner

from eigenfit.reports.phrases import Agreement
from eigenfit_serving.cli.app import app

BASIS = np.array([np.diag(np.arange(6.0)), np.eye(6, k=1) + np.eye(6, k=-1)])
MEASURED = """schema = 1
targets = {targets}
[structure]
kind = "affine"
basis = {basis}
[observation]
kind = "levels"
sigma = {sigma}
[parameters]
names = ["slope", "coupling"]
[start]
parameters = [1.2, 0.5]
[fit]
method = "levenberg-marquardt"
"""
SPRINGS = """schema = 1
targets = [0.3, 1.5, 3.0, 4.2]
[structure]
kind = "affine"
basis = {basis}
[fit]
starts = {starts}
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def fit(text, *arguments):
    Path("problem.toml").write_text(text)
    command = ["fit", "problem.toml", "--output", "a.json", *arguments]
    result = CliRunner().invoke(app, command, prog_name="eigenfit")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result, json.loads(Path("a.json").read_text())


def measured(sigma, seed=5):
    """Six levels with errors, and chi-square of the two parameters by SciPy."""
    noise = np.random.default_rng(seed).normal(0, 0.02, 6)
    targets = np.linalg.eigvalsh(np.tensordot([1.0, 0.7], BASIS, 1)) + noise

    def residual(x):
        return (np.linalg.eigvalsh(np.tensordot(x, BASIS, 1)) - targets) / sigma

    text = MEASURED.format(targets=targets.tolist(), basis=BASIS.tolist(), sigma=sigma)
    return text, 2 * least_squares(residual, [1.0, 0.7], xtol=1e-14, ftol=1e-14).cost


def test_data_with_errors_need_not_be_met():
    text, expected = measured(0.02)
    result, document = fit(text)
    assert result.exit_code == 0
    first, second, third = [line.rstrip() for line in result.stdout.splitlines()[:3]]
    steps = document["solutions"][0]["num_steps"]
    assert first == f"Result   least-squares minimum after {steps} steps"
    p = chi2.sf(expected, 4)
    assert 0.01 < p < 0.99
    assert second == (
        f"Fit      chi-square {expected:.4g} for 4 degrees of freedom, p = {p:.2g}"
    )
    assert third == f"Loss     {document['solutions'][0]['loss']:.6e}"
    assert document["success"]
    assert not document["converged"]
    found = document["uncertainty"]
    np.testing.assert_allclose(found["chi_square"], expected, rtol=1e-6)
    np.testing.assert_allclose(found["probability"], p, rtol=1e-6)
    assert "eigenfit check" not in result.stdout


def test_absurd_errors_are_doubted():
    text, expected = measured(2e-3)
    assert chi2.sf(expected, 4) < 1e-6
    result, _ = fit(text)
    # The fit is right; it is the data that are doubted.
    assert result.exit_code == 0
    warning = "The model does not explain the data, or the standard deviations are"
    assert warning in " ".join(result.stdout.split())


@pytest.mark.parametrize("freedom", [1, 4, 30])
def test_only_what_chance_does_not_explain_is_doubted(freedom):
    for tail in (2e-6, 0.5, 1 - 2e-6):
        assert not Agreement(chi2.isf(tail, freedom), freedom).warning
    assert "too small" in Agreement(chi2.isf(5e-7, freedom), freedom).warning
    assert "too large" in Agreement(chi2.ppf(5e-7, freedom), freedom).warning
    assert Agreement(0.0, 0).text == "chi-square 0 for 0 degrees of freedom"


def test_rounded_levels_without_errors():
    """Levels printed to .01 meV, four parameters: nobody expects them to be met."""
    targets = np.round(giant_spin.levels(giant_spin.FITTED), 2)[1:]
    np.savez("stevens.npz", basis=giant_spin.operators())
    text = f"""schema = 1
title = "Mn12"
targets = {targets.tolist()}
structure = {{kind = "affine", basis = {{file = "stevens.npz", key = "basis"}}}}
observation = {{kind = "relative-to", level = 0}}
parameters = {{names = {giant_spin.NAMES}}}
start = {{parameters = {(1.1 * giant_spin.FITTED).tolist()}}}
"""
    result, document = fit(text.replace("'", '"'))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[1].startswith("Result   least-squares minimum after")
    assert document["solutions"][0]["result"] == "minimum"

    def residual(x):
        return giant_spin.levels(x * giant_spin.FITTED)[1:] - targets

    end = least_squares(residual, np.ones(4), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(
        document["solutions"][0]["loss"], 2 * end.cost, rtol=1e-4
    )
    scatter = (2 * end.cost / 16) ** 0.5
    expected = f"Fit      scatter of data {scatter:.3g}, from 16 degrees of freedom"
    assert lines[2].rstrip() == expected
    assert "not determined" not in result.stdout


def test_one_of_a_family_is_said_to_be_one():
    """Five springs between four masses and two walls, four frequencies."""
    ends = np.eye(5, 4) - np.eye(5, 4, k=-1)
    basis = np.einsum("ki,kj->kij", ends, ends).tolist()
    result, document = fit(SPRINGS.format(basis=basis, starts=3))
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    family = "a 1-dimensional family of answers; this is one of them: the start decides"
    assert family in text
    assert text.count("1-dimensional family") == 2  # with the first line
    [distinct] = document["distinct"]
    assert distinct["family_dimension"] == 1
    assert distinct["starts"] == [0, 1, 2]
    assert document["uncertainty"]["num_undetermined"] == 1
    for solution in document["solutions"]:
        assert family in solution["text"]


def test_starts_are_sorted_into_distinct_solutions():
    """A diagonal of a Toeplitz matrix changes its sign without a level changing."""
    result, document = fit(
        """schema = 1
targets = [1.0, 2.0, 3.0]
structure = {kind = "toeplitz", order = 3}
start = {low = -2.0, high = 2.0}
fit = {method = "levenberg-marquardt", starts = 12, seed = 1}
"""
    )
    assert result.exit_code == 0
    ends = {}
    for k, solution in enumerate(document["solutions"]):
        r0, r1, r2 = np.round(solution["parameters"], 4) + 0.0
        ends.setdefault((solution["result"], r0, abs(r1), r2), []).append(k)
    assert {"converged"} <= {end[0] for end in ends}
    assert len(ends) > 1
    distinct = document["distinct"]
    assert sorted(found["starts"] for found in distinct) == sorted(ends.values())
    lines = [line.split() for line in result.stdout.splitlines()]
    [place] = [k for k, line in enumerate(lines) if line[:2] == ["loss", "starts"]]
    rows = lines[place + 1 : place + 1 + len(distinct)]
    for row, found in zip(rows, distinct, strict=True):
        assert int(row[1]) == len(found["starts"])
        assert row[2].rstrip(",") == found["result"]
        assert (row[3:5] == ["2", "copies"]) == (found["copies"] == 2)
    assert "Copies differ by signs that change no level." in result.stdout
    losses = [found["loss"] for found in distinct if found["result"] != "converged"]
    assert losses == sorted(losses)


DIAGONAL = """schema = 1
targets = {targets}
[structure]
kind = "affine"
basis = {basis}
offset = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, {last}]]
[observation]
kind = "levels"
sigma = {sigma}
[start]
parameters = {start}
"""


def test_a_loss_below_the_tolerance_is_not_judged_by_chance():
    """The fit ends where the loss is small enough: not at its minimum."""
    basis = [np.diag([1.0, 2.0, 3.0]).tolist()]
    text = DIAGONAL.format(
        targets=[1.0, 2.0, 3.02], basis=basis, last=0.0, sigma=0.01, start=[1.02]
    )
    least = fit(text)[0].stdout
    # By hand: r = 14.06 / 14, and the misfits of 1, 2 and 3.02 in units of .01.
    r = (1.0 + 4.0 + 9.06) / 14
    square = float(np.sum(((r * np.arange(1, 4) - [1.0, 2.0, 3.02]) / 0.01) ** 2))
    assert f"chi-square {square:.4g} for 2 degrees of freedom, p = 0.49" in least
    early, document = fit(f"{text}[fit]\ntolerance = 100.0\n")
    assert document["solutions"][0]["result"] == "converged"
    np.testing.assert_allclose(document["solutions"][0]["loss"], 36.0)
    assert "chi-square" not in early.stdout
    assert "does not explain" not in early.stdout


def test_what_is_not_determined_leaves_degrees_of_freedom():
    """Three unknowns of which two are determined, and three levels."""
    second = np.diag([0.0, 1.0, 0.0])
    basis = [np.diag([1.0, 0.0, 0.0]).tolist(), second.tolist(), (2 * second).tolist()]
    text = DIAGONAL.format(
        targets=[1.0, 2.0, 3.2], basis=basis, last=3.0, sigma=0.1, start=[1.0, 1.0, 0.5]
    )
    Path("problem.toml").write_text(text)
    checked = CliRunner().invoke(app, ["check", "problem.toml"])
    shown = " ".join(checked.stdout.split())
    expected = "3 unknowns, 3 targets, 1 degree of freedom, 1 unknown more than"
    assert expected in shown
    assert "chi-square 4 for 1 degree of freedom, p = 0.046" in fit(text)[0].stdout


TWO = """schema = 1
[[blocks]]
structure = {{kind = "affine", basis = {basis}}}
[[blocks.observations]]
kind = "levels"
sigma = 0.001
targets = {exact}
[[blocks]]
structure = {{kind = "affine", basis = {basis}}}
[[blocks.observations]]
{second}
[start]
parameters = [1.0, 0.3]
"""


def test_the_scatter_is_that_of_the_data_it_names():
    """Data with and without sigma: only the latter scatter by what is said."""
    basis = BASIS.tolist()
    exact = np.linalg.eigvalsh(np.tensordot([1.1, 0.4], BASIS, 1))
    noise = 0.2 * np.random.default_rng(3).normal(size=6)
    levels = f'kind = "levels"\ntargets = {np.sort(exact + noise).tolist()}'
    result = fit(TWO.format(basis=basis, exact=exact.tolist(), second=levels))[0]
    [line] = [x for x in result.stdout.splitlines() if "scatter" in x]
    name, _, size = line.rstrip().rpartition(" ")
    assert name == "Fit      scatter of data without sigma"
    # The other block fixes both unknowns, so that all six are free to scatter.
    missed = np.sort(exact + noise) - exact
    np.testing.assert_allclose(float(size), np.sqrt(np.mean(missed**2)), rtol=0.01)
    # Levels and shapes have no unit in common.
    shape = np.linalg.eigh(np.tensordot([1.1, 0.4], BASIS, 1))[1][:, 0] + 0.01
    second = f'kind = "mode-shapes"\nlevels = [0]\ntargets = {[shape.tolist()]}'
    text = TWO.format(basis=basis, exact=exact.tolist(), second=second)
    mixed = fit(text.replace("sigma = 0.001\n", ""))[0]
    assert "least-squares minimum" in mixed.stdout
    assert "scatter" not in mixed.stdout
