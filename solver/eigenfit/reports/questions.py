"""Puts into words and numbers what a problem asks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eigenfit.methods import AbstractMethod, name_of
from eigenfit.observations import (
    MAC,
    ClusterMeans,
    Differences,
    FreeShift,
    Frequencies,
    Levels,
    ModeShapes,
    RelativeTo,
)
from eigenfit.observations.shapes import AbstractShapes
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.priors import Prior
from eigenfit.reports.notes import parameter_notes
from eigenfit.reports.phrases import count
from eigenfit.reports.record import Question
from eigenfit.structures import Generalized, Reparametrized

_REDUCED = " L^-1 K L^-H, where M = L L^H"


def question_of(
    problem: Problem, method: AbstractMethod, tolerance: Any = None, title: str = ""
) -> Question:
    """Describes what a fit was asked.

    Args:
        problem: The problem.
        method: The method that made the steps.
        tolerance: Loss at which a fit has converged, as it was given; None for the
            default.
        title: One line for readers.
    """
    everything = problem.all_names
    structures = [block.structure for block in problem.blocks]
    orders = tuple(structure.order for structure in structures)
    counts = len(everything), problem.num_parameters, problem.num_targets
    observed, observations = problem.observation, problem.observations
    dtype = problem.parameter_dtype.name
    pencils = [isinstance(_untied(structure), Generalized) for structure in structures]
    return Question(
        title=title,
        problem=in_a_line([_kind(x) for x in structures], orders, counts),
        method=name_of(method),
        dtype=dtype,
        start="",
        tolerance=tolerance_text(tolerance, dtype),
        tolerance_given=tolerance is not None,
        names=problem.parameter_names,
        all_names=everything,
        notes=parameter_notes(problem.known, len(everything)),
        target_names=problem.target_names,
        parts=problem.parts,
        weights=problem.roots() ** 2,
        has_sigma=_has_sigma(problem),
        matrix=tuple(_REDUCED if pencil else "" for pencil in pencils),
        labels=problem.labels,
        orders=orders,
        positions=None if observed is None else observed.positions(problem.order),
        num_data=problem.num_data,
        num_priors=problem.num_priors,
        comparable=_are_comparable(problem),
        kinds=tuple(_quantity(observation) for _, observation, _ in problem.terms),
        places=_places(problem),
        losses=tuple(x.robust.name if x.robust else "linear" for x in observations),
        loss_scales=tuple(x.robust.scale if x.robust else 1.0 for x in observations),
        priors=tuple(map(_prior, problem.known.priors)),
        blends=tuple(_blends(problem)),
        units=tuple(observation.unit for observation in observations),
        influence=_influence(problem),
    )


def tolerance_text(tolerance: Any, dtype: str) -> str:
    """Writes when a fit has converged.

    Args:
        tolerance: Loss that is small enough; None for the default.
        dtype: Name of the dtype, on which the default depends.

    Example:
        >>> tolerance_text(1e-8, "float64"), tolerance_text(None, "float64")
        ('tolerance 1e-08', 'relative tolerance 1e-10')
    """
    if tolerance is None:
        return f"relative tolerance {'1e-10' if dtype == 'float64' else '1e-5'}"
    values = np.unique(np.asarray(tolerance))
    return f"tolerance {values[0]:g}" if len(values) == 1 else "tolerances of their own"


def in_a_line(
    kinds: Sequence[str], orders: Sequence[int], counts: tuple[int, int, int]
) -> str:
    """Sums up a problem.

    Args:
        kinds: Kind of each matrix.
        orders: Order of each matrix.
        counts: Number of parameters, of those that are fitted, and of targets.

    Example:
        >>> in_a_line(["affine"], [3], (2, 2, 3))
        'affine, order 3, 2 parameters, 3 targets'
    """
    distinct = ", ".join(dict.fromkeys(kinds))
    span = f"order {orders[0]}"
    if min(orders) < max(orders):
        span = f"orders {min(orders)} to {max(orders)}"
    text = f"{distinct}, {span}"
    if len(kinds) > 1:
        text = f"{len(kinds)} blocks ({distinct}) of {span}"
    parameters, fitted, targets = counts
    text += f", {count(parameters, 'parameter')}"
    if fitted < parameters:
        text += f" of which {fitted} fitted"
    return f"{text}, {count(targets, 'target')}"


def _influence(problem: Problem) -> np.ndarray | None:
    result = np.zeros(len(problem.all_names))
    for block in problem.blocks:
        squares = block.structure.squared_norms() if block.structure.is_linear else None
        if squares is None or len(squares) != len(result):
            return None
        result = np.maximum(result, np.sqrt(squares / block.structure.order))
    return result


def _prior(prior: Prior) -> str:
    terms = sorted((k, float(x)) for k, x in prior.coefficients.items())
    return f"{terms}: {float(prior.mean)!r} +- {float(prior.sigma)!r}"


def _untied(structure: Any) -> Any:
    while isinstance(structure, Reparametrized):
        structure = structure.structure
    return structure


def _kind(structure: Any) -> str:
    name = type(_untied(structure)).__name__
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _has_sigma(problem: Problem) -> np.ndarray:
    result = np.zeros(problem.num_targets, bool)
    for _, observation, part in problem.terms:
        result[part] = observation.has_sigma
    return result


def _blends(problem: Problem) -> Iterator[int]:
    for _, observation, part in problem.terms:
        while isinstance(observation, FreeShift):
            observation = observation.observation
        if isinstance(observation, ClusterMeans):
            for k, cluster in enumerate(observation.clusters, part.start):
                if len(cluster) > 1:
                    yield k


def _are_comparable(problem: Problem) -> bool:
    # Whether data without standard deviations are all in the unit of levels, or all
    # numbers of one other kind.
    def quantity(observation: Any) -> str:
        while isinstance(observation, FreeShift):
            observation = observation.observation
        own = isinstance(observation, (Frequencies, AbstractShapes))
        return type(observation).__name__ if own else "levels"

    return len({quantity(x) for _, x, _ in problem.terms if not x.has_sigma}) < 2


_KINDS = {
    Levels: "levels",
    Frequencies: "frequencies",
    RelativeTo: "relative",
    Differences: "differences",
    ClusterMeans: "means",
    ModeShapes: "shapes",
    MAC: "MAC",
}


def _quantity(observation: Any) -> str:
    while isinstance(observation, FreeShift):
        observation = observation.observation
    own = [word for kind, word in _KINDS.items() if isinstance(observation, kind)]
    return own[0] if own else "other"


def _places(problem: Problem) -> np.ndarray:
    result = np.full([problem.num_targets, 3], -1)
    orders = [block.structure.order for block in problem.blocks]
    for label, observation, part in problem.terms:
        if label is None:
            continue
        block = problem.labels.index(label)
        order = orders[block]
        result[part, 0] = block
        while isinstance(observation, FreeShift):
            observation = observation.observation
        if isinstance(observation, (Levels, Frequencies)):
            result[part, 1] = Levels(observation.indices).positions(order)
        elif isinstance(observation, RelativeTo):
            result[part, 1] = np.argmax(observation.matrix(order), axis=1)
        elif isinstance(observation, MAC):
            result[part, 1] = observation.places(order)[0]
        elif isinstance(observation, ModeShapes):
            levels, rows = observation.places(order)
            result[part, 1] = np.repeat(levels, len(rows))
            result[part, 2] = np.tile(rows, len(levels))
    return result
