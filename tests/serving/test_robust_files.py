"""Robust losses in problem files and exports."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit_export import load_model, save_model, save_onnx
from eigenfit_export.onnx.check import Session
from eigenfit_serving.errors import InputError
from eigenfit_serving.fitting.outcome import run_fit
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
    assert outcome.agreement is None
    text = outcome.outliers_text
    assert text == "robust loss, 1 of 4 data are outliers: level 2"
    np.testing.assert_allclose(outcome.parameters, [[0.0, 1.0]], atol=2e-3)


def test_mistakes_are_named(tmp_path):
    for change, text in (
        (('"cauchy"', '"l1"'), '"linear", "soft_l1", "huber" or "cauchy"'),
        (("loss_scale = 2", "loss_scale = 0"), "a number above 0"),
        (("[start]", '[fit]\nmethod = "loewner-newton"\n\n[start]'), "another loss"),
    ):
        with pytest.raises(InputError, match=text):
            read(tmp_path, FILE.replace(*change))


def test_exports_give_the_answers_of_the_solver(tmp_path):
    rng = np.random.default_rng(0)
    A = rng.normal(size=[2, 4, 4])
    A = A + A.swapaxes(1, 2)
    problem = ef.Problem(ef.Affine(A), ef.Levels(sigma=0.01, loss="cauchy"))
    solver = ef.Solver(problem, "levenberg-marquardt")
    t = np.linalg.eigvalsh(A[0] + 0.5 * A[1]) + 0.01 * rng.normal(size=[3, 4])
    t[:, 1] += 0.3
    t = np.sort(t, axis=-1)
    start = np.tile([1.01, 0.49], [3, 1])
    wanted = solver.fit(start, t)
    save_model(solver, tmp_path / "saved")
    loaded = load_model(tmp_path / "saved")
    found = loaded.fit(start, t)
    np.testing.assert_allclose(found.parameters, wanted.parameters, rtol=1e-10)
    np.testing.assert_array_equal(found.result, wanted.result)
    files = save_onnx(solver, tmp_path / "onnx", functions=["fit"])
    answer = Session(files["fit_float64"]).run(
        initial=start,
        targets=t,
        tolerance=np.zeros(3),
        max_steps=np.full(3, 200, np.int32),
    )
    np.testing.assert_allclose(answer["parameters"], wanted.parameters, rtol=1e-7)
    np.testing.assert_array_equal(answer["result"], wanted.result)
    assert tf.reduce_all(problem.outliers(answer["parameters"], t)[:, 1])
