"""Whole files: checked, fitted, reported, and the numbers are those of Python."""

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from typer.testing import CliRunner

import eigenfit as ef
from eigenfit_serving.cli.app import app

FRAME = """schema = 1
title = "Three masses"
[structure]
kind = "generalized"
mass = {file = "mass.csv"}
[structure.stiffness]
kind = "laplacian"
edges = [[0, 1], [1, 2], [0, 2]]
[[observations]]
kind = "frequencies"
indices = [1, 2]
targets = [0.226, 0.265]
sigma = 0.001
[[observations]]
kind = "mode-shapes"
levels = [1]
components = [0, 2]
targets = [[1.0, -0.34]]
sigma = 0.01
[parameters]
names = ["left", "right", "across"]
bounds = [0, 100]
prior = {across = [0.5, 0.2]}
[start.parameters]
left = 1.0
right = 1.5
across = 0.5
[fit]
method = "levenberg-marquardt"
"""
LINES = [1.5, 4.0, 2.75]
ROTORS = """schema = 1
[[blocks]]
label = "J0"
structure = {kind = "affine", basis = {file = "basis.npz", key = "J0"}}
[[blocks]]
label = "J1"
structure = {kind = "affine", basis = {file = "basis.npz", key = "J1"}}
[[observations]]
kind = "differences"
pairs = {file = "lines.csv", key = ["to", "upper", "from", "lower"]}
targets = {file = "lines.csv", key = "line"}
[parameters]
names = ["A", "B", "C"]
ties = {C = {A = 0.5, "" = 0.1}}
[start]
parameters = [1.0, 0.3]
[fit]
method = "levenberg-marquardt"
"""
J0 = [[[1.0, 0], [0, 2]], [[0, 1.0], [1, 0]], [[1.0, 0], [0, -1]]]
J1 = [np.diag([1.0, 3, 5]), np.eye(3)[[1, 0, 2]] - np.diag([0, 0, 1]), np.eye(3)]


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    Path("mass.csv").write_text("1.0\n2.0\n1.0\n")
    np.savez("basis.npz", J0=J0, J1=J1)
    Path("lines.csv").write_text(
        "to,upper,from,lower,line\n"
        f"J1,1,J0,0,{LINES[0]}\nJ1,2,J1,0,{LINES[1]}\nJ1,2,J0,1,{LINES[2]}\n"
    )
    Path("frame.toml").write_text(FRAME)
    Path("rotors.toml").write_text(ROTORS)


def invoke(*arguments: str):
    result = CliRunner().invoke(app, list(arguments), prog_name="eigenfit")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def frame_in_python() -> ef.Problem:
    stiffness = ef.Laplacian([(0, 1), (1, 2), (0, 2)])
    observations = [
        ef.Frequencies([1, 2], sigma=0.001),
        ef.ModeShapes([1], [0, 2], sigma=0.01),
    ]
    return ef.Problem(
        [ef.Block(ef.Generalized(stiffness, [1.0, 2.0, 1.0]), observations)],
        parameters=ef.Parameters(
            ["left", "right", "across"], bounds=(0, 100), prior={"across": (0.5, 0.2)}
        ),
    )


