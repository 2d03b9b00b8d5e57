import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tests import zoo

import eigenfit as ef
from eigenfit_export import Start, export_solver, load_model, save_model
from eigenfit_export.loading.manifest_reader import read_manifest

T = [1.0, 1.0, 1.0]
METHODS = [ef.Adam(), ef.LevenbergMarquardt(), ef.IsospectralProjection()]
STATE = {"parameters", "eigenvalues", "eigenvectors", "residual", "loss"}
OWN = {
    "Adam": {"first_moment", "second_moment", "num_updates"},
    "LevenbergMarquardt": {"scale", "damping_mu", "damping_growth", "code"},
    "IsospectralProjection": {"code"},
}
FUNCTIONS = [
    "fit",
    "fit_from_random",
    "eigenvalues",
    "gradient",
    "eigengradient",
    "hessian_vector_product",
    "init",
    "step",
    "fit_trace",
]


def solver_of(method="auto", dtype=tf.float64):
    # As exported: "auto" may take XLA, whose last digits differ.
    return ef.Solver(ef.Problem(ef.Symmetric(3, dtype)), method, compile="graph")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_model(solver_of(), tmp_path_factory.mktemp("model"))


@pytest.mark.slow
@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "method",
    [pytest.param(METHODS[0], marks=pytest.mark.slow), *METHODS[1:]],
    ids=lambda method: type(method).__name__,
)
def test_reloaded_functions_give_the_same_numbers(tmp_path, rng, caplog, method):
    solver = solver_of(method, tf.float32)
    loaded = load_model(save_model(solver, tmp_path, warmup_batches=()))
    # TensorFlow warns of custom gradients that a SavedModel cannot hold.
    assert caplog.text == ""
    assert set(loaded.init(np.zeros(6), T)) == STATE | OWN[type(method).__name__]
    # A fit without a batch dimension is another program in Python.
    for batch in ([1], [5], [2, 3], [0]):
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
        for name in STATE:
            assert_same(getattr(ours.point, name), theirs[name])


def assert_same(a, b):
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def test_inputs_and_outputs_are_batch_major(saved):
    model = tf.saved_model.load(str(saved))
    narrow = [name + "_float32" for name in FUNCTIONS]
    names = {"serving_default", "fit_xla", *FUNCTIONS, *narrow}
    assert set(model.signatures) == names
    described = read_manifest(saved)["artefacts"][0]["signatures"]
    for name, function in model.signatures.items():
        inputs = function.structured_input_signature[1]
        for specs, facts in (
            (inputs, described[name]["inputs"]),
            (function.structured_outputs, described[name]["outputs"]),
        ):
            assert sorted(specs) == sorted(x["name"] for x in facts)
            for fact in facts:
                spec = specs[fact["name"]]
                assert spec.shape.as_list() == fact["shape"]
                assert spec.dtype.name == fact["dtype"]
                assert spec.shape.rank >= 1
                assert spec.shape[0] is None
                if name.endswith("_float32"):  # what tfjs-node knows
                    assert spec.dtype in (tf.float32, tf.int32)


def compiled_functions(graph):
    """Functions in a graph that must be compiled by XLA, or run Python."""
    library = graph.as_graph_def().library.function
    assert library
    return [
        function.signature.name
        for function in library
        if function.attr["_XlaMustCompile"].b
        or "PyFunc" in {node.op for node in function.node_def}
    ]


def test_only_fit_xla_is_compiled_by_xla(saved):
    # TensorFlow Serving refuses such functions unless started with a flag.
    for name, function in tf.saved_model.load(str(saved)).signatures.items():
        assert bool(compiled_functions(function.graph)) == (name == "fit_xla"), name


