"""What is public, and what importing it costs."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ["eigenfit", "eigenfit_export", "eigenfit_serving"]


@pytest.mark.parametrize("package", PACKAGES)
def test_all_lists_what_is_public(package):
    module = importlib.import_module(package)
    # Some names are imported when they are first used; these three are for this file.
    names = {*vars(module), *module.__all__} - {"Any", "TYPE_CHECKING", "importlib"}
    public = {
        name
        for name in names
        if not name.startswith("_") and not inspect.ismodule(getattr(module, name))
    }
    assert set(module.__all__) == public
    assert list(module.__all__) == sorted(module.__all__)
    assert dir(module) == module.__all__


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_that_of_a_module(package):
    folder = Path(importlib.import_module(package).__path__[0])
    modules = {path.stem for path in folder.iterdir()}
    assert not modules & set(importlib.import_module(package).__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_public_has_a_docstring(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name


def test_the_solver_needs_tensorflow_and_numpy_only_and_is_quiet():
    # TensorFlow itself imports some of these when they are installed.
    extra = ["typer", "rich", "pydantic", "matplotlib", "scipy"]
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", f"import sys, {name}; print(*sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        for name in ("eigenfit", "tensorflow, keras")
    ]
    assert runs[0].stderr == ""
    loaded = [run.stdout.split() for run in runs]
    ours, theirs = (set(extra) & set(modules) for modules in loaded)
    assert ours <= theirs
