"""The whole fit in ONNX Runtime, beside the solver in TensorFlow."""

import functools
import os

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit import gallery
from eigenfit_export import save_onnx
from eigenfit_export.onnx import programs
from eigenfit_export.onnx.check import Session
from eigenfit_export.onnx.compare import compare
from eigenfit_export.onnx.portable import portable
from eigenfit_export.onnx.probes import NEEDED, onnx_probes
from eigenfit_export.onnx.programs import Program
from eigenfit_export.onnx.save import programs_of
from eigenfit_export.probes.stored import record_probes

LM = ef.LevenbergMarquardt()
PUBLISHED = {"T19": "auto", "T1": "auto", "T14": LM}
MORE = {"T1": LM, "T11": "auto", "T7a": "auto"}


@functools.cache
def exported(name, method="auto"):
    """A published problem: its entry, its solver, its fit in ONNX Runtime."""
    entry = gallery.load(name)
    solver = ef.Solver(entry.problem, method, compile="graph")
    model = programs.fit(solver).model()
    assert len(model.SerializeToString()) < (
        100_000 if entry.problem.order < 10 else 2e5
    )
    return entry, solver, Session(model).run


def inputs_of(entry, solver, batch, **changes):
    problem = entry.problem
    given = {
        "initial": np.broadcast_to(entry.initial, [batch, problem.num_parameters]),
        "targets": np.broadcast_to(entry.targets, [batch, problem.num_targets]),
        "tolerance": np.full(batch, entry.tolerance),
        "max_steps": np.full(batch, solver.method.default_max_steps, np.int32),
    }
    return given | changes


@pytest.mark.sample(1)
@pytest.mark.parametrize(("name", "method"), PUBLISHED.items(), ids=str)
def test_published_problems_are_solved(name, method):
    entry, solver, run = exported(name, method)
    answer = run(**inputs_of(entry, solver, 1))
    assert set(answer) == set(ef.Solution._fields) - {"history"}
    assert answer["result"].tolist() == [ef.Result.converged]
    np.testing.assert_allclose(answer["eigenvalues"][0], entry.levels, atol=1e-10)
    solution = ef.Solution(**{k: tf.constant(x[0]) for k, x in answer.items()})
    assert entry.compare(solution).reproduced
    expected = solver.fit(entry.initial, entry.targets, tolerance=entry.tolerance)
    np.testing.assert_allclose(
        answer["parameters"][0], expected.parameters, rtol=0, atol=1e-10
    )
    np.testing.assert_allclose(answer["matrix"][0], expected.matrix, atol=1e-10)
    assert answer["num_steps"][0] == expected.num_steps


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method"), MORE.items(), ids=str)
def test_more_problems_are_solved(name, method):
    entry, solver, run = exported(name, method)
    answer = run(**inputs_of(entry, solver, 1))
    assert answer["result"].tolist() == [ef.Result.converged]
    size = np.abs(entry.levels).max()
    np.testing.assert_allclose(
        answer["eigenvalues"][0] / size, np.divide(entry.levels, size), atol=1e-9
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [ef.GaussNewton(), ef.Newton(), ef.LBFGS(), ef.Adam()], ids=repr
)
def test_other_methods(method):
    entry, solver, run = exported("T1", method)
    limits = {"max_steps": [60]}
    answer = run(**inputs_of(entry, solver, 1, **limits))
    expected = solver.fit(
        entry.initial, entry.targets, tolerance=entry.tolerance, max_steps=60
    )
    assert answer["result"][0] == expected.result
    assert answer["num_steps"][0] == expected.num_steps
    np.testing.assert_allclose(answer["parameters"][0], expected.parameters, atol=1e-9)


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["T19", "T14"])
def test_every_way_to_end_and_bad_members(rng, name):
    entry, solver, run = exported(name, PUBLISHED[name])
    m = len(entry.targets)
    given = inputs_of(entry, solver, 9)
    given = {k: np.array(x) for k, x in given.items()}
    given["initial"][:] += 0.1 * rng.normal(size=given["initial"].shape)
    given["targets"][1] += np.arange(m) * 0.3
    given["targets"][2, -1] = np.nan
    given["targets"][3] = given["targets"][3, ::-1] + np.arange(m)[::-1]
    given["initial"][4, 0] = np.inf
    given["tolerance"][5] = -1
    given["max_steps"][6] = -1
    given["max_steps"][7] = 0
    given["tolerance"][8] = 1e300
    answer = run(**given)
    invalid = int(ef.Result.invalid_input)
    assert answer["result"][2:7].tolist() == [invalid] * 5
    assert answer["result"][[7, 8]].tolist() == [ef.Result.max_steps, 0]
    for key in ("matrix", "eigenvalues", "loss"):
        assert np.isnan(answer[key][2:7]).all()
    np.testing.assert_array_equal(answer["parameters"][2:7], given["initial"][2:7])
    assert answer["num_steps"][2:].tolist() == [0] * 7
    program = solver.programs.fit.variant("graph")
    specs = solver.programs.fit.signature
    expected = program(*(tf.constant(given[x.name], x.dtype) for x in specs))
    expected = dict(zip(ef.Solution._fields, expected, strict=False))
    for key in ("num_steps", "result"):
        np.testing.assert_array_equal(answer[key], expected[key])
    for key in ("parameters", "matrix", "eigenvalues"):
        np.testing.assert_allclose(answer[key], expected[key], rtol=1e-8, atol=1e-8)
    # Alone, a good member gets the same; only sums of few terms round otherwise.
    for b in (0, 1):
        alone = run(**{k: x[b : b + 1] for k, x in given.items()})
        assert alone["result"] == answer["result"][b]
        np.testing.assert_allclose(
            alone["parameters"][0], answer["parameters"][b], rtol=1e-9, atol=1e-9
        )


