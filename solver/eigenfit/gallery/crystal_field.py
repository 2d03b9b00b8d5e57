"""Crystal-field levels of cerium, in terms of Stevens operators."""

from __future__ import annotations

import numpy as np

from eigenfit.gallery.entry import GalleryProblem, level_names, observed, parameters
from eigenfit.observations import FreeShift, Levels
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.structures import Affine

_SOURCE = (
    "Ce3+ (J = 5/2) in a cubic field, github.com/mantidproject/mantid/issues/28401; "
    "M. T. Hutchings, Solid State Phys. 16 (1964) 227-273"
)

LEVELS = np.array([0.0, 0.0, 360.0, 360.0, 360.0, 360.0])
"""Levels above the lowest, in units of B40, `[6]`: a doublet and a quartet."""


def stevens_operators(twice_J: int) -> dict[str, np.ndarray]:
    """Builds the Stevens operators of fourth and sixth order with fourfold symmetry.

    Args:
        twice_J: Twice the angular momentum J, at least 1.

    Returns:
        O40, O44, O60 and O64, each `[2 J + 1, 2 J + 1]` in the basis m = -J..J.
    """
    J = twice_J / 2
    m = np.arange(-J, J + 1)
    X = J * (J + 1)
    raising = np.diag(np.sqrt(X - m[:-1] * (m[:-1] + 1)), -1)
    fourth = np.linalg.matrix_power(raising, 4)
    fourth = fourth + fourth.T
    inner = 11 * m**2 - X - 38
    return {
        "O40": np.diag(35 * m**4 - (30 * X - 25) * m**2 + 3 * X**2 - 6 * X),
        "O44": fourth / 2,
        "O60": np.diag(
            231 * m**6
            - (315 * X - 735) * m**4
            + (105 * X**2 - 525 * X + 294) * m**2
            - (5 * X**3 - 40 * X**2 + 60 * X)
        ),
        "O64": (inner[:, np.newaxis] * fourth + fourth * inner) / 4,
    }


def cerium() -> GalleryProblem:
    """Builds T15: `B44 = 5 B40` and `B64 = -21 B60` tie four parameters to two.

    Sixth-order operators vanish for J = 5/2, so the levels do not determine B60.
    """
    operators = stevens_operators(5)
    return GalleryProblem(
        name="cerium-crystal-field",
        title="Cubic crystal field of Ce3+, tied parameters",
        source=_SOURCE,
        problem=Problem(
            Affine(list(operators.values())),
            FreeShift(Levels(unit="B40")),
            parameters=Parameters(
                ["B40", "B44", "B60", "B64"],
                ties={"B44": {"B40": 5.0}, "B64": {"B60": -21.0}},
            ),
        ),
        targets=LEVELS,
        initial=np.array([0.3, 0.0]),
        answer=np.array([1.0, 0.0]),
        levels=LEVELS,
        published=(
            parameters(["B40"], [1.0], 1e-9, indices=[0]),
            observed(level_names(6), LEVELS, 1e-7),
        ),
        tolerance=1e-18,
        start_note="A field of the right sign, a third as strong; B60 as it is.",
    )


def cerium_free() -> GalleryProblem:
    """Builds T15 with B40 and B44 free: the levels alone make the field cubic."""
    operators = stevens_operators(5)
    return GalleryProblem(
        name="cerium-crystal-field-free",
        title="Crystal field of Ce3+, B40 and B44 free",
        source=_SOURCE,
        problem=Problem(
            Affine([operators["O40"], operators["O44"]]),
            FreeShift(Levels(unit="B40")),
            parameters=Parameters(["B40", "B44"]),
        ),
        targets=LEVELS,
        initial=np.array([0.5, 1.0]),
        answer=np.array([1.0, 5.0]),
        levels=LEVELS,
        published=(
            parameters(["B40"], [1.0], 1e-9, indices=[0]),
            parameters(["B44"], [5.0], 1e-9, indices=[1], signs=False),
            observed(level_names(6), LEVELS, 1e-7),
        ),
        tolerance=1e-18,
        start_note="A field of the right signs, weaker and not cubic.",
    )
