"""Where rows without `initial` begin: `[start]` of a problem file, or a named draw."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.testing
from scipy.optimize import least_squares
from tests.serving.batch import tables

import eigenfit as ef
from eigenfit_export import Start, export_solver, load_model, save_model
from eigenfit_serving import read_problem
from eigenfit_serving.batch import run_batch
from eigenfit_serving.batch.engines.kernel import Kernel
from eigenfit_serving.batch.settings import Settings, read_facts
from eigenfit_serving.batch.solving.fitting import Fitter
from eigenfit_serving.cli.app import app

# Three unit masses in a row between walls; the last spring is known. The levels 1, 4
# and 8 belong to two sets of springs, and (2, 2, 2) leads to the first.
CHAIN = """
schema = 1
targets = [1.0, 4.0, 8.0]

[structure]
kind = "affine"
basis = [
    [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    [[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]],
    [[0.0, 0.0, 0.0], [0.0, 1.0, -1.0], [0.0, -1.0, 1.0]],
]
offset = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
"""
FIRST, SECOND = (2.627348, 2.594011, 2.092315), (6.463, 1.224, 1.544)


def by_scipy(start, targets):
    first, second, third = np.zeros([3, 3, 3])
    first[0, 0] = 1
    second[:2, :2] = third[1:, 1:] = [[1, -1], [-1, 1]]

    def residual(k):
        A = k[0] * first + k[1] * second + k[2] * third + np.diag([0, 0, 1])
        return np.linalg.eigvalsh(A) - targets

    return least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15).x


def problem_file(folder, start=""):
    path = folder / "chain.toml"
    path.write_text(CHAIN + start)
    return path


def simulated(number):
    rng = np.random.default_rng(3)
    noise = 1 + 0.01 * rng.standard_normal([number, 3])
    return np.sort(noise * [1.0, 4.0, 8.0], axis=1)


def written(folder, targets):
    table = pa.table({"id": range(len(targets)), "targets": pa.array(list(targets))})
    return tables.write(table, folder / "in.parquet")


def exported(problem, folder):
    content = read_problem(problem)
    return export_solver(
        content.solver(),
        folder / "model",
        warmup_batches=(),
        start=content.start.build(content.unknowns),
        only=("serving_default", "fit_from_random", "fit_from_start"),
    )


def solved(model, table, **settings):
    """Solves the rows of a table in this process."""
    facts = read_facts(model)
    kernel = Kernel(Fitter(facts, 4096), Settings(**settings))
    (batch,) = pq.read_table(table).combine_chunks().to_batches()
    return kernel.solve(batch, 0).table


def parameters(table):
    return np.array(table["parameters"].to_pylist())


@pytest.mark.slow
@pytest.mark.parametrize("number", [400, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_simulation_stays_on_the_branch_of_its_start(tmp_path, number):
    problem = problem_file(tmp_path, "[start]\nparameters = [2.0, 2.0, 2.0]\n")
    targets = simulated(number)
    table = written(tmp_path, targets)
    report = run_batch(problem, table, tmp_path / "out.parquet", workers=1)
    assert report.counts == {"converged": number}
    assert report.success == number
    assert report.start["kind"] == "given"
    assert report.start["parameters"] == [[2.0, 2.0, 2.0]]
    found = parameters(pq.read_table(tmp_path / "out.parquet"))
    assert (np.linalg.norm(found - FIRST, axis=1) < 1.0).all()
    for row in range(0, number, number // 4):
        wanted = by_scipy([2, 2, 2], targets[row])
        np.testing.assert_allclose(found[row], wanted, rtol=1e-7)
    whole = read_problem(problem).solver().fit([2.0, 2.0, 2.0], targets).parameters
    np.testing.assert_allclose(found.mean(axis=0), np.mean(whole, axis=0), rtol=1e-8)
    np.testing.assert_allclose(found.std(axis=0), np.std(whole, axis=0), rtol=1e-8)

    # A model that is exported does as the file does.
    model = exported(problem, tmp_path)
    np.testing.assert_allclose(parameters(solved(model, table)), found, atol=1e-9)
    one = load_model(model).fit(targets=targets[:3])
    np.testing.assert_allclose(one.parameters, found[:3], atol=1e-9)


@pytest.mark.slow  # four exports
def test_what_was_drawn_is_said(tmp_path):
    table = written(tmp_path, simulated(40))
    problem, output = problem_file(tmp_path), tmp_path / "out.parquet"
    arguments = ["batch", problem, table, output, "--workers", "1"]
    answer = typer.testing.CliRunner().invoke(app, [str(x) for x in arguments])
    assert answer.exit_code == 0, answer.output
    words = "natural: spectra of the size of the targets; no [start] was given"
    assert words in " ".join(answer.stdout.split())
    assert words in " ".join(answer.stderr.split())
    report = json.loads((tmp_path / "out.parquet.report.json").read_text())
    assert report["start"] == {"kind": "natural", "draw": "spectrum"}


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("low = [6.4, 1.2, 1.5]\nhigh = [6.5, 1.25, 1.6]", "uniform"),
        ("centre = [6.46, 1.22, 1.54]\nsigma = 0.01", "normal"),
    ],
)
def test_draws_of_the_file_are_those_of_the_model(tmp_path, section, kind):
    problem = problem_file(tmp_path, f"[start]\n{section}\n")
    model = exported(problem, tmp_path)
    assert read_facts(model).start["draw"] == kind
    seeds = np.arange(2000)
    targets = np.array([1.0, 4.0, 8.0])
    starts, _ = load_model(model).fit_from_random(seeds, targets, max_steps=0)
    starts = starts.numpy()
    if kind == "uniform":
        low, high = np.array([6.4, 1.2, 1.5]), np.array([6.5, 1.25, 1.6])
        assert ((starts >= low) & (starts <= high)).all()
        centre, sigma = (low + high) / 2, (high - low) / 12**0.5
    else:
        centre, sigma = np.array([6.46, 1.22, 1.54]), np.full(3, 0.01)
    error = sigma / len(seeds) ** 0.5
    assert (np.abs(starts.mean(axis=0) - centre) < 4 * error).all()
    np.testing.assert_allclose(starts.std(axis=0), sigma, rtol=0.1)
    # And so rows without `initial` find the other solution.
    found = parameters(solved(model, written(tmp_path, simulated(30))))
    assert (np.linalg.norm(found - SECOND, axis=1) < 1.0).all()


def test_several_given_starts_come_before_random_ones(tmp_path):
    starts = [list(FIRST), list(SECOND)]
    model = exported(
        problem_file(tmp_path, f"[start]\nparameters = {starts}\n"), tmp_path
    )
    table = written(tmp_path, np.array([[1.0, 4.0, 8.0]] * 2))
    found = solved(model, table, starts=2, keep="all")
    assert found["solution"].to_pylist() == [0, 1, 0, 1]
    assert found["count"].to_pylist() == [1, 1, 1, 1]
    both = parameters(found)[:2]
    np.testing.assert_allclose(both[np.argsort(both[:, 0])], starts, atol=2e-3)


def test_a_model_without_a_start_says_so(additive_model):
    loaded = load_model(additive_model)
    with pytest.raises(ValueError, match="`initial` must be given: the model was exp"):
        loaded.fit(targets=[1.0, 2.0])
    with pytest.raises(TypeError, match="`targets` must be given"):
        loaded.fit([1.0, 2.0])


def test_starts_that_do_not_fit_are_refused(tmp_path):
    structure = ef.Additive([[0.0, 1.0], [1.0, 0.0]])
    problem = ef.Problem(structure, parameters=ef.Parameters(bounds=(-4.0, 4.0)))
    solver = ef.Solver(problem)
    for start, words in (
        ([1.0, 2.0, 3.0], "has 3 numbers, but there are 2 parameters to fit"),
        ([[1.0, 5.0]], "lies outside of the bounds of .*, -4 to 4"),
        (Start.normal([0.0, 0.0, 0.0], 1.0), "has 3 numbers"),
        ([1.0, np.nan], "must be finite"),
    ):
        with pytest.raises(ValueError, match=words):
            save_model(solver, tmp_path, start=start)
    with pytest.raises(ValueError, match="`high` must lie above `low`"):
        Start.uniform(0.0, [1.0, 0.0])
    assert not list(tmp_path.iterdir())


def test_what_is_said_of_several_starts():
    from eigenfit_serving.batch.answers.report import start_text

    given = {"kind": "given", "draw": "bounds", "parameters": [[0.01, 0.3]]}
    one = "Rows without initial began at the given start, 0.01, 0.3"
    assert start_text(given) == start_text(given, 1) == f"{one}."
    assert start_text(given, 8).startswith(f"{one}; further starts were drawn, natural")
