"""Exports that several tests look at, each written once."""

import pytest

import eigenfit as ef
from eigenfit import gallery
from eigenfit_export import export_solver


def gallery_solver(name: str, compile: str = "graph") -> ef.Solver:
    entry = gallery.load(name)
    return ef.Solver(entry.problem, entry.method, compile=compile)


@pytest.fixture(scope="session")
def fno(tmp_path_factory):
    """T1 of the zoo, in two formats: the folder of its version."""
    base = tmp_path_factory.mktemp("fno") / "model"
    solver = gallery_solver("fno-additive")
    return export_solver(solver, base, ("savedmodel", "stablehlo"))


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """The seed's problem, in two formats: the folder of its version."""
    base = tmp_path_factory.mktemp("identity") / "model"
    solver = gallery_solver("identity")
    return export_solver(solver, base, ("savedmodel", "stablehlo"))
