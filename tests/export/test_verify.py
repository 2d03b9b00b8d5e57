"""`eigenfit verify`: passes what is right, catches what was spoiled."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import typer.testing

import eigenfit as ef
from eigenfit import gallery
from eigenfit.eigen import decompose
from eigenfit_export import save_model
from eigenfit_export.loading.manifest_reader import MANIFEST, read_manifest
from eigenfit_export.manifest import PROBES, digest
from eigenfit_export.onnx.probes import NEEDED, onnx_probes
from eigenfit_export.probes.conditions import measure
from eigenfit_export.probes.stored import flatten_probes, record_probes
from eigenfit_export.signatures import signatures_of
from eigenfit_export.verification.runner import difference, run_checks
from eigenfit_export.verification.verify import verify_export


@pytest.fixture
def copy(identity, tmp_path):
    return shutil.copytree(identity, tmp_path / "model" / "1")


def statuses(path):
    return {x.artefact: x.status for x in verify_export(path)}


def edit_manifest(folder, change):
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))


def only(kind):
    """Drops the other artefacts from a manifest, to save time."""

    def change(content):
        content["artefacts"] = [x for x in content["artefacts"] if x["kind"] == kind]

    return change


def invoke(*arguments):
    from eigenfit_serving.cli.app import app

    return typer.testing.CliRunner().invoke(app, [str(x) for x in arguments])


def test_what_is_right_passes(identity):
    answer = invoke("verify", identity.parent)
    assert answer.exit_code == 0, answer.output
    lines = answer.stdout.splitlines()
    assert lines[0].split() == ["artefact", "runtime", "worst", "difference", "time"]
    assert lines[1].split()[:2] == ["1/files", "SHA-256"]
    assert lines[2].split()[:2] == ["1/savedmodel", "TensorFlow"]
    assert lines[3].split()[:2] == ["1/stablehlo/fit_b1.zip", "JAX"]
    assert all(line.endswith("ok") for line in lines[1:4])
    assert "All is as exported." in answer.stdout


@pytest.mark.slow
def test_all_formats_by_the_command_line(tmp_path):
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    formats = "savedmodel,onnx,stablehlo"
    path = tmp_path / "springs"
    answer = invoke("export", "examples/springs.toml", path, "--format", formats)
    assert answer.exit_code == 0, answer.output
    assert "onnxruntime.InferenceSession(" in answer.stdout
    assert "eigenfit_export.StableHlo(" in answer.stdout
    findings = verify_export(path)
    assert {x.runtime for x in findings} == {
        *("SHA-256", "TensorFlow", "ONNX Runtime", "JAX"),
    }
    assert all(x.status == "ok" for x in findings), findings


def test_wrong_formats_and_limits_are_refused_in_one_line(tmp_path):
    for option, value, words in (
        ("--format", "zip", "'zip' is none of savedmodel, onnx, stablehlo"),
        ("--format", "", "'' is none of"),
        ("--max-steps-limit", "0", "must be a positive integer"),
        ("--max-steps-limit", "many", "must be a positive integer"),
        ("--batch", "1,x", "must be positive integers"),
    ):
        answer = invoke("export", "examples/springs.toml", tmp_path, option, value)
        assert answer.exit_code == 2
        assert answer.stderr.startswith(f"eigenfit: {option}: ")
        assert words in answer.stderr
        assert len(answer.stderr.splitlines()) == 1


def test_a_corrupted_file_is_caught_and_not_loaded(copy):
    edit_manifest(copy, only("savedmodel"))
    path = copy / "saved_model.pb"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    answer = invoke("verify", copy)
    assert answer.exit_code == 3
    assert "saved_model.pb: its digest is not the one in the manifest" in answer.stdout
    assert statuses(copy) == {"files": "damaged", "savedmodel": "not run"}


def test_wrong_digests_sizes_and_files_are_caught(copy):
    edit_manifest(copy, only("stablehlo"))

    def spoil(content):
        content["files"]["fingerprint.pb"]["sha256"] = "0" * 64
        content["files"]["stablehlo/fit_b1.zip"]["bytes"] += 1

    edit_manifest(copy, spoil)
    (copy / "variables" / "variables.index").unlink()
    (copy / "more.txt").write_text("")
    finding, program = verify_export(copy)
    assert program.status == "not run"
    assert finding.status == "damaged"
    assert {line.split(":")[0] for line in finding.detail} == {
        "fingerprint.pb",
        "stablehlo/fit_b1.zip",
        "variables/variables.index",
        "more.txt",
    }


def with_digests(folder):
    """Makes the manifest agree with the files, as a careless tool would."""

    def change(content):
        for name, facts in content["files"].items():
            path = folder / name
            facts.update(bytes=path.stat().st_size, sha256=digest(path))

    edit_manifest(folder, change)


def test_a_model_whose_numbers_differ_is_caught(copy, tmp_path):
    # The same functions of another method, under the name of the first.
    problem = ef.Problem(ef.Symmetric(3))
    other = save_model(ef.Solver(problem, ef.Adam()), tmp_path / "other")
    shutil.copyfile(other / "saved_model.pb", copy / "saved_model.pb")
    shutil.rmtree(copy / "variables")
    shutil.copytree(other / "variables", copy / "variables")
    edit_manifest(copy, only("savedmodel"))
    kept = {"serving_default", "fit_float32", "fit_from_random", "gradient"}

    def fewer(content):
        own = content["artefacts"][0]
        own["checks"] = [x for x in own["checks"] if x["function"] in kept]

    edit_manifest(copy, fewer)
    with_digests(copy)
    files, model = verify_export(copy)
    assert files.status == "ok"
    assert model.status == "differs"
    assert model.is_bad
    wrong = {line.split(":")[0] for line in model.detail}
    assert wrong == kept - {"gradient"}  # which does not depend on the method


def test_small_differences_are_caught(copy):
    edit_manifest(copy, only("stablehlo"))
    probes = dict(np.load(copy / PROBES))
    values = probes["stablehlo_fit_b1/outputs/parameters"]
    values[0, 0] += 1e-11
    np.savez(copy / PROBES, **probes)
    with_digests(copy)
    _, program = verify_export(copy)
    assert program.status == "differs"
    np.testing.assert_allclose(program.worst, 1e-11 / np.abs(values).max(), rtol=0.1)
    assert program.tolerance < 1e-12
    assert "fit: parameters differs by" in program.detail[0]


def test_a_missing_runtime_or_kind_is_said(copy, monkeypatch):
    def change(content):
        content["artefacts"][0]["kind"] = "fortran"

    edit_manifest(copy, change)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "jax" else 1
    )
    _, first, second = verify_export(copy)
    assert first.detail == ("no runtime for the kind 'fortran'",)
    assert second.detail == ("jax is not installed",)
    assert not first.is_bad
    assert "2 not run" in invoke("verify", copy).stdout


def test_a_damaged_manifest_is_caught(copy):
    whole = (copy / MANIFEST).read_text()
    for text in (
        "",
        "{}",
        "[]",
        whole[:-50],
        whole.replace('"format": 2', '"format": 9'),
    ):
        (copy / MANIFEST).write_text(text)
        [finding] = verify_export(copy)
        assert finding.status == "damaged"
        assert invoke("verify", copy).exit_code == 3


def test_an_export_of_an_earlier_format_is_not_verified(copy):
    whole = (copy / MANIFEST).read_text()
    (copy / MANIFEST).write_text(whole.replace('"format": 2', '"format": 1'))
    [finding] = verify_export(copy)
    assert finding.status == "failed"
    assert "Export again" in finding.detail[0]
    assert invoke("verify", copy).exit_code == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.update(artefacts=[]),
        lambda content: content.update(artefacts=7),
        lambda content: content.update(files=[1]),
        lambda content: content["artefacts"][0].pop("path"),
        lambda content: content["artefacts"][0].pop("checks"),
        lambda content: content["artefacts"][0].update(checks=[]),
        lambda content: content["artefacts"][0]["checks"][0].update(allowed="x"),
        lambda content: content["artefacts"][0]["checks"][0].update(
            allowed={"loss": [float("inf")]}
        ),
        lambda content: next(iter(content["files"].values())).pop("sha256"),
    ],
)
def test_a_manifest_without_what_is_needed_is_damaged(copy, spoil):
    edit_manifest(copy, spoil)
    [finding] = verify_export(copy)
    assert finding.status == "damaged"
    assert "of the manifest" in finding.detail[0]


def test_eigenvectors_and_levels_are_compared(tmp_path):
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)))
    probes = onnx_probes(solver.problem, record_probes(solver, only=NEEDED))
    assert len(set(probes["eigengradient_float64"].inputs["level"])) == 3
    probe = probes["eigh_float64"]
    path = tmp_path / "probes.npz"
    np.savez(path, **flatten_probes({"eigh": probe}))
    good = probe.inputs["matrix"][:-1]
    w, V = np.full([4, 3], np.nan), np.full([4, 3, 3], np.nan)
    w[:-1], V[:-1] = np.linalg.eigh(good)
    allowed = {key: x.tolist() for key, x in probe.allowed.items()}
    check = {"function": "eigh", "probe": "eigh", "allowed": allowed}
    # In float32 it is as good as float32 can be, and no better.
    narrow = V.astype(np.float32).astype(np.float64)
    for vectors, low, high in (
        (V, 0, 1),
        (-V, 0, 1),
        (narrow, 1e3, 1e12),
        (3 * V, 1e9, np.inf),
    ):
        answer = {"eigenvalues": w, "eigenvectors": vectors}
        with np.load(path) as stored:
            [row] = run_checks(lambda *_, answer=answer: answer, stored, [check])
        assert not row["error"]
        assert low <= row["ratio"] < high, row


def test_what_is_no_export(tmp_path):
    answer = invoke("verify", tmp_path)
    assert answer.exit_code == 2
    assert answer.stderr.startswith(f"eigenfit: FOLDER = {tmp_path}: No export in")
    (tmp_path / "7").mkdir()
    assert statuses(tmp_path) == {"7/files": "damaged"}


@pytest.mark.slow
def test_the_manifest_says_what_it_is_of(fno):
    manifest = read_manifest(fno)
    assert manifest["problem"] == "Problem(Additive(order=8, dtype=float64), Levels())"
    assert manifest["blocks"] == [
        {
            "label": "",
            "structure": "Additive(order=8, dtype=float64)",
            "order": 8,
            "dtype": "float64",
            "matrix": "matrix",
        }
    ]
    assert manifest["observations"] == ["Levels()"]
    assert manifest["limits"] == {"max_steps": manifest["default_max_steps"]}
    for key in ("eigenfit", "tensorflow", "numpy", "python"):
        assert manifest[key][0].isdigit()
    kinds = [x["kind"] for x in manifest["artefacts"]]
    assert kinds == ["savedmodel", "stablehlo"]
    checks = {x["probe"]: x["allowed"] for x in manifest["artefacts"][0]["checks"]}
    allowed = {
        name: max(x["parameters"]) for name, x in checks.items() if "fit" in name
    }
    # float64 by TensorFlow and by XLA alike, and what float32 rounds away.
    assert allowed["fit"] == allowed["fit_xla"] < 1e-11
    assert 1e-7 < allowed["fit_float32"] < 1e-4
    assert manifest["start"] == {"kind": "natural", "draw": "spectrum"}
    assert set(manifest["files"]) == {
        "assets.extra/eigenfit_probes.npz",
        "assets.extra/tf_serving_warmup_requests",
        "fingerprint.pb",
        "saved_model.pb",
        "stablehlo/fit_b1.zip",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }


def test_difference():
    x = np.array([[1.0, np.nan, -200.0], [3.0, 0.0, 0.0]])
    moved = x + np.array([[0.002], [1e-6]])
    assert difference(x, x) == (0, 0)
    # Each member has its own size and its own tolerance: the second is worse.
    found = difference(moved, x, [0.004, 1e-7])
    np.testing.assert_allclose(found, (1e-6 / 3, 1e-7 / 3))
    np.testing.assert_allclose(found.ratio, 10)
    np.testing.assert_allclose(difference(moved, x, [0.004, 1e-5]).ratio, 0.5)
    assert difference(x[:, :2], x, 1.0).ratio == np.inf
    assert difference(np.zeros([2, 3]), x, 1e9).ratio == np.inf
    assert difference(np.array([1, 2]), np.array([1, 3]), 1e9).ratio == np.inf
    assert difference(np.zeros([0, 3]), np.zeros([0, 3])).ratio == 0


def test_conditions_are_those_of_the_theory():
    # Vectors turn by eps |A| / gap, levels move by eps |A|, whatever the unit.
    eps = np.finfo(float).eps
    for unit in (1e-120, 1.0, 1e120):
        for gap in (1.0, 1e-4, 1e-8):
            A = unit * (np.eye(2) + gap * np.array([[[0.6, 0.8], [0.8, -0.6]]]))

            def solve(given):
                w, V = decompose(tf.constant(given["matrix"]))
                return {"w": w.numpy(), "P": (V[..., :1] * V[:, None, :, 0]).numpy()}

            found = measure(solve, {"matrix": A}, tf.float64)
            size = np.linalg.norm(A[0])
            assert 3 < found.allowed["w"][0] / (eps * size) < 150
            assert 3 < found.allowed["P"][0] / (eps * size / (2 * gap * unit)) < 150


def test_a_fit_that_is_cut_short_is_caught():
    # A model that makes three steps at most passes no longer, nor does one that makes
    # a step more than its manifest says.
    solver = ef.Solver(gallery.load("toeplitz-4").problem, ef.LevenbergMarquardt())
    for limit, other in ((None, 3), (3, 4)):
        probe = record_probes(solver, limit, only=("fit",))["fit"]
        functions = {x.name: x for x in signatures_of(solver, other)}
        answer = functions["fit"].function(*map(tf.constant, probe.inputs.values()))
        expected = probe.outputs["num_steps"]
        assert (answer["num_steps"].numpy() != expected).any(), (limit, expected)
