import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import eigenfit as ef
from eigenfit_serving.cli.app import app
from eigenfit_serving.cli.printing import terminal
from eigenfit_serving.errors import InputError
from eigenfit_serving.files import replacing

EXAMPLES = Path(__file__).parents[2] / "examples"

GOOD = """schema = 1
targets = [1.0, 2.0, 3.0]
[structure]
kind = "symmetric"
order = 3
"""

AFFINE = """schema = 1
targets = [1.0, 2.0]
[structure]
kind = "affine"
basis = [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The import is done with; see test_stderr_stays_clean for what this turns off.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    Path("good.toml").write_text(GOOD)


@pytest.fixture
def invoke():
    def run(*arguments: str):
        result = CliRunner().invoke(app, list(arguments), prog_name="eigenfit")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def check_bad_input(result, *fragments: str) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("eigenfit: ")
    assert result.stderr.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.stderr


# Text of a file, then what the message must hold: key, value, remedy.
BAD_FILES = {
    "syntax": ("schema = 1\ntargets [1.0]", "line 2, column 9", "Correct it"),
    "unknown key": (GOOD + "[fit]\ntolerence = 1", 'Did you mean "tolerance"?'),
    "unknown table": (GOOD + "[fits]\na = 1", "fits", 'Did you mean "fit"?'),
    "unknown option of a method": (
        GOOD + "[fit.adam]\nmomentum = 1",
        "fit.adam.momentum",
        "learning_rate",
    ),
    "no schema": (GOOD.replace("schema = 1", ""), "schema: is missing", "Add it"),
    "other schema": (GOOD.replace("schema = 1", "schema = 2"), "schema = 2", "be 1"),
    "no targets": (
        GOOD.replace("targets = [1.0, 2.0, 3.0]", ""),
        "targets: is missing",
        "ascending numbers",
    ),
    "target is text": (
        GOOD.replace("2.0", '"a"'),
        'targets[1] = "a"',
        "must be a number",
    ),
    "target is nan": (GOOD.replace("2.0", "nan"), "targets[1] = NaN", "be finite"),
    "targets descend": (
        GOOD.replace("2.0", "0.5"),
        "targets[1] = 0.5",
        "must ascend with their levels: sort them",
    ),
    "wrong number of targets": (
        GOOD.replace("[1.0, ", "["),
        "targets: has 2 numbers for 3",
        "observation.indices",
    ),
    "no structure": ("schema = 1\ntargets = [1.0]", "structure: is missing", "kind"),
    "unknown structure": (
        GOOD.replace("symmetric", "sparse"),
        'structure.kind = "sparse"',
        '"symmetric", "affine"',
    ),
    "order zero": (
        GOOD.replace("order = 3", "order = 0"),
        "structure.order = 0",
        "integer from 1",
    ),
    "order is a float": (
        GOOD.replace("order = 3", "order = 3.0"),
        "structure.order = 3.0",
        "integer",
    ),
    "key of another structure": (
        AFFINE + "order = 2",
        "structure.order: is not a known key",
        "basis",
    ),
    "basis not symmetric": (
        AFFINE.replace("[1.0, 0.0]", "[1.0, 0.5]"),
        "structure.basis[0][0][1] = 0.5",
        "Only one triangle is there: give both",
    ),
    "basis too flat": (
        AFFINE.replace("[[[1.0, 0.0], [0.0, 0.0]], ", "").replace("]]]", "]]"),
        "structure.basis =",
        "a list of matrices, e.g.",
    ),
    "basis ragged": (
        AFFINE.replace("[1.0, 0.0]", "[1.0]"),
        "structure.basis[0][1]",
        "equally long",
    ),
    "offset of another order": (
        AFFINE + "offset = [[1.0]]",
        "structure.offset: has shape [1, 1]",
        "Give it the same",
    ),
    "index out of range": (
        GOOD + "[observation]\nindices = [0, 1, 3]",
        "observation.indices[2] = 3",
        "levels 0 to 2",
    ),
    "index twice": (
        GOOD + "[observation]\nindices = [0, 1, -3]",
        "observation.indices = [0, 1, -3]",
        "Give each once",
    ),
    "weight zero": (
        GOOD + "[observation]\nweights = [0.0, 1.0, 1.0]",
        "observation.weights = [0.0, 1.0, 1.0]",
        "must be positive",
    ),
    "wrong number of parameters": (
        GOOD + "[start]\nparameters = [1.0, 2.0]",
        "start.parameters: has 2 numbers",
        "Give 6",
    ),
    "given and random starts": (
        GOOD + "[start]\nparameters = [1, 2, 3, 4, 5, 6]\nlow = 0.0",
        "start.low",
        "Remove one of them",
    ),
    "empty range of starts": (
        GOOD + "[start]\nlow = 2.0",
        "start.high = 1.0",
        "above low",
    ),
    "tolerance negative": (
        GOOD + "[fit]\ntolerance = -1e-8",
        "fit.tolerance = -1e-08",
        "above 0",
    ),
    "tolerance is a bool": (
        GOOD + "[fit]\ntolerance = true",
        "fit.tolerance = true",
        "a number",
    ),
    "unknown method": (
        GOOD + '[fit]\nmethod = "simplex"',
        'fit.method = "simplex"',
        '"levenberg-marquardt"',
    ),
    "method and structure": (
        AFFINE + '[fit]\nmethod = "isospectral-projection"',
        'fit.method = "isospectral-projection"',
        'Use "auto"',
    ),
    "method and weights": (
        GOOD
        + "[observation]\nweights = [1, 1, 2]\n"
        + '[fit]\nmethod = "lift-and-project"',
        'fit.method = "lift-and-project"',
        'Use "levenberg-marquardt"',
    ),
    "unknown dtype": (
        GOOD + '[fit]\ndtype = "float16"',
        'fit.dtype = "float16"',
        '"float32" or "float64"',
    ),
    "too large for the dtype": (
        GOOD.replace("3.0", "1e39") + '[fit]\ndtype = "float32"',
        "targets[2] = 1e+39",
        'Use dtype = "float64"',
    ),
    "fit is no table": ("fit = 3\n" + GOOD, "fit = 3", "under a line [fit]"),
    "learning rate": (
        GOOD + "[fit.adam]\nlearning_rate = 0",
        "fit.adam.learning_rate = 0",
        "above 0",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(invoke, name):
    text, *fragments = BAD_FILES[name]
    Path("bad.toml").write_text(text)
    check_bad_input(invoke("fit", "bad.toml"), "eigenfit: bad.toml: ", *fragments)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["fit"], ["PROBLEM.toml", "See eigenfit fit --help"]),
        (["fits", "good.toml"], ["'fits'", "See eigenfit --help"]),
        (["fit", "good.toml", "--tol", "1"], ["--tol", "See eigenfit fit --help"]),
        (["fit", "missing.toml"], ["missing.toml", "no such file", "Give the path"]),
        (["fit", "."], ["directory", "Give the path"]),
        (
            ["fit", "good.toml", "--tolerance", "-1"],
            ["--tolerance = -1", "must be a number above 0"],
        ),
        (
            ["fit", "good.toml", "--tolerance", "small"],
            ['--tolerance = "small"', "must be a number above 0"],
        ),
        (
            ["fit", "good.toml", "--tolerance", "1e-60", "--dtype", "float32"],
            ["--tolerance = 1e-60", "is zero in float32"],
        ),
        (["fit", "good.toml", "--starts", "0"], ["--starts = 0", "integer from 1"]),
        (["fit", "good.toml", "--starts", "2.5"], ["--starts = 2.5", "integer"]),
        (
            ["fit", "good.toml", "--max-steps", "-3"],
            ["--max-steps = -3", "integer from 0"],
        ),
        (["fit", "good.toml", "--seed", "-3"], ["--seed = -3", "at least 0"]),
        (
            ["fit", "good.toml", "--method", "lm"],
            ['--method = "lm"', '"levenberg-marquardt"'],
        ),
        (["fit", "good.toml", "--dtype", "half"], ['--dtype = "half"', '"float32"']),
        (
            ["fit", "good.toml", "--output", "result.xml"],
            ["--output = result.xml", ".json or .npz"],
        ),
        (
            ["fit", "good.toml", "--output", "nowhere/result.json"],
            ["--output = nowhere/result.json", "No such file or directory", "Give"],
        ),
        (["fit", "good.toml", "--plot", "a.gif"], ["--plot = a.gif", ".png"]),
        (
            ["fit", "good.toml", "--plot-convergence", "a.gif"],
            ["--plot-convergence = a.gif", ".png"],
        ),
        (
            ["fit", "good.toml", "--plot", "good.toml/a.png"],
            ["--plot = good.toml/a.png", "Not a directory", "Give"],
        ),
        (
            ["export", "good.toml", "good.toml"],
            ["FOLDER = good.toml", "is a file", "Give the name of a folder"],
        ),
        (["export", "good.toml", "m", "--dtype", "x"], ["--dtype", '"float64"']),
    ],
)
def test_bad_option(invoke, monkeypatch, arguments, fragments):
    # Whatever is wrong is found before TensorFlow is even asked for.
    monkeypatch.setattr(terminal, "quiet_import", None)
    check_bad_input(invoke(*arguments), *fragments)


def test_a_file_that_is_not_text(invoke):
    Path("bad.toml").write_bytes(b"\xff\xfe")
    check_bad_input(invoke("fit", "bad.toml"), "bad.toml", "saved as UTF-8")


def test_what_the_core_refuses_names_the_file(invoke, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("`basis` is odd.\nTry another.")

    monkeypatch.setattr(ef, "Problem", refuse)
    check_bad_input(
        invoke("fit", "good.toml"), "good.toml: `basis` is odd. Try another."
    )


def test_too_large_for_memory(invoke, monkeypatch):
    def grow(*_, **__):
        raise MemoryError

    monkeypatch.setattr(ef.Solver, "fit", grow)
    check_bad_input(invoke("fit", "good.toml"), "good.toml", "Use fewer starts")


def test_plot_without_matplotlib(invoke, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    check_bad_input(
        invoke("fit", "good.toml", "--plot", "a.png"),
        "--plot",
        'pip install "eigenfit[plots]"',
    )


@pytest.mark.parametrize(
    ("name", "code", "result"),
    [
        ("springs", 0, "converged"),
        ("toeplitz", 0, "converged"),
        ("chosen_levels", 0, "converged"),
        ("impossible", 3, "stationary"),
    ],
)
def test_examples(invoke, name, code, result):
    answer = invoke("fit", str(EXAMPLES / f"{name}.toml"), "--output", "a.json")
    assert answer.exit_code == code
    assert answer.stderr == ""
    assert f"Result   {result} after" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
    document = json.loads(Path("a.json").read_text())
    assert document["success"] == document["converged"] == (code == 0)
    best = document["solutions"][document["best"]]
    assert best["result"] == result
    assert best["loss"] == min(s["loss"] for s in document["solutions"])
    np.testing.assert_allclose(
        np.linalg.eigvalsh(best["matrix"]), best["eigenvalues"], atol=1e-9
    )


def test_every_example_is_tested():
    names = {path.stem for path in EXAMPLES.glob("*.toml")}
    assert names == {
        "identity",
        "springs",
        "toeplitz",
        "chosen_levels",
        "two_spectra",  # that of the README
        "impossible",
    }


def test_not_converged_still_prints_and_writes(invoke):
    answer = invoke(
        *("fit", str(EXAMPLES / "identity.toml"), "--max-steps", "3"),
        *("--output", "a.json", "--starts", "2"),
    )
    assert answer.exit_code == 3
    assert "Result   max_steps after 3 steps" in answer.stdout
    assert "Try a larger `max_steps`" in " ".join(answer.stdout.split())
    document = json.loads(Path("a.json").read_text())
    assert [s["num_steps"] for s in document["solutions"]] == [3, 3]
    # Where fits were cut short is no solution, and of no family.
    assert document["distinct"] is None
    assert "Starts" in answer.stdout
    assert "family" not in answer.stdout


def test_paths_that_cannot_be_are_refused(invoke):
    example = str(EXAMPLES / "springs.toml")
    os.symlink("b.json", "a.json")
    os.symlink("a.json", "b.json")
    for name in ("a.json", "x" * 300 + ".json"):
        check_bad_input(invoke("fit", example, "--output", name), "--output", "Give")
    check_bad_input(invoke("export", example, "x" * 300), "FOLDER", "Give another")


def test_a_reader_that_goes_away_costs_no_result(invoke, monkeypatch):
    def gone(*arguments):
        raise BrokenPipeError

    monkeypatch.setattr("eigenfit_serving.cli.printing.report.print_outcome", gone)
    example = str(EXAMPLES / "springs.toml")
    with pytest.raises(BrokenPipeError):
        invoke("fit", example, "--output", "answer.json", "--plot", "answer.png")
    assert json.loads(Path("answer.json").read_text())
    assert Path("answer.png").exists()


def test_printed_levels_and_starts(invoke):
    answer = invoke("fit", "good.toml", "--starts", "3", "--method", "auto")
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert ["level", "eigenvalue", "target", "difference"] in lines
    levels = [line[:3] for line in lines if line[:1] in (["0"], ["1"], ["2"])][:3]
    assert levels == [
        ["0", "1.000000000", "1"],
        ["1", "2.000000000", "2"],
        ["2", "3.000000000", "3"],
    ]
    assert "the best of 3" in answer.stdout
    # Every matrix Q diag(1, 2, 3) Q^T has these levels, and Q has three angles.
    [place] = [k for k, line in enumerate(lines) if line[:2] == ["loss", "starts"]]
    assert lines[place + 1][1:7] == ["3", "converged,", "family", "of", "dim.", "3"]
    text = " ".join(answer.stdout.split())
    assert "met by a 3-dimensional family of answers; this is one of them" in text
    assert "seed 0 (there is no [start] in the file)" in text


@pytest.mark.slow
def test_many_starts_and_a_large_matrix_stay_readable(invoke):
    targets = ", ".join(map(str, range(50)))
    text = GOOD.replace("1.0, 2.0, 3.0", targets).replace("order = 3", "order = 50")
    title = 'title = "[red]no markup[/red]"\n'
    Path("large.toml").write_text(title + text + "[fit]\nstarts = 20\n")
    answer = invoke("fit", "large.toml")
    assert answer.exit_code == 0
    assert "[red]no markup[/red]" in answer.stdout
    # As many angles as an orthogonal matrix of order 50 has.
    assert "converged, family of dim. 1225" in answer.stdout
    assert "(10 more)" in answer.stdout
    lines = answer.stdout.splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= 80


def test_json_holds_everything(invoke):
    invoke("fit", "good.toml", "--starts", "2", "--seed", "5", "--output", "a.json")
    document = json.loads(Path("a.json").read_text())
    assert document["targets"] == [1.0, 2.0, 3.0]
    assert document["title"] is None
    assert document["target_names"] == ["level 0", "level 1", "level 2"]
    assert document["weights"] == [1.0, 1.0, 1.0]
    assert document["parameter_names"] == [f"r{k}" for k in range(6)]
    assert document["settings"] == {
        "blocks": [
            {"label": "0", "kind": "symmetric", "order": 3, "num_parameters": 6}
        ],
        "start": {"kind": "natural"},
        "method": "isospectral-projection",
        "method_options": {},
        "tolerance": None,
        "max_steps": ef.IsospectralProjection.default_max_steps,
        "starts": 2,
        "seed": 5,
        "dtype": "float64",
    }
    assert set(document["versions"]) == {"python", "eigenfit", "tensorflow", "numpy"}
    for solution in document["solutions"]:
        assert np.shape(solution["initial"]) == np.shape(solution["parameters"]) == (6,)
        assert np.shape(solution["matrix"]) == (3, 3)
        assert solution["result"] == "converged"
        assert solution["text"].startswith(ef.Result.converged.text)
        assert "a 3-dimensional family" in solution["text"]
    [distinct] = document["distinct"]
    assert (distinct["starts"], distinct["family_dimension"]) == ([0, 1], 3)


def test_json_has_null_for_nan(invoke, monkeypatch):
    original = ef.Solver.fit

    def spoil(*arguments, **options):
        solution = original(*arguments, **options)
        nan = float("nan")
        return solution._replace(
            loss=solution.loss * nan, result=solution.result * 0 + ef.Result.nonfinite
        )

    monkeypatch.setattr(ef.Solver, "fit", spoil)
    answer = invoke("fit", "good.toml", "--output", "a.json")
    assert answer.exit_code == 3

    def refuse(constant):
        raise AssertionError(f"{constant} is not strict JSON")

    document = json.loads(Path("a.json").read_text(), parse_constant=refuse)
    assert document["solutions"][0]["loss"] is None


def test_npz_holds_the_same(invoke):
    arguments = ("fit", "good.toml", "--starts", "3", "--output")
    invoke(*arguments, "a.json")
    invoke(*arguments, "a.npz")
    document = json.loads(Path("a.json").read_text())
    with np.load("a.npz", allow_pickle=False) as arrays:
        for key in ("initial", "parameters", "matrix", "eigenvalues", "loss"):
            expected = [solution[key] for solution in document["solutions"]]
            np.testing.assert_array_equal(arrays[key], expected)
        assert arrays["result_name"].tolist() == ["converged"] * 3
        assert arrays["best"] == document["best"]
        meta = json.loads(arrays["meta"].item())
    assert meta["settings"] == document["settings"]


def test_plot_is_written(invoke):
    answer = invoke("fit", "good.toml", "--plot", "a.png", "--output", "a.npz")
    assert answer.exit_code == 0
    assert answer.stdout.endswith("\nWrote a.npz\nWrote a.png\n")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in Path().iterdir()) == [
        "a.npz",
        "a.png",
        "good.toml",
    ]


@pytest.mark.slow
def test_plot_and_convergence_are_two_pictures(invoke, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "eigenfit.plots.plot_convergence",
        lambda *_, path, **__: drawn.append("convergence") or path.write_bytes(b""),
    )
    files = ["--plot", "a.png", "--plot-convergence", "b.png"]
    answer = invoke("fit", str(EXAMPLES / "two_spectra.toml"), *files)
    assert answer.exit_code == 0
    assert answer.stdout.endswith("\nWrote a.png\nWrote b.png\n")
    assert drawn == ["convergence"]  # levels of two matrices, with errors
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    # Levels of one matrix after several steps, and after a single one.
    assert invoke("fit", str(EXAMPLES / "springs.toml"), *files[:2]).exit_code == 0
    assert drawn == ["convergence"] * 2
    assert invoke("fit", "good.toml", *files[:2], "--max-steps", "1").exit_code == 0
    assert drawn == ["convergence"] * 2
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_files_are_replaced_whole_or_not_at_all():
    target = Path("a.json")
    target.write_text("old")

    def fail(error: Exception) -> None:
        with replacing("--output", target) as path:
            path.write_text("half")
            raise error

    with pytest.raises(RuntimeError):
        fail(RuntimeError())
    assert target.read_text() == "old"
    with pytest.raises(InputError, match=r"--output = a\.json: cannot be written"):
        fail(OSError(28, "No space left on device"))
    assert target.read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["a.json", "good.toml"]
    with replacing("--output", target) as path:
        path.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert sorted(path.name for path in Path().iterdir()) == ["a.json", "good.toml"]


def test_export_writes_a_version_and_says_how_to_load(invoke, monkeypatch):
    import eigenfit_export

    saved = []

    def export_solver(solver, path, formats, **options):
        assert formats == ["savedmodel"]
        saved.append((solver, path))
        return Path(path) / "1"

    monkeypatch.setattr(eigenfit_export, "export_solver", export_solver)
    answer = invoke("export", "good.toml", "models/m", "--dtype", "float32")
    assert answer.exit_code == 0
    [(solver, path)] = saved
    assert isinstance(solver, ef.Solver)
    assert solver.problem.parameter_dtype.name == "float32"
    assert path == Path("models/m")
    assert "Exported to models/m/1" in answer.stdout
    assert 'tf.saved_model.load("models/m/1").signatures[' in answer.stdout
    assert f'--model_name=m --model_base_path="{Path("models/m").absolute()}"' in (
        answer.stdout
    )


@pytest.mark.slow
def test_an_exported_model_fits(invoke):
    from eigenfit_export import load_model

    for version in ("1", "2"):
        answer = invoke("export", "good.toml", "models/m")
        assert answer.exit_code == 0
        assert answer.stdout.startswith(f"Exported to models/m/{version}\n")
    solution = load_model("models/m").fit(np.full([6], 0.5), [-1.0, 0.0, 7.0])
    np.testing.assert_allclose(solution.eigenvalues, [-1.0, 0.0, 7.0], atol=1e-9)


def test_export_that_cannot_be_written(invoke, monkeypatch):
    import eigenfit_export

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(eigenfit_export, "export_solver", fail)
    check_bad_input(
        invoke("export", "good.toml", "m"),
        "FOLDER = m",
        "No space left on device",
        "Give another folder",
    )


@pytest.mark.parametrize(
    "command", [[], ["fit"], ["export"], ["verify"], ["check"], ["schema"]]
)
def test_every_help_has_an_example(invoke, command):
    answer = invoke(*command, "--help")
    assert answer.exit_code == 0
    assert f"Example:  eigenfit {' '.join(command)}" in answer.stdout


def test_version(invoke):
    import importlib.metadata

    answer = invoke("--version")
    assert answer.stdout == f"eigenfit {importlib.metadata.version('eigenfit')}\n"


def test_without_a_command_help_is_printed(invoke):
    answer = invoke()
    assert answer.exit_code == 2
    assert "Commands" in answer.stdout


RECORDS = [
    "WARNING: All log messages before absl::InitializeLog() is called are written\n",
    "I0000 00:00:1795972683.301357   16546 cudart_stub.cc:31] Could not find cuda\n",
    "2026-11-29 17:01:02.003: W tensorflow/tsl/a.cc:1] a warning\n",
    "E0000 00:00:1795970498.885444    6430 cuda_platform.cc:52] failed call\n",
]


@pytest.mark.parametrize(
    ("level", "shown"),
    [(None, []), ("3", []), ("2", [3]), ("1", [0, 2, 3]), ("0", [0, 1, 2, 3])],
)
def test_log_records_are_shown_from_the_level_of_the_user_on(
    capfd, monkeypatch, level, shown
):
    if level is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with terminal.quiet_import():
        os.write(2, "".join(RECORDS).encode() + b"no record\n")
    expected = "".join(RECORDS[k] for k in shown) + "no record\n"
    assert capfd.readouterr().err == expected


def test_a_failed_import_shows_what_was_held_back(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")

    def fail() -> None:
        with terminal.quiet_import():
            os.write(2, RECORDS[3].encode())
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == RECORDS[3]


def run_command(
    *arguments: str, level: str | None = None
) -> subprocess.CompletedProcess:
    environment = dict(os.environ)
    environment.pop("TF_CPP_MIN_LOG_LEVEL")
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_paragraphs_of_help_texts_are_wrapped_once(width):
    # Not TERMINAL_WIDTH, which typer reads once when it is first needed.
    runner = CliRunner(env={"COLUMNS": str(width)})
    for name in ("fit", "check", "export", "verify", "serve", "batch", "gallery"):
        text = runner.invoke(app, [name, "--help"], prog_name="eigenfit").stdout
        lines = [line[1:].rstrip() for line in text.split("╭")[0].splitlines()]
        assert len(lines) > 3
        for line, after in itertools.pairwise(lines):
            # Where a line ends, the next word did not fit.
            if line and after and not line.startswith("Usage") and after[0] != " ":
                room = width - 2 - len(line)
                assert len(after.split()[0]) + 1 > room, (name, line)


def test_help_and_the_gallery_load_neither_tensorflow_nor_matplotlib():
    script = """
