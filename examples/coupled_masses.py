"""Finds six springs between five masses from measured frequencies, with errors.

    python examples/coupled_masses.py --plot modes.png

The chain hangs between two walls. Five frequencies cannot determine six springs: the
outer two are alike, which makes them one unknown. Needs matplotlib for the picture.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import eigenfit as ef

MASSES = np.array([0.50, 0.52, 0.48, 0.51, 0.49])
"""kg, from left to right."""
FREQUENCIES = [1.2161, 2.3202, 3.2502, 3.8627, 4.3463]
"""Hz, each measured to 0.002 Hz."""


def main() -> None:
    """Fits, prints the springs and draws the modes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to write the picture")
    plot = parser.parse_args().plot
    names = [f"k{i}" for i in range(6)]
    problem = ef.Problem(
        ef.Generalized(springs(), MASSES),
        ef.Frequencies(sigma=0.002),
        parameters=ef.Parameters(
            names, ties={"k5": ("k0", 1.0)}, bounds={k: (1.0, 1e3) for k in names[:5]}
        ),
    )
    solution = ef.Solver(problem).fit([100.0] * 5, FREQUENCIES)
    errors = ef.uncertainty(problem, solution, FREQUENCIES)
    for name, text in errors.table():
        print(f"{name} = {text} N/m")
    result, steps = ef.Result(int(solution.result)), int(solution.num_steps)
    print(f"{result.name} in {steps} steps")
    if plot:
        draw(problem, solution, plot)


def springs() -> ef.Affine:
    """Builds K(k) of a chain of masses between two walls, spring i left of mass i."""
    ends = np.eye(6, 5) - np.eye(6, 5, k=-1)
    return ef.Affine(np.einsum("ki,kj->kij", ends, ends))


def draw(problem: ef.Problem, solution: ef.Solution, path: str) -> None:
    """Draws the displacement of each mass in each mode."""
    from matplotlib.figure import Figure

    modes = problem.modes(solution.parameters)[0].numpy()
    figure = Figure(figsize=(7, 6.5), layout="constrained")
    axes = figure.subplots(5, sharex=True, sharey=True)
    places = np.arange(7)
    for mode, frequency, axis in zip(modes.T, FREQUENCIES, axes, strict=True):
        shape = mode / np.abs(mode).max()
        axis.axhline(0, color="black", lw=0.6)
        axis.plot(places, [0, *shape, 0], color="tab:blue", lw=1)
        axis.vlines(places[1:-1], 0, shape, color="tab:blue", lw=1, ls=":")
        axis.scatter(places[1:-1], shape, s=400 * MASSES, color="tab:red", zorder=3)
        axis.set(ylim=(-1.35, 1.35), yticks=[])
        axis.set_ylabel(f"{frequency:.3f} Hz", rotation=0, ha="right", va="center")
    axes[0].set_title("Modes of five masses on six springs")
    axes[-1].set_xticks(places, ["wall", *map(str, range(1, 6)), "wall"])
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
