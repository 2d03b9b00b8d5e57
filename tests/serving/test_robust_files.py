"""Robust losses in problem files and exports."""

import functools
import json

import numpy as np
import pytest
import tensorflow as tf
from tests.combinations import each

import eigenfit as ef
from eigenfit.reports.text import plain
from eigenfit_export import load_model, save_model, save_onnx
from eigenfit_export.onnx import programs
from eigenfit_export.onnx.check import Session
from eigenfit_export.signatures import signatures_of
from eigenfit_serving.cli.printing.report import print_outcome
from eigenfit_serving.errors import InputError
from eigenfit_serving.fitting.outcome import run_fit
from eigenfit_serving.fitting.result_files import write_json
from eigenfit_serving.problem_file.reading import read_problem

FILE = """schema = 1
targets = [-1.618, -0.618, 0.768, 1.618]

[structure]
kind = "toeplitz"
order = 4

[observation]
kind = "levels"
sigma = 0.01
loss = "cauchy"
loss_scale = 2

[parameters]
fixed = { r2 = 0.0, r3 = 0.0 }

[start]
parameters = [[0.05, 0.95]]
"""


def read(folder, text=FILE):
    path = folder / "problem.toml"
    path.write_text(text)
    return read_problem(path)


def test_a_file_gives_the_loss_and_a_report_the_outliers(tmp_path):
    content = read(tmp_path)
    solver = content.solver()
    assert solver.problem.observations[0].robust == ("cauchy", 2.0)
    outcome = run_fit(content, solver)
    assert outcome.success
    np.testing.assert_allclose(outcome.parameters, [[0.0, 1.0]], atol=2e-3)
    printed = plain(lambda console: print_outcome(outcome, console))
    assert "Fit      robust loss, 1 outlier among 4 data: level 2\n" in printed
    assert [x.split()[:2] for x in printed.splitlines() if x.endswith("  outlier")] == [
        ["level", "2"]
    ]
    assert printed.count("Chi-square, p, AIC and BIC are for Gaussian errors") == 1
    assert "chi-square" not in printed
    assert outcome.agreement is None
    write_json(outcome, tmp_path / "result.json")
    document = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert document["outliers"] == ["level 2"]
    found = document["uncertainty"]
    numbers = ("chi_square", "reduced_chi_square", "probability")
    assert [found[x] for x in numbers] == [None] * 3


def test_mistakes_are_named(tmp_path):
    for change, text in (
        (('"cauchy"', '"l1"'), '"linear", "soft_l1", "huber" or "cauchy"'),
        (("loss_scale = 2", "loss_scale = 0"), "a number above 0"),
        (("[start]", '[fit]\nmethod = "loewner-newton"\n\n[start]'), "another loss"),
    ):
        with pytest.raises(InputError, match=text):
            read(tmp_path, FILE.replace(*change))


@functools.cache
def solved():
    """A problem with one wrong level in each of three members, and its fit."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=[2, 4, 4])
    A = A + A.swapaxes(1, 2)
    problem = ef.Problem(ef.Affine(A), ef.Levels(sigma=0.01, loss="cauchy"))
    solver = ef.Solver(problem, "levenberg-marquardt", compile="graph")
    t = np.linalg.eigvalsh(A[0] + 0.5 * A[1]) + 0.01 * rng.normal(size=[3, 4])
    t[:, 1] += 0.3
    t = np.sort(t, axis=-1)
    start = np.tile([1.01, 0.49], [3, 1])
    fit = solver.fit(start, t)
    assert tf.reduce_all(problem.outliers(fit.parameters, t)[:, 1])
    linear = ef.Solver(problem.with_linear_losses(), solver.method, compile="eager")
    other = linear.fit(start, t)
    assert (np.abs(fit.parameters - other.parameters).max(axis=1) > 1e-3).all()
    return solver, start, t, fit


def inputs_of(start, t):
    steps = np.full(3, 200, np.int32)
    return {"initial": start, "targets": t, "tolerance": np.zeros(3)} | {
        "max_steps": steps
    }


def test_the_exported_fit_gives_the_answers_of_the_solver(tmp_path):
    """As the function of a SavedModel that is saved by itself."""
    solver, start, t, wanted = solved()
    fit = next(x for x in signatures_of(solver) if x.name == "fit")
    module = tf.Module()
    module.fit = fit.traced
    tf.saved_model.save(module, str(tmp_path), signatures={"fit": fit.traced})
    loaded = tf.saved_model.load(str(tmp_path)).signatures["fit"]
    given = {name: tf.constant(x) for name, x in inputs_of(start, t).items()}
    found = loaded(**given)
    np.testing.assert_allclose(found["parameters"], wanted.parameters, rtol=1e-10)
    np.testing.assert_array_equal(found["result"], wanted.result)


@pytest.mark.slow
def test_the_whole_export_gives_the_answers_of_the_solver(tmp_path, caplog):
    solver, start, t, wanted = solved()
    save_model(solver, tmp_path / "saved", warmup_batches=())
    with caplog.at_level("WARNING"):
        loaded = load_model(tmp_path / "saved")
    assert not caplog.records
    found = loaded.fit(start, t)
    np.testing.assert_allclose(found.parameters, wanted.parameters, rtol=1e-10)
    np.testing.assert_array_equal(found.result, wanted.result)


@pytest.mark.slow
def test_the_fit_in_onnx_gives_the_answers_of_the_solver(tmp_path):
    solver, start, t, wanted = solved()
    files = save_onnx(solver, tmp_path, functions=["fit"])
    answer = Session(files["fit_float64"]).run(**inputs_of(start, t))
    np.testing.assert_allclose(answer["parameters"], wanted.parameters, rtol=1e-7)
    np.testing.assert_array_equal(answer["result"], wanted.result)


def test_gradients_in_onnx_are_those_of_the_loss():
    def check(loss, name, tied):
        rng = np.random.default_rng(1)
        A = rng.normal(size=[3, 4, 4])
        A = A + A.swapaxes(1, 2)
        observed = ef.Levels([3, 0, 1], [1.0, 4.0, 0.5], loss=loss, loss_scale=0.3)
        known = ef.Parameters(
            ["a", "b", "c"], ties={"c": {"a": -2.0}} if tied else None
        )
        problem = ef.Problem(ef.Affine(A), observed, parameters=known)
        r = rng.normal(size=[5, problem.num_parameters])
        t = rng.normal(size=[5, 3])
        weights = rng.uniform(0.5, 2.0, size=[5, 3])
        given = {"parameters": r, "targets": t}
        if name == "weighted_gradient":
            given["weights"] = weights
            problem = problem.with_weights(weights)
        model = getattr(programs, name)(ef.Solver(problem)).model()
        found = Session(model).run(**given)
        np.testing.assert_allclose(found["loss"], problem.loss(r, t), rtol=1e-10)
        wanted = problem.gradient(r, t)
        np.testing.assert_allclose(found["gradient"], wanted, rtol=1e-9, atol=1e-10)

    each(check, loss=["huber"], name=["gradient"], tied=[True])
    each(check, loss=["cauchy"], name=["weighted_gradient"], tied=[False])
