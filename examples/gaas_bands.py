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


def main() -> None:
    """Fits, prints the parameters and draws the bands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    case = gallery.load("gaas-bands")
    start = case.answer * (1 + 0.1 * np.random.default_rng(1).uniform(-1, 1, 13))
    fit = ef.Solver(case.problem).fit(start, case.targets)
    fit.raise_for_result()
    print("parameter    start     fitted  published / eV")
    for (name, value), begun, known in zip(
        fit.named.items(), start, case.answer, strict=True
    ):
        print(f"{name:>9} {begun:9.4f} {value:10.4f} {known:10.4f}")
    if plot:
        case.plot(fit).savefig(plot)


if __name__ == "__main__":
    main()
