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


def main() -> None:
    """Fits, prints the changes of stiffness and draws the modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    case = gallery.load("shear-frame-18-modes")
    starts = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 18))
    fit = ef.Solver(case.problem).fit(starts, case.targets)
    found = fit.parameters.numpy()[fit.success]
    print(f"{len(found)} of {len(starts)} starts met the targets")
    print("storey  change of stiffness  (largest difference between starts)")
    for k, spread in enumerate(np.ptp(found, axis=0)):
        print(f"{k + 1:6d}  {found[0, k]:+19.6f}  ({spread:.1e})")
    if plot:
        case.plot(fit).savefig(plot)


if __name__ == "__main__":
    main()