def rotors_in_python() -> ef.Problem:
    pairs = [
        (("J1", 1), ("J0", 0)),
        (("J1", 2), ("J1", 0)),
        (("J1", 2), ("J0", 1)),
    ]
    return ef.Problem(
        [ef.Block(ef.Affine(J0), label="J0"), ef.Block(ef.Affine(J1), label="J1")],
        observations=[ef.Differences(pairs)],
        parameters=ef.Parameters(["A", "B", "C"], ties={"C": {"A": 0.5, "": 0.1}}),
    )


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("name", "problem", "start", "targets"),
    [
        ("frame", frame_in_python, [1.0, 1.5, 0.5], [0.226, 0.265, 1.0, -0.34]),
        ("rotors", rotors_in_python, [1.0, 0.3], LINES),
    ],
)
def test_a_fit_from_a_file_gives_the_numbers_of_python(name, problem, start, targets):
    answer = invoke("fit", f"{name}.toml", "--output", "a.json")
    assert answer.stderr == ""
    document = json.loads(Path("a.json").read_text())
    [found] = document["solutions"]
    problem = problem()
    solver = ef.Solver(problem, ef.LevenbergMarquardt())
    expected = solver.fit(start, targets)
    # One start and a batch of one are rounded differently.
    same = functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12)
    same(found["parameters"], expected.parameters)
    same(found["loss"], expected.loss)
    assert found["result"] == ef.Result(int(expected.result)).name == "minimum"
    same(found["values"], problem.values(expected.parameters, targets))
    levels = found["eigenvalues"]
    if isinstance(levels, dict):
        levels = np.concatenate(list(levels.values()))
    same(levels, expected.eigenvalues)
    assert tuple(found["all_parameters"]) == problem.all_names
    everything = problem.expand(expected.parameters)
    same(list(found["all_parameters"].values()), everything)
    errors = ef.uncertainty(problem, expected, targets)
    same(document["uncertainty"]["standard_errors"], errors.standard_errors)
    # More data than unknowns: a least-squares answer is what was asked for.
    assert answer.exit_code == 0
    assert document["success"]
    assert not document["converged"]
    assert "Result   least-squares minimum after" in answer.stdout
    assert ef.Result.minimum.text not in " ".join(answer.stdout.split())


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_report_of_one_matrix(monkeypatch):
    answer = invoke("fit", "frame.toml")
    printed = rows(answer.stdout)
    heading = ["parameter", "value(error)", "relative", "start"]
    assert heading in printed
    [left] = [row for row in printed if row[:1] == ["left"]]
    assert left[1].endswith(")")
    assert left[-4:] == ["in", "0", "to", "100"]
    [across] = [row for row in printed if row[:1] == ["across"]]
    assert across[-4:] == ["prior", "0.5", "+-", "0.2"]
    # The largest entry of the shape is 1 whatever the frame is: no datum.
    [fit] = [row for row in printed if row[:1] == ["Fit"]]
    assert fit[1] == "chi-square"
    assert fit[3:-1] == ["for", "1", "degree", "of", "freedom,", "p", "="]
    probability = scipy.stats.chi2.sf(float(fit[2]), 1)
    np.testing.assert_allclose(float(fit[-1]), probability, rtol=0.02)
    columns = "observed calculated target difference sigma in sigmas"
    assert columns.split() in printed
    sigmas = (["0.001"], ["0.01"])
    names = [" ".join(row[:-5]) for row in printed if row[-2:-1] in sigmas]
    assert names == ["frequency 1", "frequency 2", "mode 1 at 0", "mode 1 at 2"]
    assert max(map(len, answer.stdout.splitlines())) <= 80


def test_the_report_of_several_blocks():
    answer = invoke("fit", "rotors.toml", "--output", "a.npz", "--plot", "a.png")
    printed = rows(answer.stdout)
    assert "2 blocks (affine) of orders 2 to 3" in answer.stdout
    assert "3 parameters of which 2 fitted" in " ".join(answer.stdout.split())
    [tied] = [row for row in printed if row[:1] == ["C"]]
    assert tied[-5:] == ["=", "0.5", "A", "+", "0.1"]
    assert ["Matrix", "of", "block", "J1"] in printed
    assert ["J1:1", "-", "J0:0"] in [row[:3] for row in printed]
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    with np.load("a.npz", allow_pickle=False) as arrays:
        assert arrays["matrix_J0"].shape == (1, 2, 2)
        assert arrays["matrix_J1"].shape == (1, 3, 3)
        assert arrays["values"].shape == (1, 3)
        meta = json.loads(arrays["meta"].item())
    assert [block["label"] for block in meta["settings"]["blocks"]] == ["J0", "J1"]


