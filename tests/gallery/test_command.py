"""The command `eigenfit gallery`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eigenfit import gallery
from eigenfit.gallery import classic
from eigenfit_serving.cli.app import app
from eigenfit_serving.cli.printing import gallery as gallery_list


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def invoke():
    def run(*arguments: str):
        result = CliRunner().invoke(
            app, ["gallery", *arguments], prog_name="eigenfit", env={"COLUMNS": "80"}
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_list(invoke):
    result = invoke()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    listed = [line.split()[0] for line in lines[1:-2] if line[:1].strip()]
    assert listed == gallery.names()
    row = next(line for line in lines if line.startswith("gaas-bands"))
    assert row.split()[1:4] == ["10", "13", "30"]


def test_the_table_is_in_step():
    # If it is not: TABLE_FILE.write_text(table_text(), encoding="utf-8").
    assert gallery_list.TABLE_FILE.read_text(encoding="utf-8") == (
        gallery_list.table_text()
    )


@pytest.mark.parametrize(
    "name", ["T10-si", " gaas-BANDS", "toeplitz", "t1x", "zzz", ""]
)
def test_names_are_found_as_the_gallery_finds_them(name):
    assert outcome_of(gallery_list.canonical, name) == outcome_of(
        gallery.canonical, name
    )


def outcome_of(canonical, name):
    try:
        return canonical(name)
    except ValueError as error:
        return str(error).replace("`name`", "NAME")


def test_list_as_json(invoke):
    result = invoke("--json")
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    assert [each["name"] for each in listed] == gallery.names()
    keys = {"name", "title", "order", "unknowns", "targets", "source"}
    for each in listed:
        assert set(each) == keys
        entry = gallery.load(each["name"])
        assert (each["title"], each["source"]) == (entry.title, entry.source)
        assert each["order"] == max(entry.orders)
        assert each["unknowns"] == len(entry.initial)
        assert each["targets"] == len(entry.targets)


def test_show(invoke):
    result = invoke("t15")
    assert result.exit_code == 0
    assert "cerium-crystal-field, T15" in result.stdout
    assert "2: B40, B60" in result.stdout
    assert "mantid" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_show_as_json(invoke):
    document = json.loads(invoke("T3", "--json").stdout)
    assert document["name"] == "rotational-h2coh+"
    assert (document["order"], document["targets"]) == (23, 32)


def test_run(invoke):
    result = invoke("fno-additive", "--run")
    assert result.exit_code == 0
    assert "c1        11.90787610  11.907876102" in result.stdout
    assert "Reproduced: 8 of 8 published numbers" in result.stdout


@pytest.mark.slow  # its fit is that of test_gallery.py
def test_run_of_measured_lines(invoke):
    result = invoke("rotational-h2coh+", "--run", "--plot", "run.png")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "the fit ended at a least-squares minimum after" in text


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("identity", ".png"), ("cerium-crystal-field", ".svg"), ("lab-frame-4", ".pdf")],
)
def test_run_with_a_picture(invoke, name, suffix):
    result = invoke(name, "--run", "--plot", f"run{suffix}")
    assert result.exit_code == 0
    assert f"Wrote run{suffix}" in result.stdout
    content = Path(f"run{suffix}").read_bytes()
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert content.startswith(starts[suffix])


def test_run_as_json(invoke):
    document = json.loads(invoke("identity", "--run", "--json").stdout)
    assert document["reproduced"] is True
    assert document["result"] == "converged"
    assert document["num_steps"] == 1
    assert len(document["lines"]) == 6
    assert document["lines"][0]["published"] == 1.0


def test_run_that_is_not_reproduced(invoke, monkeypatch):
    monkeypatch.setattr(
        classic,
        "FNO_PRINTED",
        classic.FNO_PRINTED.replace("11.90787610", "11.90787710"),
    )
    result = invoke("fno-additive", "--run")
    assert result.exit_code == 3
    assert "Not reproduced: 7 of 8 published numbers" in result.stdout


def test_run_as_json_that_is_not_reproduced(invoke, monkeypatch):
    row = gallery.Row("x", 1.0, float("nan"), float("nan"), 0.1)
    comparison = gallery.Comparison(False, [row])
    monkeypatch.setattr(gallery.GalleryProblem, "compare", lambda *_: comparison)
    result = invoke("identity", "--run", "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["reproduced"] is False
    assert document["lines"][0]["found"] is None  # strict JSON has no NaN


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["gaas"], ["NAME", "'gaas'", "Did you mean gaas-bands?"]),
        (["frame", "--run"], ["shear-frame-18", "lab-frame-4"]),
        (["x\ny"], ["not in the gallery", "Known are identity"]),
        (["--run"], ["--run", "eigenfit gallery"]),
        (["identity", "--plot", "a.png"], ["--plot", "--run"]),
        (["identity", "--run", "--plot", "a.gif"], ["--plot = a.gif", ".png"]),
        (["identity", "--run", "--plot", "no/a.png"], ["--plot = no/a.png", "folder"]),
        (["identity", "extra"], ["extra", "eigenfit gallery --help"]),
    ],
)
def test_bad_input(invoke, arguments, fragments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("eigenfit: ")
    assert result.stderr.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.stderr


def test_help_has_an_example(invoke):
    result = invoke("--help")
    assert result.exit_code == 0
    assert "Example:  eigenfit gallery rotational-h2coh+ --run" in result.stdout
    for option in ("--run", "--plot", "--json", "NAME"):
        assert option in result.stdout


def test_help_loads_neither_tensorflow_nor_matplotlib():
    code = (
        "import sys; from eigenfit_serving.cli.app import app\n"
        "try: app(['gallery', '--help'], prog_name='eigenfit')\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'matplotlib', 'eigenfit'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
