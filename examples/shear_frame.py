"""Finds the storey stiffnesses of an 18-storey frame from four measured modes.

    python examples/shear_frame.py --plot frame.png

Frequencies of the four lowest modes and their shapes at seven floors determine all 18
stiffnesses, from 20 random starts in one batch. Needs matplotlib for the picture.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import eigenfit as ef
from eigenfit import gallery
from eigenfit.gallery.frames import FLOORS


def main() -> None:
    """Fits, prints the changes of stiffness and draws the modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    case = gallery.load("shear-frame-18-modes")
    starts = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 18))
    solution = ef.Solver(case.problem).fit(starts, case.targets)
    solved = solution.success
    found = solution.parameters.numpy()[solved]
    print(f"{solved.sum()} of {len(starts)} starts met the targets")
    print("storey  change of stiffness  (largest difference between starts)")
    for storey, change, spread in zip(
        range(1, 19), found[0], np.ptp(found, axis=0), strict=True
    ):
        print(f"{storey:6d}  {change:+19.6f}  ({spread:.1e})")
    if plot:
        draw(case, found[0], plot)


def draw(case: gallery.GalleryProblem, change: np.ndarray, path: str) -> None:
    """Draws the four mode shapes and the changes of stiffness."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    axes = figure.subplots(1, 5, sharey=True, width_ratios=[1, 1, 1, 1, 1.4])
    shapes = case.targets[4:].reshape(4, -1)
    fitted, nominal = (
        case.problem.modes(x)[0].numpy() for x in (change, np.zeros_like(change))
    )
    floors = np.arange(19)
    rows = np.array(FLOORS)
    for k, axis in enumerate(axes[:4]):
        largest = np.argmax(np.abs(shapes[k]))
        for modes, style, label in (
            (nominal, ":", "nominal"),
            (fitted, "-", "fitted"),
        ):
            mode = modes[:, k] / modes[rows[largest] - 1, k] * shapes[k, largest]
            axis.plot([0, *mode], floors, style, color="tab:blue", label=label)
        axis.plot(shapes[k], rows, "o", color="tab:red", label="measured")
        axis.axvline(0, color="black", lw=0.6)
        frequency = np.sqrt(case.targets[k]) / (2 * np.pi)
        axis.set_title(f"mode {k + 1}: {frequency:.3f} Hz", fontsize=10)
    axes[0].set_ylabel("floor")
    axes[0].set_yticks(range(0, 19, 3))
    axes[0].legend(fontsize=8, loc="upper left")
    axes[4].barh(floors[1:], 100 * change, color="tab:blue", alpha=0.7, label="fitted")
    axes[4].plot(100 * case.answer, floors[1:], "k|", ms=9, mew=2, label="actual")
    axes[4].axvline(0, color="black", lw=0.6)
    axes[4].set(xlabel="change / %", title="storey stiffness")
    axes[4].legend(fontsize=8, loc="upper left")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