@pytest.mark.slow
def test_batches(rng):
    entry, solver, run = exported("T1", "auto")
    for batch in (0, 1, 40):
        start = entry.initial + 0.01 * rng.normal(size=[batch, 8])
        answer = run(**inputs_of(entry, solver, batch, initial=start))
        assert answer["parameters"].shape == (batch, 8)
        assert np.all(answer["result"] == ef.Result.converged)
        found = np.linalg.eigvalsh(answer["matrix"])
        np.testing.assert_allclose(
            found, np.broadcast_to(entry.targets, found.shape), atol=1e-10
        )


def test_a_start_on_a_kink():
    # A Toeplitz matrix c I, of which no gradient leads away.
    entry, solver, run = exported("T14", LM)
    start = np.zeros([1, 15])
    answer = run(**inputs_of(entry, solver, 1, initial=start))
    expected = solver.fit(start, entry.targets, tolerance=entry.tolerance)
    assert answer["result"][0] == expected.result[0] == ef.Result.converged


def test_steps_are_cut_to_the_limit_of_the_export():
    entry = gallery.load("T14")
    solver = ef.Solver(entry.problem, LM)
    program = programs.fit(solver, 3)
    given = inputs_of(entry, solver, 1)
    tensors = [tf.constant(given[x.name], x.dtype) for x in program.inputs]
    answer = program.function(*tensors)
    assert answer["num_steps"].numpy().tolist() == [3]
    assert answer["result"].numpy().tolist() == [ef.Result.max_steps]


def exponential(r):
    return tf.exp(r)[..., tf.newaxis] * tf.eye(3, dtype=r.dtype)


class Own(ef.AbstractLinearStructure):
    """Derivatives by a tape, which does not convert."""

    def __init__(self, dtype):
        super().__init__(3, 2, dtype)

    def assemble(self, parameters):
        a, b = parameters[..., :1, tf.newaxis], parameters[..., 1:, tf.newaxis]
        fixed = tf.constant([[1.0, 2, 0], [2, 0, 1], [0, 1, 1]], self.dtype)
        return a * fixed + b * tf.eye(3, dtype=self.dtype)


