"""What results cost beyond the fit: the object, its report, intervals, posteriors.

    python benchmarks/reports.py

Times are medians of repeated calls after a first one that compiles, which is given too.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time
import unittest.mock
from collections.abc import Callable
from typing import Any

import numpy as np

import eigenfit as ef
from eigenfit.fits.fit import Fit

REPEAT = 200
DRAWS = 100_000


def seconds_of(call: Callable[[], Any], repeat: int) -> tuple[float, float]:
    """Times the first call and the median of the others."""
    times = []
    for _ in range(1 + repeat):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times[0], float(np.median(times[1:]))


def show(title: str, call: Callable[[], Any], repeat: int) -> float:
    first, later = seconds_of(call, repeat)
    print(f"{title:58} {1e3 * later:10.3f} ms   first {first:6.2f} s")
    return later


def main() -> None:
    solver = ef.Solver(ef.Problem(ef.Symmetric(3)))
    start, targets = [0.1, 0.9, 0.0, 0.2, 0.8, 0.5], [1.0, 2.0, 4.0]

    def fit() -> Fit:
        return solver.fit(start, targets)

    whole = show("fit of a 3 x 3 matrix, as a Fit", fit, REPEAT)
    with unittest.mock.patch.object(Fit, "of", lambda solution, asked: solution):
        bare = show("the same, as a tuple of tensors", fit, REPEAT)
    print(f"{'what the Fit costs':58} {1e3 * (whole - bare):10.3f} ms")

    entry = ef.gallery.load("rotational-h2coh+")
    spectrum = ef.Solver(entry.problem, entry.method)
    found = spectrum.fit(entry.initial, entry.targets, tolerance=entry.tolerance)
    show("its report: H2COH+, 8 constants", lambda: found.report(), 5)
    show("profile intervals of all of them, two levels", lambda: ef.profile(found), 5)

    four = ef.Problem(
        ef.Affine(np.eye(4)[:, :, None] * np.eye(4)), ef.Levels(sigma=0.1)
    )
    levels = ef.Solver(four).fit([1.0, 2.0, 3.0, 4.0], [1.1, 2.0, 3.1, 4.2])
    show(
        f"posterior of 4 unknowns, {DRAWS} draws",
        lambda: ef.posterior(levels, draws=DRAWS),
        1,
    )


if __name__ == "__main__":
    main()
