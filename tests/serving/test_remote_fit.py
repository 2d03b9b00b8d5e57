import json
import socket
from pathlib import Path

import numpy as np
import pytest
from tests.serving.client.fakes import FakeTransport
from tests.serving.client.served import grpc_served, http_served
from typer.testing import CliRunner

from eigenfit_serving.cli.app import app
from eigenfit_serving.client import NotFound
from eigenfit_serving.client.calls import Predict
from eigenfit_serving.protocol.status import Code

# Of the matrix diag(r), which the fake model behind the servers fits.
PROBLEM = """schema = 1
targets = [1.0, 2.0]
[structure]
kind = "affine"
basis = [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]
[fit]
starts = 3
tolerance = 1e-6
max_steps = 50
"""


@pytest.fixture(autouse=True)
def _in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    Path("diagonal.toml").write_text(PROBLEM)


def run(*arguments):
    result = CliRunner().invoke(app, ["fit", *arguments], prog_name="eigenfit")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def check_bad_input(result, *fragments):
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("eigenfit: ")
    assert result.stderr.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.stderr


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_server_fits(protocol):
    behind = FakeTransport()
    served = {"grpc": grpc_served, "http": http_served}[protocol]
    with served(behind) as (_, port):
        url = f"{protocol}://127.0.0.1:{port}"
        # Without --model: the only one over REST, the name of the file over gRPC.
        result = run("diagonal.toml", "--server", url, "--output", "result.json")
    assert result.exit_code == 0, result.output
    assert "as served, float64" in result.stdout
    [call] = [call for call in behind.calls if isinstance(call, Predict)]
    assert call.target.name == "diagonal"
    assert call.inputs["initial"].shape == (3, 2)
    assert call.inputs["tolerance"].tolist() == [1e-6] * 3
    assert call.inputs["max_steps"].tolist() == [50] * 3
    document = json.loads(Path("result.json").read_text())
    assert document["success"]
    assert document["settings"]["method"] == "as served"
    for solution in document["solutions"]:
        assert solution["parameters"] == [1.0, 2.0]
        assert solution["matrix"] == [[1.0, 0.0], [0.0, 2.0]]
        assert solution["values"] == [1.0, 2.0]


def test_bad_input():
    url = "http://127.0.0.1:1"
    fit = ["diagonal.toml", "--server", url]
    check_bad_input(
        run(*fit, "--plot-convergence", "a.png"), "--plot-convergence", "no history"
    )
    check_bad_input(run("diagonal.toml", "--model", "m"), "--model: needs --server")
    check_bad_input(
        run("diagonal.toml", "--server", "localhost"), "--server = localhost", "grpc://"
    )


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    check_bad_input(run("diagonal.toml", "--server", url), url, "No connection")


def test_another_model():
    Path("other.toml").write_text(
        PROBLEM.replace("[1.0, 2.0]", "[1.0]") + "\n[observation]\nindices = [0]\n"
    )
    with http_served(FakeTransport()) as (_, port):
        result = run("other.toml", "--server", f"http://127.0.0.1:{port}")
    check_bad_input(result, "its model is another one", "`targets` must have the shape")


def test_a_model_without_a_default_tolerance():
    class Older(FakeTransport):
        def _fit(self, initial, targets, tolerance, max_steps):
            answer = super()._fit(initial, targets, tolerance, max_steps)
            return {**answer, "result": np.where(tolerance > 0, 0, 5).astype("i4")}

    Path("default.toml").write_text(PROBLEM.replace("tolerance = 1e-6\n", ""))
    with http_served(Older()) as (_, port):
        url = ("--server", f"http://127.0.0.1:{port}", "--model", "diagonal")
        check_bad_input(run("default.toml", *url), "--tolerance 1e-16", "export it")
        assert run("default.toml", *url, "--tolerance", "1e-9").exit_code == 0


def test_what_the_server_says_is_passed_on():
    behind = FakeTransport(failures=[NotFound(Code.NOT_FOUND, "no such model")])
    with http_served(behind) as (_, port):
        url = f"http://127.0.0.1:{port}"
        result = run("diagonal.toml", "--server", url, "--model", "missing")
    check_bad_input(result, f"--server = {url}: no such model (NOT_FOUND)")