STRUCTURES = [
    lambda d: ef.Affine(np.stack([np.eye(3), np.ones([3, 3])]), np.diag([1, 2, 3]), d),
    lambda d: ef.Assembly([0, 1, 1, 2], [0, 0, 1, 2], [0, 1, 1, 0], [1.0, 2, 1, 3]),
    lambda d: ef.Banded(6, 2, d),
    lambda d: ef.Toeplitz(5, d),
    Own,
]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("k", range(len(STRUCTURES)))
def test_other_structures(tmp_path, k, dtype):
    structure = STRUCTURES[k](dtype)
    problem = ef.Problem(structure, ef.Levels([0, -1], weights=[1.0, 4.0]))
    solver = ef.Solver(problem, LM, compile="graph")
    names = ["gradient", "weighted_gradient", "fit"]
    written = save_onnx(solver, tmp_path, functions=names)  # compares
    assert len(written) == 3


@pytest.mark.sample(1)
@pytest.mark.parametrize("structure", [ef.Symmetric, ef.Tridiagonal])
def test_gradients_in_float32_are_not_refused_for_rounding(tmp_path, structure):
    solver = ef.Solver(ef.Problem(structure(4, tf.float32)), LM, compile="graph")
    assert save_onnx(solver, tmp_path, functions=["gradient"])  # compares


@pytest.mark.slow
def test_bounds_and_a_few_levels(tmp_path):
    bounds = ef.Parameters(bounds=(-1.0, 2.0))
    problem = ef.Problem(ef.Tridiagonal(3), ef.Levels([0, 2]), parameters=bounds)
    solver = ef.Solver(problem, LM, compile="graph")
    path = save_onnx(solver, tmp_path, functions=["fit"])["fit_float64"]
    given = {
        "initial": [[1.0, 1.0, 1.0, 0.5, 0.5], [1.0, 1.0, 3.0, 0.5, 0.5]],
        "targets": [[0.0, 5.0], [0.0, 2.0]],
        "tolerance": [1e-16, 1e-16],
        "max_steps": [100, 100],
    }
    answer = Session(path).run(**given)
    expected = solver.fit(given["initial"][0], given["targets"][0], tolerance=1e-16)
    assert answer["result"].tolist() == [expected.result, ef.Result.invalid_input]
    np.testing.assert_allclose(answer["parameters"][0], expected.parameters, atol=1e-6)
    assert np.abs(answer["parameters"][0]).max() <= 2


def test_portable_problems():
    toeplitz = ef.Problem(ef.Toeplitz(4), ef.Levels([1, 2]))
    changed = portable(toeplitz)
    assert isinstance(toeplitz.structure, ef.Toeplitz)
    assert isinstance(changed.structure, ef.Affine)
    r, t = np.arange(4.0), np.array([1.0, 2.0])
    np.testing.assert_allclose(changed.matrix(r), toeplitz.matrix(r))
    np.testing.assert_allclose(changed.gradient(r, t), toeplitz.gradient(r, t))
    for problem in (
        ef.Problem(ef.Symmetric(3)),
        ef.Problem(ef.Parametric(exponential, 3, 3)),
        ef.Problem(ef.Toeplitz(26)),  # 26^3 numbers are too many
    ):
        assert portable(problem) is problem


