"""Modules of the user in the current folder do not take the place of ours."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eigenfit_serving.batch.processes import quiet_environment
from eigenfit_serving.launch import kinds as launch_kinds
from eigenfit_serving.launch.module_command import module_command
from eigenfit_serving.launch.options import LaunchOptions
from eigenfit_serving.model_folders import find_models

# Of Python, of a package that workers need, and of what only TensorFlow imports.
NAMES = ("queue", "random", "pyarrow", "gast")


@pytest.fixture
def folder(tmp_path):
    """A folder with files that fail, and print what would be no answer of a worker."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "in.csv").write_text(
        "id,targets\n" + "".join(f"{k},[-2.5 2.5]\n" for k in range(3000))
    )
    for name in NAMES:
        (folder / f"{name}.py").write_text("print('{}')\nraise RuntimeError(__file__)")
    return folder


def batch(folder, *arguments):
    """Runs the command where the files are, as its script does."""
    code = (
        "import sys; del sys.path[0]; from eigenfit_serving.cli.app import main; main()"
    )
    environment = quiet_environment(1, None)
    return subprocess.run(
        [sys.executable, "-c", code, "batch", *map(str, arguments), "--workers", "1"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    "engine", ["local", pytest.param("ray", marks=pytest.mark.slow)]
)
def test_workers(additive_model, folder, engine):
    arguments = (additive_model, "in.csv", "out.parquet", "--engine", engine)
    done = batch(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert "3,000  converged" in done.stdout


@pytest.mark.slow
def test_exports(folder):
    shutil.copy(Path("examples/springs.toml"), folder)
    (folder / "in.csv").write_text("id,targets\na,0.8 2.5 4.5\n")
    done = batch(folder, "springs.toml", "in.csv", "out.parquet")
    assert done.returncode == 0, done.stderr
    assert "1  converged" in done.stdout


def test_servers(additive_model, folder):
    models = find_models(additive_model.parent)
    launched = launch_kinds.choose("embedded", models, LaunchOptions(), folder)
    server = module_command("eigenfit_serving.server", "--help")
    for command in (server, [*launched.arguments, "--help"]):
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        assert "--rest_api_port" in done.stdout + done.stderr
