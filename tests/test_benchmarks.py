"""The benchmarks run, and measure the problems they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import problems
from tests import test_published, zoo

BENCHMARKS = Path(problems.__file__).parent


@pytest.mark.parametrize("name", problems.PROBLEMS)
def test_jacobians_and_shapes(name):
    data = problems.PROBLEMS[name](True)
    start = data.starts[0]
    A = data.assemble(start)
    np.testing.assert_allclose(A, data.offset + np.tensordot(start, data.basis, 1))
    J = data.jacobian(np.linalg.eigh(A)[1])
    if data.order > 8:
        direction = np.random.default_rng(1).normal(size=len(start))
    else:
        direction = np.eye(len(start))[0]

    def residual(r):
        return (np.linalg.eigvalsh(data.assemble(r)) - data.targets) / data.scale

    # Errors of step^2 |f'''| and eps |f| / step.
    step = 1e-6
    difference = residual(start + step * direction) - residual(start - step * direction)
    np.testing.assert_allclose(
        difference / (2 * step), J @ direction, rtol=1e-6, atol=1e-6
    )


def test_packed_order_is_that_of_the_library(rng):
    r = rng.normal(size=10)
    np.testing.assert_array_equal(
        problems.packed(4, 1, "").assemble(r), zoo.numpy_symmetric(r, 4)
    )


def test_published_data_are_those_of_the_tests():
    np.testing.assert_array_equal(problems.FRIEDLAND_OFFSET, test_published.FNO_OFFSET)
    data = problems.friedland(1, "")
    np.testing.assert_array_equal(data.starts[0], test_published.FNO_TARGETS)
    norms = data.residual_norms(np.array([test_published.FNO_ANSWER]))
    assert norms[0] < 1e-8
    structure, targets = test_published.frame()
    data = problems.frame(3, "")
    np.testing.assert_allclose(data.targets, targets, rtol=1e-14)
    np.testing.assert_allclose(
        data.assemble(data.starts), structure.assemble(data.starts), atol=1e-8
    )
    actual = problems.frame_matrices()[1]
    assert data.residual_norms(actual) < 1e-12


def test_what_is_not_finite_is_not_solved():
    data = problems.packed(3, 2, "")
    starts = data.starts * [[1.0], [np.nan]]
    assert np.isinf(data.residual_norms(starts)).tolist() == [False, True]


@pytest.mark.slow
def test_comparison_without_peers(tmp_path):
    options = [
        "--quick",
        "--no-peers",
        "--repeat",
        "1",
        "--only",
        "sym3",
        "--only",
        "floor-sym3",
    ]
    files = ["--json", tmp_path / "a.json", "--plot", tmp_path / "a.png"]
    answer = subprocess.run(
        [sys.executable, BENCHMARKS / "compare.py", *options, *files],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    record = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert record["machine"]["versions"]["tensorflow"]
    problem, floor = record["results"]
    assert problem["rows"][0]["solved"] == problem["rows"][0]["count"] == 200
    assert isinstance(problem["rows"][0]["per_solved"], float)
    titles = [row["title"] for row in floor["rows"]]
    assert len(titles) == 3
    assert "graph" in titles[0]
    assert "xla" in titles[1]
    assert titles[2].startswith("floor")
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.slow
def test_frame_from_ten_starts(tmp_path):
    answer = subprocess.run(
        [sys.executable, BENCHMARKS / "frame.py", "--quick", "--json", "frame.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    figures = json.loads((tmp_path / "frame.json").read_text("utf-8"))
    assert figures["solved"] == figures["starts"] == 10
    assert figures["published"] == 23.6
    assert {"first call", "seconds"} <= set(figures)
    assert all(isinstance(figures[k], float) for k in ("first call", "seconds"))


def test_programs_for_a_gpu_run_on_a_processor(tmp_path):
    files = ["--json", tmp_path / "gpu.json", "--plot", tmp_path / "gpu.png"]
    answer = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py", "--quick", "--device", "cpu", *files],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    record = json.loads((tmp_path / "gpu.json").read_text("utf-8"))
    assert not record["left_out"]
    own = [row for row in record["rows"] if row["title"] == "eigenfit"]
    assert {(row["kind"], row["order"]) for row in own} == {
        (kind, n) for kind in ("decompose", "fit") for n in (3, 8)
    }
    assert all(row["per_second"] > 0 for row in own)
    assert [row["solved"] for row in own if row["kind"] == "fit"] == [1.0, 1.0]
    peers = {row["title"] for row in record["rows"] if "per_second" in row}
    assert {"jax eigh, default", "jax eigh, QR"} <= peers
    assert (tmp_path / "gpu.png").stat().st_size > 10_000