@pytest.mark.slow
def test_all_functions_of_a_solver(tmp_path):
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    written = save_onnx(solver, tmp_path / "deep" / "folder")
    assert list(written) == [
        "eigh_float32",
        "eigh_float64",
        "eigengradient_float32",
        "eigengradient_float64",
        "loss_gradient_float32",
        "loss_gradient_float64",
        "gradient_float64",
        "weighted_gradient_float64",
        "fit_float64",
    ]
    assert {x.name for x in written.values()} == set(
        os.listdir(tmp_path / "deep/folder")
    )
    r, t = np.array([[1.0, 2.0, 0.5]]), np.array([[0.0, 1.0]])
    expected = solver.gradient(r, t)
    run = Session(written["gradient_float64"]).run
    for key, x in run(parameters=r, targets=t).items():
        np.testing.assert_allclose(x, getattr(expected, key), atol=1e-14)
    run = Session(written["weighted_gradient_float64"]).run
    answer = run(parameters=r, targets=t, weights=[[3.0, 3.0]])
    np.testing.assert_allclose(answer["gradient"], 3 * expected.gradient, atol=1e-13)
    import onnx

    model = onnx.load(str(written["fit_float64"]))
    facts = {x.key: x.value for x in model.metadata_props}
    assert facts == {
        "eigenfit": ef.__version__,
        "problem": repr(solver.problem),
        "method": "IsospectralProjection()",
        "max_steps_limit": "1",
    }


def test_fixed_orders_are_for_small_matrices():
    def order(solver, **options):
        found = programs_of(solver, ["eigh"], **options)
        assert [x.dtype for x in found] == ["float32", "float64"]
        (order,) = {x.inputs[0].shape[1] for x in found}
        return order

    solver = ef.Solver(ef.Problem(ef.Symmetric(4)))
    assert order(solver) == 4
    assert order(solver, any_order=True) is None
    assert order(ef.Solver(ef.Problem(ef.Symmetric(5)))) is None
    blocks = [ef.Block(ef.Symmetric(2)), ef.Block(ef.Symmetric(2))]
    joint = ef.Solver(ef.Problem(blocks))
    assert order(joint) is None
    with pytest.raises(ValueError, match="several blocks or observations"):
        programs_of(joint)


def test_what_cannot_be_exported(tmp_path):
    with pytest.raises(TypeError, match=r"`solver` must be an eigenfit\.Solver"):
        save_onnx(3, tmp_path)
    solver = ef.Solver(ef.Problem(ef.Hermitian(2)))
    with pytest.raises(ValueError, match="ONNX has no complex numbers"):
        save_onnx(solver, tmp_path)
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    with pytest.raises(ValueError, match=r"`functions` must be some of eigh, .*'fits'"):
        save_onnx(solver, tmp_path, functions=["fits"])
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        save_onnx(solver, tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_writing_is_atomic(tmp_path, monkeypatch):
    solver = ef.Solver(ef.Problem(ef.Symmetric(1)))
    (tmp_path / "gradient_float64.onnx").write_text("old")

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_onnx(solver, tmp_path, functions=["gradient"])
    assert os.listdir(tmp_path) == ["gradient_float64.onnx"]
    assert (tmp_path / "gradient_float64.onnx").read_text() == "old"


def test_a_model_with_other_numbers_is_refused():
    solver = ef.Solver(ef.Problem(ef.Symmetric(1)))
    good = programs.gradient(solver)

    def wrong(*arguments):
        answer = good.function(*arguments)
        return answer | {"gradient": answer["gradient"] + 1e-6}

    bad = Program("gradient", "float64", good.inputs, wrong)
    recorded = record_probes(solver, only=NEEDED)
    probe = onnx_probes(solver.problem, recorded)["gradient_float64"]
    text = r"gradient_float64.onnx gives another `gradient` in ONNX Runtime"
    with pytest.raises(ValueError, match=text):
        compare(bad, bad.model(), probe)
    assert compare(good, good.model(), probe) < 1


def test_nothing_is_written_that_was_not_compared(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise ValueError("other numbers")

    monkeypatch.setattr("eigenfit_export.onnx.save.compare", refuse)
    with pytest.raises(ValueError, match="other numbers"):
        save_onnx(
            ef.Solver(ef.Problem(ef.Symmetric(1))), tmp_path, functions=["gradient"]
        )
    assert os.listdir(tmp_path) == []
