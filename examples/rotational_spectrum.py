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
    fit = ef.Solver(case.problem).fit(case.initial, case.targets)
    for name, text in fit.uncertainty().table():
        print(f"{name:>5} {text:>24} MHz")
    rms = 1e3 * np.sqrt(np.mean((fit.calculated - fit.targets) ** 2))
    counts = f"{len(fit.targets)} lines, {int(fit.num_steps)} steps"
    print(f"{counts}, rms deviation {rms:.3f} kHz (published 38.949)")
    if plot:
        case.plot(fit).savefig(plot)


if __name__ == "__main__":
    main()
