"""The published problems from files are those of the gallery."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from eigenfit import gallery
from eigenfit.analysis.feasibility import find
from eigenfit.gallery import frames, jacobi, rotational, tight_binding
from eigenfit.gallery.crystal_field import stevens_operators
from eigenfit_serving.fitting.outcome import run_fit


def rotational_file() -> str:
    np.savez("basis.npz", **{f"J{J}": rotational.rotor_basis(J) for J in range(12)})
    rows = [
        [J, rotational.level_index(J, *K), J0, rotational.level_index(J0, *K0), line]
        for (J, *K), (J0, *K0), line in rotational.lines()
    ]
    lines = "\n".join(",".join(map(str, row)) for row in rows)
    Path("lines.csv").write_text(f"J',level',J,level,MHz\n{lines}\n")
    blocks = "\n".join(
        f'[[blocks]]\nlabel = "{J}"\nstructure = {{kind = "affine", '
        f'basis = {{file = "basis.npz", key = "J{J}"}}}}'
        for J in range(12)
    )
    return f"""{blocks}
[[observations]]
kind = "differences"
pairs = {{file = "lines.csv", key = ["J'", "level'", "J", "level"]}}
targets = {{file = "lines.csv", key = "MHz"}}
sigma = 0.040
[parameters]
names = {list(rotational.NAMES)}
"""


def frame(basis: np.ndarray) -> str:
    np.savez("frame.npz", K=basis, K0=basis.sum(axis=0), M=frames.MASSES)
    return """[structure]
kind = "generalized"
mass = {file = "frame.npz", key = "M"}
[structure.stiffness]
kind = "affine"
basis = {file = "frame.npz", key = "K"}
offset = {file = "frame.npz", key = "K0"}
"""


def frame_file() -> str:
    targets = gallery.load("T7a").targets
    np.savez("levels.npz", targets=targets, weights=targets**-2)
    names = [f"a{i + 1}" for i in range(18)]
    return f"""{frame(frames.shear_basis(frames.NOMINAL))}
[observation]
kind = "levels"
weights = {{file = "levels.npz", key = "weights"}}
targets = {{file = "levels.npz", key = "targets"}}
[parameters]
names = {names}
"""


def frame_modes_file() -> str:
    targets = gallery.load("T7b").targets
    shapes = targets[4:].reshape(4, 7)
    np.savez("data.npz", levels=targets[:4], weights=targets[:4] ** -2, shapes=shapes)
    names = [f"a{i + 1}" for i in range(18)]
    return f"""{frame(frames.shear_basis(frames.NOMINAL))}
[[observations]]
kind = "levels"
indices = [0, 1, 2, 3]
targets = {{file = "data.npz", key = "levels"}}
weights = {{file = "data.npz", key = "weights"}}
[[observations]]
kind = "mode-shapes"
levels = [0, 1, 2, 3]
components = {[floor - 1 for floor in frames.FLOORS]}
targets = {{file = "data.npz", key = "shapes"}}
[parameters]
names = {names}
"""


def lab_file() -> str:
    return f"""[structure]
kind = "generalized"
mass = {[frames.LAB_MASS] * 4}
[structure.stiffness]
kind = "affine"
basis = {frames.shear_basis(np.ones(4)).tolist()}
[observation]
kind = "frequencies"
targets = [{frames.LAB_FREQUENCIES.replace(" ", ", ")}]
[parameters]
names = ["k1", "k2", "k3", "k4"]
bounds = [0, 50]
"""


def bands_file() -> str:
    np.savez(
        "sp3s.npz",
        basis=tight_binding.sp3s_basis(),
        vectors=tight_binding.sp3s_vectors(),
    )
    np.save("levels.npy", gallery.load("T10").targets)
    blocks = "\n".join(
        f"""[[blocks]]
label = "{label}"
[blocks.structure]
kind = "bloch"
vectors = {{file = "sp3s.npz", key = "vectors"}}
basis = {{file = "sp3s.npz", key = "basis"}}
kpoint = {(2 * np.pi * np.asarray(k)).tolist()}"""
        for label, k in tight_binding.KPOINTS.items()
    )
    return f"""targets = {{file = "levels.npy"}}
{blocks}
[parameters]
names = {list(tight_binding.NAMES)}
"""


def two_spectra_file() -> str:
    names = [f"a{i}" for i in range(10)] + [f"b{i}" for i in range(9)]
    return f"""
