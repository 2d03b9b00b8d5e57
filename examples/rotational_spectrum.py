"""Fits the rotational spectrum of H2COH+: constants, errors, and a stick spectrum.

    python examples/rotational_spectrum.py --plot spectrum.png

Twelve matrices, one for each J, share eight constants; each measured line is the
difference of two of their levels. The start is a rigid rotor. Needs matplotlib for the
picture (`pip install "eigenfit[plots]"`).
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import eigenfit as ef
from eigenfit import gallery


def main() -> None:
    """Fits, prints the constants and draws the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    case = gallery.load("rotational-h2coh+")
    solution = ef.Solver(case.problem).fit(case.initial, case.targets)
    errors = ef.uncertainty(case.problem, solution, case.targets)
    for name, text in errors.table():
        print(f"{name:>5} {text:>24} MHz")
    calculated = case.problem.values(solution.parameters, case.targets).numpy()
    deviations = 1e3 * (case.targets - calculated)
    print(
        f"{len(deviations)} lines, {int(solution.num_steps)} steps, rms deviation",
        end=" ",
    )
    print(f"{np.sqrt(np.mean(deviations**2)):.3f} kHz (published 38.949)")
    if plot:
        start = case.problem.values(case.initial, case.targets).numpy()
        draw(case.targets, calculated, start, deviations, plot)


def draw(
    observed: np.ndarray,
    calculated: np.ndarray,
    start: np.ndarray,
    deviations: np.ndarray,
    path: str,
) -> None:
    """Draws observed lines upwards, calculated ones downwards, and deviations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    top, bottom = figure.subplots(2, sharex=True, height_ratios=[3, 2])
    top.vlines(observed / 1e3, 0, 1, color="black", lw=1.2, label="observed")
    top.vlines(calculated / 1e3, 0, -1, color="tab:red", lw=1.2, label="calculated")
    top.vlines(
        start / 1e3, 0, -0.5, color="tab:gray", lw=1, ls=":", label="start, rigid rotor"
    )
    top.axhline(0, color="black", lw=0.8)
    top.set(yticks=[], ylim=(-1.1, 1.45), title="Rotational spectrum of H$_2$COH$^+$")
    top.legend(loc="upper center", ncols=3, frameon=False)
    bottom.axhspan(
        -40, 40, color="tab:blue", alpha=0.12, label="standard deviation of a line"
    )
    bottom.axhline(0, color="black", lw=0.8)
    bottom.plot(observed / 1e3, deviations, "o", ms=4, color="tab:red")
    bottom.set(xlabel="frequency / GHz", ylabel="obs. \N{MINUS SIGN} calc. / kHz")
    bottom.legend(loc=(0.54, 0.02), frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
