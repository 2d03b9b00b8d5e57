"""Models that the tests of clients call."""

import subprocess

import numpy as np
import pytest


@pytest.fixture(scope="session")
def solvers():
    import eigenfit as ef

    first = np.array([[[1, 0], [0, -1]], [[0, 1j], [-1j, 0]]])
    second = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], complex)
    joint = ef.Problem(
        [
            ef.Block(ef.Affine(first), label="k=0"),
            ef.Block(ef.Affine(second), label="k=1"),
        ]
    )
    return {
        "symmetric": ef.Solver(ef.Problem(ef.Symmetric(3)), ef.LevenbergMarquardt()),
        "joint": ef.Solver(joint, ef.LevenbergMarquardt()),
    }


@pytest.fixture(scope="session")
def models(tmp_path_factory, solvers):
    """A folder of exported models."""
    from eigenfit_export import export_solver

    fits = ["fit", "fit_from_random", "init", "step"]
    called = [*fits, "eigenvalues", "gradient", "eigengradient"]
    folder = tmp_path_factory.mktemp("models")
    for name, solver in solvers.items():
        export_solver(solver, folder / name, warmup_batches=(), only=called)
    return folder


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A folder with cert.pem and key.pem of localhost, and those of a client."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (("server", "localhost"), ("client", "client")):
        arguments = (
            f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={subject} -addext "
            f"subjectAltName=DNS:{subject},IP:127.0.0.1 -keyout {name}-key.pem "
            f"-out {name}.pem"
        )
        subprocess.run(
            ["openssl", *arguments.split()],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder
