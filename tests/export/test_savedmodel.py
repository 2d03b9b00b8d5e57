import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef
from eigenfit_export import load_model, save_model

T = [1.0, 1.0, 1.0]
METHODS = [ef.Adam(), ef.LevenbergMarquardt(), ef.IsospectralProjection()]


def solver_of(method="auto", dtype=tf.float64):
    # As exported: "auto" may take XLA, whose last digits differ.
    return ef.Solver(ef.Problem(ef.Symmetric(3, dtype)), method, compile="graph")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_model(solver_of(), tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("batch", [[], [1], [5], [2, 3], [0]])
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_reloaded_functions_give_the_same_numbers(tmp_path, rng, caplog, method, batch):
    solver = solver_of(method, tf.float32)
    loaded = load_model(save_model(solver, tmp_path))
    r = rng.uniform(size=[*batch, 6]).astype(np.float32)
    for ours, theirs in (
        (solver.fit(r, T, max_steps=50)[:6], loaded.fit(r, T, max_steps=50)[:6]),
        (solver.gradient(r, T), loaded.gradient(r, T)),
    ):
        assert type(ours) is type(theirs)
        assert_same(ours, theirs)
    assert_same(solver.eigenvalues(r), loaded.eigenvalues(r))
    ours = solver.step(solver.init(r, T), T)
    theirs = loaded.step(loaded.init(r, T), T)
    for name in ("parameters", "eigenvalues", "eigenvectors", "residual", "loss"):
        assert_same(getattr(ours.point, name), theirs[name])
    # TensorFlow warns of custom gradients that a SavedModel cannot hold.
    assert caplog.text == ""


def assert_same(a, b):
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def test_state_has_telling_names(tmp_path):
    point = {"parameters", "eigenvalues", "eigenvectors", "residual", "loss"}
    own = {
        "Adam": {"first_moment", "second_moment", "num_updates"},
        "LevenbergMarquardt": {"scale", "damping_mu", "damping_growth", "code"},
        "IsospectralProjection": {"code"},
    }
    for method in METHODS:
        name = type(method).__name__
        loaded = load_model(save_model(solver_of(method), tmp_path / name))
        assert set(loaded.init(np.zeros(6), T)) == point | own[name]


def test_inputs_and_outputs_are_batch_major(saved):
    model = tf.saved_model.load(str(saved))
    assert set(model.signatures) == {
        "serving_default",
        "eigenvalues",
        "gradient",
        "init",
        "step",
    }
    for function in model.signatures.values():
        specs = [
            *function.structured_input_signature[1].values(),
            *function.structured_outputs.values(),
        ]
        for spec in specs:
            assert spec.shape.rank >= 1
            assert spec.shape[0] is None


def test_serving_default_has_nothing_compiled_by_xla(saved):
    # TensorFlow Serving refuses such functions unless started with a flag.
    graph = tf.saved_model.load(str(saved)).signatures["serving_default"].graph
    library = graph.as_graph_def().library.function
    assert library
    for function in library:
        assert not function.attr["_XlaMustCompile"].b
        assert "PyFunc" not in {node.op for node in function.node_def}


FRESH = """
import importlib.abc, json, os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith("eigenfit"):
            raise ImportError(name)

sys.meta_path.insert(0, Refuse())
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
r = np.array(json.loads(sys.argv[2]))
b = len(r)
answer = model.signatures["serving_default"](
    initial=tf.constant(r), targets=tf.ones([b, 3], tf.float64),
    tolerance=tf.fill([b], tf.constant(1e-8, tf.float64)),
    max_steps=tf.fill([b], 100),
)
gradient = model.signatures["gradient"](
    parameters=tf.constant(r), targets=tf.ones([b, 3], tf.float64)
)
assert not any(name.startswith("eigenfit") for name in sys.modules)
print(json.dumps({
    "parameters": answer["parameters"].numpy().tolist(),
    "result": answer["result"].numpy().tolist(),
    "gradient": gradient["gradient"].numpy().tolist(),
}))
"""


def test_loads_in_a_fresh_process_without_the_package(saved, rng):
    r = rng.uniform(size=[2, 6])
    run = subprocess.run(
        [sys.executable, "-c", FRESH, str(saved), json.dumps(r.tolist())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    solver = solver_of()
    expected = solver.fit(r, T)
    np.testing.assert_array_equal(answer["parameters"], expected.parameters)
    np.testing.assert_array_equal(answer["result"], expected.result)
    np.testing.assert_array_equal(answer["gradient"], solver.gradient(r, T).gradient)


@pytest.mark.parametrize("case", zoo.CASES, ids=str)
def test_every_structure_and_observation_can_be_exported(tmp_path, case):
    solver = ef.Solver(case.problem())
    loaded = load_model(save_model(solver, tmp_path))
    solution = loaded.fit(case.initial, case.targets, tolerance=1e-16)
    solution.raise_for_result()
    assert zoo.loss(solver.problem, solution.parameters, case.targets) <= 1.01e-16


def test_bad_members_get_codes(saved):
    loaded = load_model(saved)
    targets = [[1.0, 1.0, 1.0], [2.0, 1.0, 3.0], [np.nan, 1.0, 1.0], [0.0, 1.0, 2.0]]
    solution = loaded.fit(np.zeros(6), targets, tolerance=[1e-8, 1e-8, 1e-8, -1.0])
    invalid = ef.Result.invalid_input
    np.testing.assert_array_equal(solution.result, [0, invalid, invalid, invalid])


def test_versions_count_up_and_the_newest_is_loaded(tmp_path):
    base = tmp_path / "deep" / "model"
    assert save_model(solver_of(), base).name == "1"
    (base / "41").mkdir()
    (base / "notes").mkdir()
    other = solver_of(ef.Adam())
    version = save_model(other, base)
    assert version == base / "42"
    assert load_model(base).manifest["method"] == repr(other.method)
    assert load_model(base / "1").manifest["method"] == "IsospectralProjection()"


def test_writing_is_atomic(tmp_path, monkeypatch):
    # A failure half-way leaves nothing that a server could take for a version.
    def fail(*arguments, **options):
        original(*arguments, **options)
        raise OSError("disk full")

    original = tf.saved_model.save
    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(solver_of(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_get_different_versions(tmp_path):
    solver = solver_of()
    versions = []
    threads = [
        threading.Thread(target=lambda: versions.append(save_model(solver, tmp_path)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(v.name for v in versions) == ["1", "2", "3"]
    assert {p.name for p in tmp_path.iterdir()} == {"1", "2", "3"}


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No SavedModel in .*save_model"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="No SavedModel"):
        load_model(tmp_path / "missing")
    other = tf.Module()
    other.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec([], tf.float32)])
    tf.saved_model.save(other, str(tmp_path / "1"))
    with pytest.raises(ValueError, match="is not a model of eigenfit"):
        load_model(tmp_path)


def test_base_path_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        save_model(solver_of(), tmp_path / "file")
    with pytest.raises(TypeError, match=r"`solver` must be an eigenfit\.Solver"):
        save_model(3, tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_reloaded_functions_check_their_arguments(saved):
    loaded = load_model(saved)
    with pytest.raises(ValueError, match=r"`initial` must have shape \[..., 6\]"):
        loaded.fit([1.0], T)
    with pytest.raises(TypeError, match="`targets` must be real numbers"):
        loaded.gradient(np.zeros(6), "abc")


def test_a_version_that_appears_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    # Another writer takes number 1 after this one has looked.
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "theirs").write_text("")
    answers = [[], [1]]
    monkeypatch.setattr(
        "eigenfit_export.savedmodel._versions", lambda base: answers.pop(0)
    )
    assert save_model(solver_of(), tmp_path).name == "2"
    assert (tmp_path / "1" / "theirs").exists()


def test_a_file_with_a_number_for_a_name_is_passed_over(tmp_path):
    (tmp_path / "1").write_text("")
    assert save_model(solver_of(), tmp_path).name == "2"


def test_unfinished_folders_are_passed_over(tmp_path):
    os.rename(save_model(solver_of(), tmp_path), tmp_path / "01")
    (tmp_path / "9").mkdir()
    assert load_model(tmp_path).fit(np.zeros(6), T).result == 0
