"""Problem files in the place of models, and weights of rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.serving.batch import tables

import eigenfit as ef
from eigenfit_serving import InputError
from eigenfit_serving.batch import run_batch
from eigenfit_serving.batch.plan import source
from eigenfit_serving.batch.settings import ModelFacts, Settings
from eigenfit_serving.batch.tables.values import rows_of

PROBLEM = """
schema = 1
targets = [0.0, 1.0]

[structure]
kind = "additive"
offset = [[0.0, 1.0], [1.0, 0.0]]

[fit]
method = "levenberg-marquardt"
tolerance = 1e-16
max_steps = 40
"""


@pytest.fixture
def problem(tmp_path):
    path = tmp_path / "problem.toml"
    path.write_text(PROBLEM)
    return path


@pytest.mark.slow  # an export for it alone
def test_weights_of_rows(problem, tmp_path):
    # Infeasible targets: weights decide which of them is met better.
    initial = [0.3, -0.2]
    weights = [None, [1.0, 100.0], [1.0, -1.0]]
    targets = [[-0.5, 1.0], [-0.5, 1.0], [-3.0, 3.0]]
    table = pa.table(
        {
            "id": ["none", "high", "bad"],
            "targets": pa.array(targets),
            "initial": pa.array([initial] * 3),
            "weights": pa.array(weights),
        }
    )
    path = tables.write(table, tmp_path / "in.parquet")
    report = run_batch(problem, path, tmp_path / "out.parquet", workers=1)
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert report.counts["invalid_input"] == 1
    assert found[2]["message"] == "`weights` has a number that is not positive"
    structure = ef.Additive([[0.0, 1.0], [1.0, 0.0]])
    for row, own, given in zip(found[:2], weights, targets, strict=False):
        solver = ef.Solver(
            ef.Problem(structure, ef.Levels(weights=own)),
            method=ef.LevenbergMarquardt(),
        )
        wanted = solver.fit(initial, given, tolerance=1e-16, max_steps=40)
        np.testing.assert_allclose(row["loss"], wanted.loss, rtol=1e-9)
        np.testing.assert_allclose(row["parameters"], wanted.parameters, atol=1e-5)
    assert found[0]["loss"] < found[1]["loss"]


@pytest.mark.slow  # likewise
def test_any_number_of_weights_goes_to_all_observations(tmp_path):
    problem = tmp_path / "joint.toml"
    problem.write_text(
        """
        schema = 1
        [structure]
        kind = "additive"
        offset = [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
        [parameters]
        fixed = { r2 = 0.0 }
        [[observations]]
        kind = "levels"
        indices = [0, 2]
        targets = [-1.0, 2.0]
        sigma = [0.1, 0.1]
        [[observations]]
        kind = "differences"
        pairs = [[1, 0]]
        targets = [1.5]
        """
    )
    rng = np.random.default_rng(0)
    targets = np.array([-1.0, 2.0, 1.5]) + rng.uniform(-0.1, 0.1, [200, 3])
    weights = rng.uniform(0.5, 20.0, [200, 3])
    initial = np.tile([0.2, -0.1], [200, 1])
    columns = {"targets": targets, "initial": initial, "weights": weights}
    columns = {name: tables.lists(rows) for name, rows in columns.items()}
    table = pa.table({"id": range(200), **columns})
    path = tables.write(table, tmp_path / "in.parquet")
    run_batch(problem, path, tmp_path / "out.parquet", workers=1)
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    structure = ef.Additive(np.diag([1.0, 1.0], 1) + np.diag([1.0, 1.0], -1))
    for k in (0, 99, 199):
        low, high, other = weights[k]
        observations = [
            ef.Levels([0, 2], weights=[low, high]),
            ef.Differences([(1, 0)], weights=[other]),
        ]
        solver = ef.Solver(
            ef.Problem(
                structure,
                observations=observations,
                parameters=ef.Parameters(fixed={"r2": 0.0}),
            )
        )
        wanted = solver.fit(initial[k], targets[k])
        assert found[k]["result"] == wanted.result
        np.testing.assert_allclose(found[k]["loss"], wanted.loss, rtol=1e-7)
        np.testing.assert_allclose(found[k]["parameters"], wanted.parameters, rtol=1e-5)


def test_weights_that_the_dtype_cannot_hold():
    facts = ModelFacts(Path(), "float32", 100, 100, "", 2, 2, 2, {}, ())
    rows = [[1.0, 1e-60], [1e60, 1.0], [-1e-60, 1.0], [1.0, 2.0], None, [1.0]]
    column = pa.array(rows, pa.list_(pa.float64()))
    targets = tables.lists(np.ones([6, 2]))
    table = pa.table({"id": range(6), "targets": targets, "weights": column})
    found, complaints = rows_of(tables.rows(table), facts, Settings())
    assert complaints.texts.tolist() == [
        "`weights` has a number out of the range of float32",
        "`weights` has a number out of the range of float32",
        "`weights` has a number that is not positive",
        None,
        None,
        "`weights` has 1 number, must have 2",
    ]
    assert found.weights is not None
    assert np.isnan(found.weights).all(axis=1).tolist() == [False] * 4 + [True, False]


@pytest.mark.parametrize("changed", ["K.npy", "data/pairs.csv", "problem.toml"])
def test_data_files_belong_to_the_problem(tmp_path, changed):
    text = PROBLEM.replace("[[0.0, 1.0], [1.0, 0.0]]", '{ file = "K.npy" }')
    text = text.replace("targets = [0.0, 1.0]", "")
    text += """
        [[observations]]
        kind = "levels"
        targets = [0.0, 1.0]
        [[observations]]
        kind = "differences"
        targets = [1.5]
        pairs = { file = "data/pairs.csv" }
        """
    path = tmp_path / "problem.toml"
    path.write_text(text)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pairs.csv").write_text("1,0\n")
    np.save(tmp_path / "K.npy", np.eye(2)[::-1])
    before = source.Model.of(path).digest
    assert source.Model.of(path).digest == before
    (tmp_path / "other.csv").write_text("1,0\n")
    assert source.Model.of(path).digest == before
    if changed == "K.npy":
        np.save(tmp_path / "K.npy", 2 * np.eye(2)[::-1])
    elif changed == "problem.toml":
        path.write_text(text + "# as it were\n")
    else:
        (tmp_path / changed).write_text("0,1\n")
    assert source.Model.of(path).digest != before


@pytest.mark.slow  # likewise
def test_resume_refuses_data_files_that_changed(problem, tmp_path):
    problem.write_text(
        PROBLEM.replace("[[0.0, 1.0], [1.0, 0.0]]", '{ file = "K.npy" }')
    )
    np.save(tmp_path / "K.npy", np.eye(2)[::-1])
    table = pa.table({"id": [1], "targets": pa.array([[0.0, 3.0]])})
    path = tables.write(table, tmp_path / "in.parquet")
    folder = tmp_path / "out"
    run_batch(problem, path, folder, workers=1)
    np.save(tmp_path / "K.npy", 2 * np.eye(2)[::-1])
    with pytest.raises(InputError, match="MODEL_OR_PROBLEM is not what it was when"):
        run_batch(problem, path, folder, workers=1, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("given", [None, 25_000])
def test_steps_of_the_problem_are_allowed(problem, tmp_path, given):
    slow = """
method = "adam"
tolerance = 1e-300
"""
    fit = slow if given else f"{slow}max_steps = 25_000\n"
    fit += "[fit.adam]\nlearning_rate = 1e-9\n"
    problem.write_text(PROBLEM.partition("method")[0] + fit)
    columns = {
        "id": [1, 2],
        "targets": pa.array([[0.0, 3.0]] * 2),
        "initial": pa.array([[0.0, 1.0]] * 2),
        "max_steps": pa.array([None, 22_000]),
    }
    path = tables.write(pa.table(columns), tmp_path / "in.parquet")
    run_batch(problem, path, tmp_path / "out.parquet", workers=1, max_steps=given)
    assert pq.read_table(tmp_path / "out.parquet")["steps"].to_pylist() == [
        25_000,
        22_000,
    ]