[[blocks]]
label = "whole"
structure = {{kind = "tridiagonal", order = 10}}
observations = [{{targets = {jacobi.laplacian_levels(10).tolist()}}}]
[[blocks]]
label = "inner"
observations = [{{targets = {jacobi.laplacian_levels(9).tolist()}}}]
[blocks.structure]
kind = "reparametrized"
structure = {{kind = "tridiagonal", order = 9}}
matrix = {jacobi.without_first(10).tolist()}
[parameters]
names = {names}
"""


def clement_file() -> str:
    names = [f"a{i}" for i in range(8)] + [f"b{i}" for i in range(7)]
    ties = [f"a{7 - i} = {{a{i} = 1.0}}" for i in range(4)]
    ties += [f"b{6 - i} = {{b{i} = 1.0}}" for i in range(3)]
    return f"""targets = [-7, -5, -3, -1, 1, 3, 5, 7]
structure = {{kind = "tridiagonal", order = 8}}
[parameters]
names = {names}
ties = {{{", ".join(ties)}}}
"""


def cerium_file() -> str:
    return f"""targets = [0, 0, 360, 360, 360, 360]
[structure]
kind = "affine"
basis = {np.array(list(stevens_operators(5).values())).tolist()}
[observation]
kind = "free-shift"
observation = {{kind = "levels"}}
[parameters]
names = ["B40", "B44", "B60", "B64"]
ties = {{B44 = {{B40 = 5.0}}, B64 = {{B60 = -21.0}}}}
"""


FILES = {
    "T3": rotational_file,
    "T7a": frame_file,
    "T7b": frame_modes_file,
    "T8": lab_file,
    "T10": bands_file,
    "T12": two_spectra_file,
    "T13": clement_file,
    "T15": cerium_file,
}


@pytest.fixture
def load(read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load_(name: str):
        entry = gallery.load(name)
        start = f"[start]\nparameters = {entry.initial.tolist()}\n"
        fit = f"[fit]\ntolerance = {entry.tolerance!r}\n"
        return entry, read(f"schema = 1\n{FILES[name]()}{start}{fit}")

    return load_


@pytest.mark.parametrize("name", FILES)
def test_a_file_makes_the_problem_of_the_gallery(load, name):
    entry, content = load(name)
    problem = content.problem()
    assert type(problem) is type(entry.problem)
    assert problem.parameter_names == entry.problem.parameter_names
    assert problem.all_names == entry.problem.all_names
    np.testing.assert_array_equal(content.targets, entry.targets)
    np.testing.assert_array_equal(content.initial_parameters(), [entry.initial])
    np.testing.assert_array_equal(problem.roots(), entry.problem.roots())
    np.testing.assert_array_equal(
        np.asarray(problem.bounds, float), np.asarray(entry.problem.bounds, float)
    )
    arguments = (tf.constant(entry.initial), tf.constant(entry.targets))
    for function in ("residual", "jacobian"):
        ours, theirs = (
            getattr(p, function)(*arguments) for p in (problem, entry.problem)
        )
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", FILES)
def test_nothing_published_is_called_impossible(load, name):
    entry, content = load(name)
    findings = find(
        content.problem(), entry.targets, entry.initial, tolerance=entry.tolerance
    )
    assert "impossible" not in {finding.severity for finding in findings}
    if name == "T15":
        assert "Not determined near the start: B60." in findings[0].text


@pytest.mark.parametrize(
    "name", [pytest.param("T3", marks=pytest.mark.slow), "T7b", "T10"]
)
def test_a_fit_from_a_file_reproduces_what_was_published(load, name):
    entry, content = load(name)
    outcome = run_fit(content, content.solver())
    solution = outcome.solution
    one = solution._replace(
        parameters=solution.parameters[0], eigenvalues=solution.eigenvalues[0]
    )
    comparison = entry.compare(one)
    assert comparison.reproduced, comparison.lines
    # Measured lines are not met exactly.
    assert outcome.result_names == ["minimum" if name == "T3" else "converged"]