@pytest.mark.parametrize(("order", "compiled"), [(3, True), (65, False)])
def test_a_model_for_a_gpu_has_a_compiled_default(tmp_path, order, compiled):
    basis = np.zeros([2, order, order])
    basis[0], basis[1, 0, 0] = np.eye(order), 1.0
    solver = ef.Solver(ef.Problem(ef.Affine(basis), ef.Levels([0, order - 1])))
    only = ("serving_default", "fit", "fit_xla")
    folder = export_solver(solver, tmp_path, only=only, target="gpu", warmup_batches=())
    found = tf.saved_model.load(str(folder)).signatures
    assert bool(compiled_functions(found["serving_default"].graph)) == compiled
    assert not compiled_functions(found["fit"].graph)
    listed = read_manifest(folder)["artefacts"][0]["signatures"]
    assert listed["serving_default"]["compiled_by_xla"] == compiled
    if compiled:
        given = {
            "initial": tf.constant([[0.1, 0.5]], tf.float64),
            "targets": tf.constant([[1.0, 3.0]], tf.float64),
            "tolerance": tf.zeros([1], tf.float64),
            "max_steps": tf.constant([100]),
        }
        answer = found["serving_default"](**given)
        np.testing.assert_allclose(answer["parameters"], [[1.0, 2.0]], rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("case", zoo.CASES, ids=lambda case: case.name)
def test_every_structure_and_observation_can_be_exported(tmp_path, case):
    solver = ef.Solver(case.problem())
    loaded = load_model(save_model(solver, tmp_path))
    solution = loaded.fit(case.initial, case.targets, tolerance=1e-16)
    solution.raise_for_result()
    assert zoo.loss(solver.problem, solution.parameters, case.targets) <= 1.01e-16
    assert solution.matrix.dtype == solver.problem.structure.dtype


def test_bad_members_get_codes(saved):
    loaded = load_model(saved)
    targets = [[1.0, 1.0, 1.0], [2.0, 1.0, 3.0], [np.nan, 1.0, 1.0], [0.0, 1.0, 2.0]]
    solution = loaded.fit(np.zeros(6), targets, tolerance=[1e-8, 1e-8, 1e-8, -1.0])
    invalid = ef.Result.invalid_input
    np.testing.assert_array_equal(solution.result, [0, invalid, invalid, invalid])


@pytest.mark.slow
def test_versions_count_up_and_the_newest_is_loaded(tmp_path, saved):
    base = tmp_path / "deep" / "model"
    shutil.copytree(saved, base / "1")
    (base / "41").mkdir()
    (base / "notes").mkdir()
    other = solver_of(ef.Adam())
    version = save_model(other, base)
    assert version == base / "42"
    assert load_model(base).manifest["method"] == repr(other.method)
    assert load_model(base / "1").manifest["method"] == "IsospectralProjection()"


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


def test_reloaded_functions_check_their_arguments(saved):
    loaded = load_model(saved)
    with pytest.raises(ValueError, match=r"`initial` must have shape \[..., 6\]"):
        loaded.fit([1.0], T)
    with pytest.raises(TypeError, match="`targets` must be real numbers"):
        loaded.gradient(np.zeros(6), "abc")


def test_unfinished_folders_are_passed_over(tmp_path, saved):
    shutil.copytree(saved, tmp_path / "01")
    (tmp_path / "9").mkdir()
    assert load_model(tmp_path).fit(np.zeros(6), T).result == 0


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), ([0.0, 0.0], [1.0, 0.0])])
def test_a_box_of_starts_has_room_in_every_direction(low, high):
    with pytest.raises(ValueError, match="`high` must lie above `low`"):
        Start.uniform(low, high)


def test_a_model_of_the_first_release_is_loaded(tmp_path):
    # Written by version 0.1.0, whose models had no default tolerance of their own.
    with zipfile.ZipFile(Path(__file__).with_name("release_0_1_0.zip")) as stored:
        stored.extractall(tmp_path)
    model = load_model(tmp_path)
    assert model.manifest["format"] == 1
    solution = model.fit([1.0, 2.0, 5.0], [0.0, 1.0])
    assert solution.success
    np.testing.assert_allclose(
        np.linalg.eigvalsh(solution.matrix), [0.0, 1.0], atol=1e-12
    )
    refused = model.fit([1.0, 2.0, 5.0], [1.0, 0.0])
    assert refused.result == ef.Result.invalid_input
