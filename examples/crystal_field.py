"""Fits the cubic crystal field of Ce3+ with tied parameters; draws the level scheme.

    python examples/crystal_field.py --plot levels.png

`B44 = 5 B40` makes the field cubic: one unknown, a doublet and a quartet, which the
measured levels split by 1.8 K.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import eigenfit as ef
from eigenfit.gallery.crystal_field import stevens_operators

MEASURED = [0.0, 0.0, 358.9, 358.9, 360.7, 360.7]
"""Levels above the lowest, K; each a Kramers doublet, measured to 1 K."""


def main() -> None:
    """Fits, prints the parameters and draws the levels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    operators = stevens_operators(5)
    structure = ef.Affine([operators["O40"], operators["O44"]])
    tied = ef.Parameters(["B40", "B44"], ties={"B44": ("B40", 5.0)})
    observed = ef.FreeShift(ef.Levels(sigma=1.0))
    problem = ef.Problem(structure, observed, parameters=tied)
    fit = ef.Solver(problem).fit([0.3], MEASURED)
    for name, text in fit.uncertainty().table():
        print(f"{name} = {text} K")
    print(f"reduced chi-square {fit.chi_square / fit.degrees_of_freedom:.3f}")
    if plot:
        fit.plot(title="Crystal field of Ce³⁺", quantity="energy / K").savefig(plot)


if __name__ == "__main__":
    main()
