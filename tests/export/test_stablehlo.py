"""StableHLO by JAX against the solver."""

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from tests.export.conftest import gallery_solver

import eigenfit as ef
from eigenfit import gallery
from eigenfit_export import StableHlo, run_stablehlo, save_stablehlo
from eigenfit_export.loading import stablehlo_loader

FIELDS = ("parameters", "matrix", "eigenvalues", "loss", "num_steps", "result")


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", ["fno", "identity"])
def test_published_fits_have_the_same_answer_by_jax(name, request):
    folder = request.getfixturevalue(name)
    entry = gallery.load("fno-additive" if name == "fno" else name)
    solver = gallery_solver(entry.name)
    answer = run_stablehlo(
        folder / "stablehlo" / "fit_b1.zip",
        device="cpu",
        initial=entry.initial,
        targets=entry.targets,
        tolerance=entry.tolerance,
        max_steps=solver.method.default_max_steps,
    )
    expected = solver.fit(entry.initial, entry.targets, tolerance=entry.tolerance)
    assert expected.result == ef.Result.converged
    for field in FIELDS:
        ours, theirs = answer[field][0], getattr(expected, field).numpy()
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12, err_msg=field)


def test_large_constants_stand_beside_the_program(fno):
    with zipfile.ZipFile(fno / "stablehlo" / "fit_b1.zip") as archive:
        with archive.open("constants/0.npy") as file:
            constant = np.load(file)
        program = archive.read("program.mlirbc")
    problem = gallery.load("fno-additive").problem
    np.testing.assert_array_equal(constant, problem.matrix(np.zeros(8)))
    assert program.startswith(b"ML\xefR\rStableHLO_v1.0.0")
    assert constant.tobytes() not in program


@pytest.fixture(scope="module")
def batched(tmp_path_factory):
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)), ef.LevenbergMarquardt())
    return save_stablehlo(solver, tmp_path_factory.mktemp("b") / "fit.zip", batch=3)


def test_batches_broadcast_and_bad_members_stay_alone(batched):
    fit = StableHlo(batched)
    assert fit.batch == 3
    answer = fit(
        initial=[0.1, 0.9, 0.3],
        targets=[[1.0, 2.0], [np.nan, 1.0], [0.0, 2.0]],
        tolerance=1e-20,
        max_steps=100,
    )
    assert answer["result"].tolist() == [0, ef.Result.invalid_input, 0]
    np.testing.assert_allclose(answer["eigenvalues"][[0, 2]], [[1, 2], [0, 2]])
    assert np.isnan(answer["eigenvalues"][1]).all()


def test_misuse_is_explained(batched, tmp_path):
    fit = StableHlo(batched)
    with pytest.raises(TypeError, match=r"The inputs are \['initial', 'targets'"):
        fit(initial=0.0)
    given = {"targets": 1.0, "tolerance": 1.0, "max_steps": 1}
    with pytest.raises(ValueError, match=r"`initial` must have shape \[3, 3\]"):
        fit(initial=np.zeros([4, 3]), **given)
    with pytest.raises(FileNotFoundError):
        StableHlo(tmp_path / "missing")
    (tmp_path / "x.zip").write_bytes(batched.read_bytes()[:-40])
    with pytest.raises(ValueError, match="no file of save_stablehlo, or damaged"):
        StableHlo(tmp_path / "x.zip")
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    for options, words in (
        ({"function": "run"}, "`function` must be one of serving_default, fit"),
        ({"function": "eigengradient"}, "takes `matrix` of any order"),
        ({"batch": 0}, "`batch` must be a positive integer"),
    ):
        with pytest.raises(ValueError, match=words):
            save_stablehlo(solver, tmp_path / "y.zip", **options)
    with pytest.raises(TypeError, match=r"`solver` must be an eigenfit\.Solver"):
        save_stablehlo(3, tmp_path / "y.zip")
    assert not (tmp_path / "y.zip").exists()


def test_the_loader_alone_needs_neither_tensorflow_nor_eigenfit(batched, tmp_path):
    shutil.copy(stablehlo_loader.__file__, tmp_path / "loader.py")
    script = f"""
import sys
for name in ("tensorflow", "eigenfit", "eigenfit_export"):
    sys.modules[name] = None
sys.path.insert(0, {str(tmp_path)!r})
import loader
answer = loader.run_stablehlo({str(batched)!r}, initial=[0.1, 0.9, 0.3],
    targets=[1.0, 2.0], tolerance=1e-20, max_steps=100)
print(answer["result"].tolist())
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "[0, 0, 0]", run.stderr


def test_importing_the_package_loads_no_tensorflow():
    script = (
        "import sys, eigenfit_export; from eigenfit_export import StableHlo; "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        ("gradient", {"parameters": [0.1, 0.9, 0.3], "targets": [1.0, 2.0]}),
        pytest.param(
            "fit_from_random",
            {"seed": [5], "targets": [1.0, 2.0], "tolerance": 1e-20, "max_steps": 50},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_other_functions(tmp_path, function, inputs):
    from tests.export.test_signatures import functions_of

    solver = ef.Solver(ef.Problem(ef.Symmetric(2)), ef.LevenbergMarquardt())
    path = save_stablehlo(solver, tmp_path / "f.zip", function=function)
    answer = run_stablehlo(path, **inputs)
    rows = {
        k: np.reshape(
            x, [1, *np.shape(x)[:1]][: 2 if k in ("parameters", "targets") else 1]
        )
        for k, x in inputs.items()
    }
    expected = functions_of(solver)[function](**rows)
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-10)


@pytest.mark.slow
def test_thousands_of_steps(tmp_path):
    entry = gallery.load("identity")
    solver = ef.Solver(entry.problem, ef.Adam(learning_rate=1e-3), compile="graph")
    path = save_stablehlo(solver, tmp_path / "adam.zip")
    given = {"initial": entry.initial, "targets": entry.targets, "tolerance": 1e-8}
    answer = run_stablehlo(path, **given, max_steps=20_000)
    expected = solver.fit(**given)
    assert answer["num_steps"][0] == expected.num_steps.numpy() > 1000
    np.testing.assert_allclose(answer["parameters"][0], expected.parameters, atol=1e-12)
