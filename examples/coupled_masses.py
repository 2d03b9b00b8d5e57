"""Finds six springs between five masses from measured frequencies, with errors.

    python examples/coupled_masses.py --plot modes.png
The outer two springs, at the walls, are alike: one unknown.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import eigenfit as ef

MASSES = [0.50, 0.52, 0.48, 0.51, 0.49]  # kg
FREQUENCIES = [1.2161, 2.3202, 3.2502, 3.8627, 4.3463]  # Hz, each to 0.002 Hz
LOOK = {"axis": "mass", "places": range(1, 6), "supports": [0, 6]}


def main() -> None:
    """Fits, prints the springs and draws the modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    ends = np.eye(6, 5) - np.eye(6, 5, k=-1)  # spring i is left of mass i
    chain = ef.Generalized(ef.Affine(np.einsum("ki,kj->kij", ends, ends)), MASSES)
    free = {f"k{i}": (1.0, 1e3) for i in range(5)}
    known = ef.Parameters([*free, "k5"], ties={"k5": ("k0", 1.0)}, bounds=free)
    problem = ef.Problem(chain, ef.Frequencies(sigma=0.002), parameters=known)
    fit = ef.Solver(problem).fit([100.0] * 5, FREQUENCIES)
    for name, text in fit.uncertainty().table():
        print(f"{name} = {text} N/m")
    print(repr(fit))  # the result and the loss
    if plot:
        fit.plot(quantity="frequency / Hz", **LOOK).savefig(plot)


if __name__ == "__main__":
    main()
