"""Fits the cubic crystal field of Ce3+ with tied parameters; draws the level scheme.

    python examples/crystal_field.py --plot levels.png

`B44 = 5 B40` makes the field cubic: one unknown, a doublet and a quartet. The picture
shows how the quartet splits where the tie is broken. Needs matplotlib for the picture.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

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
    problem = ef.Problem(
        structure,
        ef.FreeShift(ef.Levels(sigma=1.0)),
        parameters=ef.Parameters(["B40", "B44"], ties={"B44": ("B40", 5.0)}),
    )
    solution = ef.Solver(problem).fit([0.3], MEASURED)
    errors = ef.uncertainty(problem, solution, MEASURED)
    for name, text in errors.table():
        print(f"{name} = {text} K")
    print(f"reduced chi-square {float(errors.reduced_chi_square):.3f}")
    if plot:
        draw(structure, float(solution.parameters[0]), plot)


def draw(structure: ef.Affine, B40: float, path: str) -> None:
    """Draws levels against B44 / B40, with the measured ones at the cubic ratio."""
    from matplotlib.figure import Figure

    ratios = np.linspace(0, 10, 201)
    field = np.stack([np.full_like(ratios, B40), B40 * ratios], axis=-1)
    levels = ef.Problem(structure).eigenvalues(field).numpy()
    cubic = ef.Problem(structure).eigenvalues([B40, 5 * B40]).numpy()
    shift = np.mean(np.array(MEASURED) - cubic)
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    lines = axis.plot(ratios, levels[:, ::2] + shift, color="tab:blue")
    lines[0].set_label("doublets")
    axis.axvline(5, color="black", lw=0.8, ls=":")
    axis.text(5.1, 190, "cubic", rotation=90)
    axis.errorbar(
        [5] * 3, MEASURED[::2], 1.0, fmt="o", color="tab:red", label="measured"
    )
    axis.set(
        xlabel="B44 / B40",
        ylabel="energy above the lowest measured level / K",
        title="Crystal field of Ce³⁺ (J = 5/2)",
    )
    axis.legend(loc="center left")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
