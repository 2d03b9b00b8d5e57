"""Shear frames of buildings: stiffnesses from natural frequencies and mode shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigenfit.gallery.entry import (
    GalleryProblem,
    level_names,
    observed,
    parameters,
    printed,
)
from eigenfit.observations import Frequencies, Levels, ModeShapes
from eigenfit.problem.blocks import Block
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.structures import Affine, Generalized

_SMU = (
    "Y. Otsuki, P. Lander, X. Dong, Y. Wang, Adv. Struct. Eng. 25(4) (2022) 698-715; "
    "github.com/ywang-structures/Structural-Model-Updating"
)

MASSES = np.array([208e3] * 11 + [206e3] * 6 + [202e3]) / 9.8
"""Floor masses of the 18-storey frame, kg, `[18]`, from the ground up."""

NOMINAL = 1e5 * np.array(
    [
        *(1155.0, 1092.0, 1073.0, 1028.0, 1028.0, 990.0, 963.0, 938.0, 876.0),
        *(840.0, 824.0, 788.0, 712.0, 660.0, 619.0, 562.0, 491.0, 363.0),
    ]
)
"""Nominal storey stiffnesses of that frame, N/m, `[18]`."""

ACTUAL = np.array(
    [
        *(0.05, 0.05, -0.05, -0.10, 0.10, -0.15, 0.15, 0.25, -0.10),
        *(0.20, 0.30, 0.25, -0.15, 0.05, -0.15, 0.10, 0.20, 0.20),
    ]
)
"""Actual relative changes of these stiffnesses, `[18]`."""

ACTUAL_LEVELS = (
    "33.57568354 248.58723496 699.12844389 1352.2160968 2088.02298992 3042.63321469 "
    "4129.68197225 5279.30237816 6333.69171508 8123.23824556 9163.41625177 "
    "10302.67420475 11035.02853683 12630.98979972 15497.19468803 17187.70523718 "
    "18168.13290193 18975.88032481"
)
"""Levels at the actual stiffnesses, 1/s^2."""

FLOORS = (1, 4, 7, 9, 12, 15, 18)
"""Floors with a sensor, counted from 1."""

LAB_MASS = 12.060 / 386.088
"""Mass of each floor of the laboratory frame, lbf s^2/in."""

LAB_FREQUENCIES = "0.88289843 2.74773779 4.29976448 5.52947434"
"""Measured natural frequencies of the laboratory frame, Hz."""

LAB_SOLUTIONS = (
    "6.231687 9.650014 11.298991 11.322408",
    "7.178063 8.078609 9.033779 14.685837",
    "13.990489 5.90644 5.472218 17.013354",
    "18.497037 4.185971 15.572091 6.380677",
    "31.789221 4.969194 5.254058 9.269395",
    "32.558536 4.332299 7.584165 7.191525",
)
"""All positive storey stiffnesses with these frequencies, lbf/in."""


def shear_basis(stiffness: Any) -> np.ndarray:
    """Builds the contribution of each storey to the stiffness matrix: `[n, n, n]`.

    Args:
        stiffness: `[n]`, from the ground up; storey i joins floors i - 1 and i.
    """
    n = len(stiffness)
    joins = np.eye(n) - np.eye(n, k=-1)
    return np.einsum("k,ki,kj->kij", np.asarray(stiffness, float), joins, joins)


def levels_and_shapes(K: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, ...]:
    """Solves `K x = lambda M x` for a diagonal M: `[n]`, and `[n, n]` in columns."""
    root = np.sqrt(masses)
    w, V = np.linalg.eigh(K / np.outer(root, root))
    return w, V / root[:, np.newaxis]


def measured_shapes(shapes: np.ndarray, floors: Any = FLOORS) -> np.ndarray:
    """Takes mode shapes at the sensors, scaled to a largest component of 1.

    Args:
        shapes: Mode shapes in columns, `[n, k]`.
        floors: The c floors with sensors, counted from 1.

    Returns:
        The scaled shapes in rows, `[k, c]`.
    """
    at_floors = shapes[np.asarray(floors) - 1].T
    largest = np.argmax(np.abs(at_floors), axis=1)[:, np.newaxis]
    return at_floors / np.take_along_axis(at_floors, largest, axis=1)


def shear_frame() -> GalleryProblem:
    """Builds T7a: 18 relative stiffness changes from all 18 levels."""
    printed_levels, half = printed(ACTUAL_LEVELS)
    basis = shear_basis(NOMINAL)
    targets, _ = levels_and_shapes(_actual(basis), MASSES)
    tolerance = 1e-22
    return GalleryProblem(
        name="shear-frame-18",
        title="18-storey frame from all 18 levels",
        source=_SMU,
        problem=Problem(
            _frame(basis),
            Levels(weights=targets**-2, unit="s^-2"),
            parameters=Parameters(_changes()),
        ),
        targets=targets,
        initial=np.zeros(18),
        # Several stiffnesses have these levels: only the levels are compared.
        answer=ACTUAL,
        levels=printed_levels,
        published=(
            observed(
                level_names(18, unit="1/s^2"),
                printed_levels,
                # Rounding of the printed digits, plus what the tolerance allows.
                half + np.sqrt(tolerance) * targets,
            ),
        ),
        tolerance=tolerance,
        start_note="The nominal stiffnesses, as published.",
    )


def shear_frame_modes() -> GalleryProblem:
    """Builds T7b: the same from four levels and their shapes at seven floors."""
    basis = shear_basis(NOMINAL)
    w, shapes = levels_and_shapes(_actual(basis), MASSES)
    printed_levels, _ = printed(ACTUAL_LEVELS)
    modes = range(4)
    observations = [
        Levels(modes, weights=w[:4] ** -2, unit="s^-2"),
        ModeShapes(
            modes, components=[floor - 1 for floor in FLOORS], normalisation="max"
        ),
    ]
    targets = np.concatenate([w[:4], measured_shapes(shapes[:, :4]).ravel()])
    return GalleryProblem(
        name="shear-frame-18-modes",
        title="18-storey frame from 4 levels and mode shapes",
        source=_SMU,
        problem=Problem(
            [Block(_frame(basis), observations)], parameters=Parameters(_changes())
        ),
        targets=targets,
        initial=np.zeros(18),
        answer=ACTUAL,
        levels=np.concatenate([printed_levels[:4], targets[4:]]),
        # Simulated: the published changes are exact.
        published=(parameters(_changes(), ACTUAL, 1e-8),),
        tolerance=1e-22,
        start_note="The nominal stiffnesses, as published.",
        shown=lambda _: _upright(18),
    )


def lab_frame() -> GalleryProblem:
    """Builds T8: four storey stiffnesses from measured frequencies."""
    frequencies, half = printed(LAB_FREQUENCIES)
    names = [f"k{i + 1}" for i in range(4)]
    solutions, halves = zip(*map(printed, LAB_SOLUTIONS), strict=True)
    structure = Generalized(Affine(shear_basis(np.ones(4))), np.full(4, LAB_MASS))
    return GalleryProblem(
        name="lab-frame-4",
        title="4-storey frame from measured frequencies",
        source=_SMU,
        problem=Problem(
            structure,
            Frequencies(unit="Hz"),
            parameters=Parameters(names, bounds=(0, 50)),
        ),
        targets=frequencies,
        initial=np.full(4, 10.0),
        answer=solutions[0],
        levels=frequencies,
        published=(
            observed(level_names(4, unit="Hz"), frequencies, half),
            # Any of the six counts.
            parameters(
                [f"{name}, nearest of 6 (lbf/in)" for name in names], solutions, halves
            ),
        ),
        tolerance=1e-20,
        start_note="The nominal stiffnesses, 10 lbf/in each.",
        shown=lambda _: _upright(4),
    )


def _upright(floors: int) -> dict[str, Any]:
    places = range(1, floors + 1)
    return {"upright": True, "places": places, "supports": [0], "axis": "floor"}


def _actual(basis: np.ndarray) -> np.ndarray:
    return np.tensordot(1 + ACTUAL, basis, 1)


def _frame(basis: np.ndarray) -> Generalized:
    return Generalized(Affine(basis, basis.sum(axis=0)), MASSES)


def _changes() -> list[str]:
    return [f"a{i + 1}" for i in range(18)]
