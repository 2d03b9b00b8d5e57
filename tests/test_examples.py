"""Every example runs and tells what it promises."""

import os
import pathlib
import re
import runpy
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parent.parent / "examples"


def test_the_three_ways_of_stepping_end_at_the_identity(capsys):
    runpy.run_path(str(EXAMPLES / "explicit_and_automatic.py"), run_name="__main__")
    numbers = [float(x) for x in re.findall(r"-?\d\.\d*", capsys.readouterr().out)]
    np.testing.assert_allclose(
        np.reshape(numbers, [3, 3, 3]), [np.eye(3)] * 3, atol=0.1
    )


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rotational_spectrum", ["34350.54740(250)", "29172.65425(279)", "38.949 kHz"]),
        ("shear_frame", ["20 of 20 starts met the targets", "11            +0.300000"]),
        ("gaas_bands", ["Vss", "-6.4513    -6.4513"]),
        ("crystal_field", ["B44 = 4.997", "chi-square 0.8"]),
        ("coupled_masses", ["k3 = 94.29", "k5 = 120.86", "converged"]),
    ],
)
def test_scripts_tell_and_draw(tmp_path, monkeypatch, capsys, name, told):
    matplotlib = pytest.importorskip("matplotlib.image")
    picture = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", [name, "--plot", str(picture)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for text in told:
        assert text in printed
    pixels = matplotlib.imread(picture)
    assert min(pixels.shape[:2]) > 500
    assert pixels[..., :3].std() > 0.05


@pytest.mark.sample(1)
@pytest.mark.parametrize("name", sorted(p.name for p in EXAMPLES.glob("*.toml")))
def test_problem_files_fit(tmp_path, name):
    # Who sets this level wants TensorFlow's messages.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    run = subprocess.run(
        [sys.executable, "-m", "eigenfit_serving", "fit", str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # Only the one that is named so cannot be met.
    assert run.returncode == (3 if name == "impossible.toml" else 0), run.stderr
    assert run.stderr == ""
    for word in ("Matrix", "eigenvalue", "Loss", " step", "Result"):
        assert word in run.stdout
