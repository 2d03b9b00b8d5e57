"""The rotational spectrum of protonated formaldehyde: measured lines, published fit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eigenfit.analysis.uncertainty import uncertainty
from eigenfit.gallery.entry import (
    GalleryProblem,
    calculated,
    parameters,
    printed,
    published,
)
from eigenfit.observations import Differences
from eigenfit.problem.blocks import Block
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.results import Solution
from eigenfit.structures import Affine

NAMES = ("A", "B", "C", "-DJ", "-DJK", "-DK", "d1", "d2")
"""Constants of Watson's S reduction in I^r, MHz, signs as in SPFIT."""

PRINTED = (
    "197581.5594 34350.54740 29172.65425 -0.055341 -0.629198 -6.4644 "
    "-9.5310e-03 -1.9330e-03"
)
"""Published values, MHz."""

PRINTED_ERRORS = "0.0210 0.00250 0.00279 0.000039 0.000276 0.0087 0.0075e-03 0.0196e-03"
"""Published standard errors, MHz."""

SIGMA = 0.040
"""Standard deviation of every line, MHz."""

_LINES = """
2 1 2 1 1 1 121864.526 | 2 1 1 2 0 2 173697.518 | 5 0 5 4 1 4 173766.950
3 1 2 3 0 3 181867.359 | 3 1 3 2 1 2 182719.152 | 9 1 8 8 2 7 183893.055
3 0 3 2 0 2 190079.131 | 3 2 2 2 2 1 190548.754 | 3 2 1 2 2 0 191032.797
3 1 2 2 1 1 198248.992 | 5 1 4 5 0 5 207964.754 | 6 1 5 6 0 6 226632.581
4 1 4 3 1 3 243482.928 | 6 0 6 5 1 5 246558.299 | 7 1 6 7 0 7 249606.743
4 0 4 3 0 3 252870.339 | 4 2 3 3 2 2 253964.667 | 4 2 2 3 2 1 255171.886
4 1 3 3 1 2 264179.004 | 8 1 7 8 0 8 277299.765 | 2 1 2 1 0 1 285087.849
5 0 5 4 0 4 315184.003 | 5 1 4 4 1 3 329972.820 | 3 1 3 2 0 2 340883.552
10 1 9 10 0 10 348102.330 | 11 1 10 10 2 9 357163.502 | 6 1 6 5 1 5 364637.225
6 0 6 5 0 5 376921.391 | 6 2 5 5 2 4 380517.249 | 6 3 4 5 3 3 381641.233
6 3 3 5 3 2 381740.099 | 6 2 4 5 2 3 384683.256
"""


_BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Line(NamedTuple):
    """A measured transition."""

    upper: tuple[int, int, int]  # J, Ka, Kc
    lower: tuple[int, int, int]
    frequency: float  # MHz


def lines() -> list[Line]:
    """Lists the 32 measured lines of H2COH+."""
    result = []
    for text in _LINES.replace("|", "\n").strip().splitlines():
        *numbers, frequency = text.split()
        J1, Ka1, Kc1, J0, Ka0, Kc0 = map(int, numbers)
        result.append(Line((J1, Ka1, Kc1), (J0, Ka0, Kc0), float(frequency)))
    return result


def level_index(J: int, Ka: int, Kc: int) -> int:
    """Returns the index of the level J_KaKc among those of its J, ascending.

    Example:
        >>> level_index(1, 0, 1), level_index(1, 1, 1), level_index(1, 1, 0)
        (0, 1, 2)
    """
    return J + Ka - Kc


def rotor_basis(J: int) -> np.ndarray:
    """Builds the operators that `NAMES` multiply: `[8, 2 J + 1, 2 J + 1]`.

    In the basis K = -J..J with z along a, x along b and y along c:
    `Jz^2, Jx^2, Jy^2, J^4, J^2 Jz^2, Jz^4, J^2 (J+^2 + J-^2), J+^4 + J-^4`
    (J. K. G. Watson, in Vibrational Spectra and Structure 6 (1977) 1-89).
    """
    K = np.arange(-J, J + 1.0)
    square = J * (J + 1.0)
    raising = np.diag(np.sqrt(square - K[:-1] * (K[:-1] + 1)), -1)
    twice = raising @ raising
    twice = twice + twice.T
    fourth = np.linalg.matrix_power(raising, 4)
    one, Jz2 = np.eye(len(K)), np.diag(K**2)
    # Jx^2 + Jy^2 = J^2 - Jz^2 and Jx^2 - Jy^2 = (J+^2 + J-^2) / 2.
    equal, split = (square * one - Jz2) / 2, twice / 4
    return np.array(
        [
            Jz2,
            equal + split,
            equal - split,
            square**2 * one,
            square * Jz2,
            Jz2**2,
            square * twice,
            fourth + fourth.T,
        ]
    )


def _assignment(line: Line) -> str:
    ends = [f"{J}({Ka},{Kc})" for J, Ka, Kc in (line.upper, line.lower)]
    return " - ".join(ends)


def h2coh() -> GalleryProblem:
    """Builds T3: eight constants of H2COH+ from 32 lines of twelve blocks J = 0..11."""
    measured = lines()
    values, half = printed(PRINTED)
    errors, half_errors = printed(PRINTED_ERRORS)
    rms, half_rms = printed("0.038949")
    pairs = [(_place(line.upper), _place(line.lower)) for line in measured]
    return GalleryProblem(
        name="rotational-h2coh+",
        title="Rotational spectrum of H2COH+, 32 measured lines",
        source="Test suite of SPFIT (H. M. Pickett, J. Mol. Spectrosc. 148 (1991) "
        "371-377), github.com/jtbr/spfit-spcat, asymmetric_tops/h2coh_plus",
        problem=Problem(
            [Block(Affine(rotor_basis(J)), label=str(J)) for J in range(12)],
            observations=[
                Differences(
                    pairs,
                    sigma=SIGMA,
                    labels=[_assignment(line) for line in measured],
                    unit="MHz",
                )
            ],
            parameters=Parameters(NAMES),
        ),
        targets=np.array([line.frequency for line in measured]),
        initial=np.array([198000.0, 34300, 29200, 0, 0, 0, 0, 0]),
        answer=values,
        levels=None,
        published=(
            parameters([f"{name} (MHz)" for name in NAMES], values, half),
            published(
                [f"standard error of {name} (MHz)" for name in NAMES],
                errors,
                half_errors,
                _standard_errors,
            ),
            published(["rms (MHz)"], rms, half_rms, _rms),
        ),
        # Measured lines are not met exactly: a fit ends at a minimum.
        tolerance=1e-8,
        start_note="The rigid rotor, as published: no distortion.",
        shown=lambda _: {
            "quantity": "frequency / MHz",
            "labels": [f"{_term(x.upper)} – {_term(x.lower)}" for x in measured],
        },
    )


def _term(level: tuple[int, int, int]) -> str:
    # J with Ka and Kc below the line, which has no comma.
    J, *low = (str(k).translate(_BELOW) if i else str(k) for i, k in enumerate(level))
    return J + ("," if max(level[1:]) > 9 else "").join(low)


def _place(level: tuple[int, int, int]) -> tuple[str, int]:
    return str(level[0]), level_index(*level)


def _standard_errors(entry: GalleryProblem, solution: Solution) -> np.ndarray:
    errors = uncertainty(entry.problem, solution, entry.targets, scale="sigma")
    return np.asarray(errors.standard_errors)


def _rms(entry: GalleryProblem, solution: Solution) -> list[float]:
    return [np.sqrt(np.mean((calculated(entry, solution) - entry.targets) ** 2))]
