"""The fit that tells how it got there."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tests.export.test_signatures import T, fit_inputs, functions_of

import eigenfit as ef
from eigenfit_export import save_model
from eigenfit_export.signatures import signatures_of

SNAPSHOTS = 65


@pytest.fixture(scope="module")
def adam():
    return ef.Solver(ef.Problem(ef.Symmetric(3)), ef.Adam(), compile="graph")


@pytest.fixture(scope="module")
def functions(adam):
    return functions_of(adam)


def traced(answer):
    return {k: x.numpy() for k, x in answer.items() if k.startswith("trace_")}


@pytest.mark.parametrize("batch", [0, 1, 3, 31, 40])
def test_its_answer_is_that_of_the_fit(functions, batch):
    given = fit_inputs(batch)
    given["max_steps"] = tf.range(batch) * 3
    answer = functions["fit_trace"](**given)
    # Of 40, the fit takes those that have ended out of its loop, and products of
    # batches of other sizes round otherwise.
    rtol = 1e-11 if batch > 31 else 0
    for name, x in functions["fit"](**given).items():
        np.testing.assert_allclose(answer[name], x, rtol=rtol, err_msg=name)
        last = answer.get(f"trace_{name}")
        if last is not None:
            np.testing.assert_array_equal(last[:, -1], answer[name], err_msg=name)
    steps = answer["trace_steps"].numpy()
    assert steps.shape == (batch, SNAPSHOTS)
    np.testing.assert_array_equal(steps[:, -1], answer["num_steps"])


@pytest.mark.parametrize("max_steps", [0, 1, 63, 64, 65, 128, 300])
def test_its_snapshots_are_the_history(adam, functions, max_steps):
    given = fit_inputs(1, max_steps=max_steps)
    trace = traced(functions["fit_trace"](**given))
    history = adam.fit(**given, record_every=1, record_limit=SNAPSHOTS - 1).history
    size = len(history.steps)
    assert size == min(max_steps + 1, size)
    np.testing.assert_array_equal(trace["trace_steps"][0, :size], history.steps)
    for name in ("loss", "eigenvalues"):
        found = trace[f"trace_{name}"]
        np.testing.assert_array_equal(found[:, :size], getattr(history, name))
        repeated = np.broadcast_to(found[:, -1:], found[:, size:].shape)
        np.testing.assert_array_equal(found[:, size:], repeated)
    gaps = np.diff(trace["trace_steps"][0, : size - 1])
    assert (gaps == gaps[:1]).all()
    assert max_steps < SNAPSHOTS or size > SNAPSHOTS // 2


def test_steps_are_cut_to_the_limit_of_the_export(adam):
    limited = functions_of(adam, max_steps_limit=7)["fit_trace"]
    answer = limited(**fit_inputs(2, max_steps=100))
    assert answer["num_steps"].numpy().tolist() == [7, 7]
    assert answer["trace_steps"].numpy().max() == 7


def test_snapshots_are_of_one_point_each(adam, functions):
    trace = traced(functions["fit_trace"](**fit_inputs(2, max_steps=9)))
    parameters = trace["trace_parameters"]
    np.testing.assert_array_equal(parameters[:, 0], fit_inputs(2)["initial"])
    matrix = adam.problem.structure.assemble(tf.constant(parameters))
    np.testing.assert_array_equal(trace["trace_matrix"], matrix)
    levels = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(trace["trace_eigenvalues"], levels, atol=1e-12)
    loss = ((levels - T) ** 2).sum(axis=-1)
    np.testing.assert_allclose(trace["trace_loss"], loss, rtol=1e-9)


def test_a_member_is_traced_as_if_it_were_alone(functions):
    given = fit_inputs(4)
    given["max_steps"] = tf.constant([300, 10, 70, 5])
    given["targets"] = tf.constant([T, T, T, [np.nan, 1.0, 2.0]], tf.float64)
    answer = functions["fit_trace"](**given)
    together = traced(answer)
    assert answer["result"].numpy()[3] == ef.Result.invalid_input
    for k in range(4):
        one = {name: x[k : k + 1] for name, x in given.items()}
        for name, x in traced(functions["fit_trace"](**one)).items():
            rtol = 0 if name == "trace_steps" else 1e-11
            np.testing.assert_allclose(together[name][k], x[0], rtol=rtol)
    for name, x in together.items():
        assert np.isfinite(x[:3]).all()
        assert name == "trace_steps" or np.isnan(x[3]).all()
    assert not together["trace_steps"][3].any()


@pytest.mark.parametrize(
    ("structure", "absent"),
    [
        (ef.Additive(np.diag(np.arange(12.0))), set()),
        (ef.Additive(np.diag(np.arange(13.0))), {"trace_matrix"}),
        (ef.Symmetric(17), {"trace_matrix", "trace_parameters"}),
    ],
    ids=["small", "medium", "large"],
)
def test_only_small_things_are_traced(structure, absent):
    # The method plays no part in it, and this one is quickly traced.
    solver = ef.Solver(ef.Problem(structure), ef.Adam())
    listed = {x.name: x for x in signatures_of(solver)}
    outputs = set(listed["fit_trace"].traced.get_concrete_function().structured_outputs)
    names = {"steps", "loss", "eigenvalues", "parameters", "matrix"}
    expected = {f"trace_{x}" for x in names} - absent
    assert {x for x in outputs if x.startswith("trace_")} == expected


PLAIN = """
import sys, numpy as np, tensorflow as tf
fit = tf.saved_model.load(sys.argv[1]).signatures["fit_trace"]
answer = fit(initial=tf.ones([2, 6], tf.float64), max_steps=tf.constant([40, 40]),
    targets=tf.constant([[1., 2., 4.], [1., 1., 2.]], tf.float64),
    tolerance=tf.zeros([2], tf.float64))
assert (answer["result"].numpy() == 0).all(), answer
assert answer["trace_matrix"].shape == [2, 65, 3, 3]
assert "eigenfit" not in sys.modules
"""


@pytest.mark.slow
def test_plain_tensorflow_runs_it(tmp_path):
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)))
    folder = save_model(solver, tmp_path, warmup_batches=())
    command = [sys.executable, "-c", PLAIN, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