def test_complex_matrices_and_undetermined_parameters_are_reported():
    Path("flat.toml").write_text("""schema = 1
targets = [-1.0, 1.0]
[structure]
kind = "affine"
basis = [[[0, "-1j"], ["1j", 0]], [[0, "-2j"], ["2j", 0]]]
[parameters]
names = ["A", "B"]
[start]
parameters = [0.3, 0.4]
""")
    answer = invoke("fit", "flat.toml", "--output", "a.json")
    assert answer.exit_code == 0
    text = " ".join(answer.stdout.split())
    assert "The data do not determine: A - 0.5 B." in text
    assert text.count("(not determined)") == 2
    document = json.loads(Path("a.json").read_text())
    assert document["undetermined"] == "A - 0.5 B"
    assert document["uncertainty"]["standard_errors"] == [None, None]
    matrix = document["solutions"][0]["matrix"]
    np.testing.assert_allclose(np.abs(matrix["imag"]), [[0, 1], [1, 0]], atol=1e-9)


def test_a_parameter_on_its_bound_is_reported():
    Path("bound.toml").write_text("""schema = 1
targets = [-1.0, 3.0]
structure = {kind = "toeplitz", order = 2}
parameters = {names = ["E", "V"], bounds = {V = [0, 1.5]}}
start = {parameters = [1.0, 0.5]}
fit = {method = "levenberg-marquardt"}
""")
    answer = invoke("fit", "bound.toml")
    [row] = [row for row in rows(answer.stdout) if row[:1] == ["V"]]
    assert row == ["V", "1.5", "(at", "bound)", "0.5", "in", "0", "to", "1.5"]


def test_check_explains_what_was_read():
    answer = invoke("check", "frame.toml")
    assert answer.exit_code == 0
    text = " ".join(answer.stdout.split())
    assert "Three masses" in text
    assert "3 unknowns, 4 targets, 1 prior, 1 degree of freedom" in text
    assert "generalized 3 frequencies (2), mode-shapes (2)" in text
    assert "across 0.5 in 0 to 100, prior 0.5 +- 0.2" in text
    assert "mode 1 at 2 -0.34 -0.3333333 0.01" in text
    assert max(map(len, answer.stdout.splitlines())) <= 80
    answer = invoke("check", "rotors.toml")
    text = " ".join(answer.stdout.split())
    assert "2 unknowns, 3 targets, 1 degree of freedom" in text
    assert "block kind order observed J0 affine 2 - J1 affine 3 - joint diff" in text
    assert "C = 0.5 A + 0.1" in text


def test_check_says_what_cannot_be(read):
    Path("bad.toml").write_text(
        'schema = 1\ntargets = [1, 2]\n[structure]\nkind = "toeplitz"\norder = 2\n'
        "[parameters]\nfixed = {r0 = 1.0}\n"
    )
    answer = invoke("check", "bad.toml")
    assert answer.exit_code == 3
    text = " ".join(answer.stdout.split())
    assert "impossible The matrix has the trace 2 whatever" in text
    assert "its targets sum to 3" in text
    Path("good.toml").write_text(
        'schema = 1\ntargets = [1, 2]\n[structure]\nkind = "toeplitz"\norder = 2\n'
        "[start]\nparameters = [1.0, 0.1]\n"
    )
    answer = invoke("check", "good.toml")
    assert answer.exit_code == 0
    assert "Nothing speaks against these targets." in answer.stdout


def test_check_of_bad_input_and_of_a_large_matrix():
    answer = invoke("check", "nowhere.toml")
    assert (answer.exit_code, answer.stdout) == (2, "")
    targets = list(map(float, range(41)))
    Path("large.toml").write_text(
        f'schema = 1\ntargets = {targets}\n[structure]\nkind = "symmetric"\norder = 41'
    )
    answer = invoke("check", "large.toml")
    assert answer.exit_code == 0
    assert "(1 more)" in answer.stdout
    assert "(821 more)" in answer.stdout
    assert len(answer.stdout.splitlines()) < 110


def test_schema_is_printed_or_written():
    printed = invoke("schema").stdout
    assert json.loads(printed)["title"] == "eigenfit problem file"
    assert invoke("schema", "--output", "a.json").stdout == "Wrote a.json\n"
    assert Path("a.json").read_text(encoding="utf-8") == printed
    assert invoke("schema", "--output", "a.xml").exit_code == 2
