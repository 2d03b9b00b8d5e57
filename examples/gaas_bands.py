"""Fits 13 tight-binding parameters of GaAs to levels at three k-points; draws bands.

    python examples/gaas_bands.py --plot bands.png

The start is 10 % off. Needs matplotlib for the picture.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import eigenfit as ef
from eigenfit import gallery
from eigenfit.gallery.tight_binding import KPOINTS, bloch, sp3s_basis


def main() -> None:
    """Fits, prints the parameters and draws the bands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    case = gallery.load("gaas-bands")
    start = case.answer * (1 + 0.1 * np.random.default_rng(1).uniform(-1, 1, 13))
    solution = ef.Solver(case.problem).fit(start, case.targets)
    solution.raise_for_result()
    print("parameter    start     fitted  published / eV")
    for row in zip(
        case.problem.parameter_names,
        start,
        solution.parameters.numpy(),
        case.answer,
        strict=True,
    ):
        print("{:>9} {:9.4f} {:10.4f} {:10.4f}".format(*row))
    if plot:
        draw(case, start, solution.parameters.numpy(), plot)


def draw(
    case: gallery.GalleryProblem, start: np.ndarray, fitted: np.ndarray, path: str
) -> None:
    """Draws the bands along L - G - X, all k-points in one batch."""
    from matplotlib.figure import Figure

    corners = [np.array(KPOINTS[name]) for name in "LGX"]
    kpoints, distances = [], []
    for a, b, first in zip(corners, corners[1:], (0.0, 0.866), strict=False):
        for share in np.linspace(0, 1, 60):
            kpoints.append(a + share * (b - a))
            distances.append(first + share * np.linalg.norm(b - a))
    basis = sp3s_basis()
    path_problem = ef.Problem([ef.Block(bloch(basis, k)) for k in kpoints])
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axis = figure.subplots()
    for r, style, color, label in (
        (start, ":", "tab:gray", "start"),
        (fitted, "-", "tab:blue", "fitted"),
    ):
        bands = path_problem.eigenvalues(r).numpy().reshape(-1, 10)
        lines = axis.plot(distances, bands, style, color=color, lw=1.3)
        lines[0].set_label(label)
    places = {"L": 0.0, "G": 0.866, "X": 1.866}
    targets = case.targets.reshape(3, 10)
    for label, levels in zip(case.problem.labels, targets, strict=True):
        points = axis.plot(
            np.full(10, places[label]), levels, "o", color="tab:red", ms=5
        )
    points[0].set_label("levels fitted to")
    axis.set_xticks(list(places.values()), ["L", "Γ", "X"])
    axis.grid(axis="x", color="black", lw=0.6)
    axis.set(xlim=(0, 1.866), ylabel="energy / eV", title="sp³s* bands of GaAs")
    axis.legend(loc="center", bbox_to_anchor=(0.5, 0.25))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
