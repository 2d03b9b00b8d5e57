"""Indices of a problem file that seem to be counted from 1 instead of 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from eigenfit.analysis.feasibility import Finding
from eigenfit_serving.problem_file.observations.differences import (
    DifferencesSection,
    FreeShiftSection,
)
from eigenfit_serving.problem_file.observations.levels import LevelsSection
from eigenfit_serving.problem_file.reading import ProblemFile
from eigenfit_serving.problem_file.structures.composed import (
    GeneralizedSection,
    ReparametrizedSection,
)
from eigenfit_serving.problem_file.structures.graphs import (
    AssemblySection,
    LaplacianSection,
)

_ZERO = 1e-9
"""Size, relative to the largest level, up to which a level counts as always zero."""


def index_findings(content: ProblemFile, levels: Sequence[np.ndarray]) -> list[Finding]:
    """Finds indices that never name 0.

    Args:
        content: The problem file.
        levels: Ascending levels of each of its matrices at the start, `[n]`.
    """
    texts = [
        text
        for matrix in content.matrices
        for text in _of_structure(matrix.structure, matrix.key)
    ]
    found = [Finding("indices", "warning", text) for text in texts]
    known = {id(m): w for m, w in zip(content.matrices, levels, strict=True)}
    for term in content.terms:
        own = known.get(id(term.matrix))
        if own is not None and abs(own[0]) <= _ZERO * np.abs(own).max():
            continue  # a level that is 0 anyway is not observed
        numbers = sorted(set(_numbers(term.section)))
        if numbers and numbers == list(range(1, len(numbers) + 1)):
            text = (
                f"The levels of {term.key} are 1 to {numbers[-1]}: the lowest one is "
                f"level 0, and is not observed. Subtract 1 if they are counted from 1."
            )
            found.append(Finding("indices", "note", text))
    return found


def _numbers(section: Any) -> Iterator[int]:
    """Yields the levels that an observation names."""
    if isinstance(section, FreeShiftSection):
        section = section.observation
    if isinstance(section, LevelsSection):
        yield from section.indices or []
    elif isinstance(section, DifferencesSection):
        for end in (end for pair in section.pairs for end in pair):
            yield end if isinstance(end, int) else end[1]


def _of_structure(section: Any, key: str) -> Iterable[str]:
    """Finds where a structure never names its first row, vertex or parameter."""
    if isinstance(section, ReparametrizedSection):
        yield from _of_structure(section.structure, f"{key}.structure")
    elif isinstance(section, GeneralizedSection):
        yield from _of_structure(section.stiffness, f"{key}.stiffness")
        yield from _of_structure(section.mass, f"{key}.mass")
    elif isinstance(section, LaplacianSection):
        if section.edges.min() > 0:
            yield _said(f"{key}.edges", "vertex", section.edges.min())
    elif isinstance(section, AssemblySection):
        least = min(section.rows.min(), section.columns.min())
        constant = section.offset
        if least > 0 and (constant is None or not constant[:least].any()):
            yield _said(f"{key}.rows and columns", "row", least)
        if section.parameters.min() > 0:
            yield _said(f"{key}.parameters", "parameter", section.parameters.min())


def _said(key: str, what: str, least: int) -> str:
    return (
        f"{key} never name {what} 0, which therefore does nothing; the least is "
        f"{least}. Subtract 1 if they are counted from 1."
    )
