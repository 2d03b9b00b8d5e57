"""The command `eigenfit batch`, its summary and its bar."""

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from eigenfit_serving.batch import run
from eigenfit_serving.batch.answers import progress
from eigenfit_serving.batch.answers.progress import shown
from eigenfit_serving.batch.answers.report import BatchReport
from eigenfit_serving.cli.app import app

REPORT = BatchReport(
    model="m",
    input="in.parquet",
    output="/out.parquet",
    rows=1500,
    counts={"converged": 1490, "invalid_input": 10},
    success=1490,
    start={"kind": "natural", "draw": "spectrum"},
    rows_before=500,
    engine="local",
    workers=2,
    batch_size=64,
    seed=0,
    starts=None,
    keep="best",
    seconds=3.25,
    seconds_starting=1.0,
    seconds_assembling=0.25,
    rows_per_second=500.0,
    deaths=1,
    agreement="",
)


@pytest.fixture
def calls(monkeypatch):
    found = []

    def run_batch(*arguments, **options):
        found.append((arguments, options))
        return REPORT

    monkeypatch.setattr(run, "run_batch", run_batch)
    return found


def invoke(*arguments):
    return CliRunner().invoke(app, ["batch", *arguments])


def test_options_and_summary(calls):
    result = invoke(
        *("m", "in.parquet", "out.parquet", "--engine", "ray", "--workers", "3"),
        *("--gpus", "1", "--starts", "4", "--keep", "all", "--resume"),
        *("--tolerance", "1e-9", "--limit", "1500", "--address", "auto"),
    )
    assert result.exit_code == 0, result.output
    ((arguments, options),) = calls
    assert [str(x) for x in arguments] == ["m", "in.parquet", "out.parquet"]
    del options["console"]
    assert options == {
        "engine": "ray",
        "batch_size": None,
        "workers": 3,
        "gpus": 1,
        "resume": True,
        "limit": 1500,
        "starts": 4,
        "keep": "all",
        "seed": None,
        "tolerance": 1e-9,
        "max_steps": None,
        "address": "auto",
    }
    assert "1,490  converged" in result.output
    assert "10  invalid_input" in result.output
    assert "3.2 s, 500 rows/s, 500 rows were there before, 1 workers" in result.output
    assert "Wrote /out.parquet" in result.output


def test_bad_input_is_one_line(tmp_path):
    result = invoke("no-model", "in.parquet", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.output.startswith("eigenfit: no-model: there is no such file")
    assert result.output.count("\n") == 1


def test_ctrl_c(monkeypatch):
    def run_batch(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_batch", run_batch)
    result = invoke("m", "in.parquet", "out.parquet")
    assert result.exit_code == 130
    assert "Go on with --resume" in result.output


def test_the_report_is_read_as_it_was_written(tmp_path):
    REPORT.write(tmp_path / "r.json", tmp_path)
    assert BatchReport.read(tmp_path / "r.json") == REPORT
    assert json.loads((tmp_path / "r.json").read_text())["rows"] == 1500


def test_bar():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with shown(console, 2000, 500) as update:
        update([1490, 0, 0, 0, 0, 10, 0], 250.0)
    assert "1500/2000" in text.getvalue()
    assert "250 rows/s" in text.getvalue()
    assert "1,490 converged, 10 failed" in text.getvalue()
    quiet = io.StringIO()
    with shown(Console(file=quiet), 10, 0) as update:
        update([5] + [0] * 6, 1.0)
    assert quiet.getvalue() == ""


def test_lines_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    text = io.StringIO()
    with shown(Console(file=text, width=40), 2000, 500) as update:
        update([1490, 0, 0, 0, 0, 10, 0], 1250.0)
    assert text.getvalue() == (
        "1,500 of 2,000 rows, 1,250 rows/s, 1,490 converged, 10 failed\n"
    )