import sys
from eigenfit_serving.cli.app import main
for arguments in (["fit", "--help"], ["gallery"], ["gallery", "gass-bands"]):
    sys.argv = ["eigenfit", *arguments]
    try:
        main()
    except SystemExit as end:
        print(arguments, end.code)
for name in ("tensorflow", "matplotlib"):
    print(name, name in sys.modules, file=sys.stderr)
"""
    process = run_command("-c", script)
    assert "Example:" in process.stdout
    assert "['gallery'] 0" in process.stdout
    assert "['gallery', 'gass-bands'] 2" in process.stdout
    refused, *loaded = process.stderr.splitlines()
    assert "Did you mean gaas-bands" in refused
    assert loaded == ["tensorflow False", "matplotlib False"]


@pytest.mark.slow
def test_stderr_stays_clean():
    script = "from eigenfit_serving.cli.app import main; main()"
    process = run_command(
        "-c", script, "fit", str(EXAMPLES / "identity.toml"), "--plot", "a.png"
    )
    assert process.returncode == 0
    assert process.stderr == ""
    assert "The identity matrix from its eigenvalues" in process.stdout
    assert "converged after 30" in process.stdout
    assert Path("a.png").stat().st_size > 10_000
    # Nor do more records appear when the user asks for fewer.
    path = str(EXAMPLES / "impossible.toml")
    process = run_command("-c", script, "fit", path, level="3")
    assert (process.returncode, process.stderr) == (3, "")


@pytest.mark.slow
def test_ctrl_c_ends_a_fit_that_is_piped():
    # Adam on the trace of an impossible problem runs to its last step.
    text = (EXAMPLES / "impossible.toml").read_text()
    Path("long.toml").write_text(text + "[fit]\nmax_steps = 2_000_000_000\n")
    script = """
import os, signal, sys, threading
from eigenfit_serving import cli, outcome
# Ignored in the children of a shell that runs this in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
run_fit = outcome.run_fit
def interrupted(*arguments, **options):
    threading.Timer(3, os.kill, [os.getpid(), signal.SIGINT]).start()
    return run_fit(*arguments, **options)
outcome.run_fit = interrupted
cli.main()
"""
    process = run_command("-c", script, "fit", "long.toml", "--method", "adam")
    assert process.returncode == 130
    assert process.stdout == process.stderr == ""
