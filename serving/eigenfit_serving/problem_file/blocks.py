"""`[[blocks]]`, and where the observations of a file stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from eigenfit_serving.errors import check_all
from eigenfit_serving.problem_file.observations.differences import (
    DifferencesSection,
    FreeShiftSection,
    ObservationSection,
    only_differences,
)
from eigenfit_serving.problem_file.observations.levels import LevelsSection
from eigenfit_serving.problem_file.section import Name, Section
from eigenfit_serving.problem_file.structures.composed import StructureSection

if TYPE_CHECKING:
    import eigenfit as ef


class BlockSection(Section):
    """`[[blocks]]`: one matrix of several that share their parameters."""

    label: Name | None = None
    structure: Annotated[
        StructureSection, Field(description='a table with kind = "affine" or another')
    ]
    observations: Annotated[
        list[ObservationSection] | None,
        Field(description="tables [[blocks.observations]]"),
    ] = None


@dataclass(frozen=True)
class Matrix:
    """A matrix of the problem: of `[structure]`, or of a table of `[[blocks]]`."""

    label: str
    key: str  # key of its structure in the file
    structure: StructureSection
    observations: dict[str, ObservationSection]  # by key in the file

    def build(self, dtype: str) -> ef.Block:
        """Makes the block."""
        import eigenfit as ef

        observations = [section.build() for section in self.observations.values()]
        return ef.Block(self.structure.build(dtype), observations, self.label)


@dataclass(frozen=True)
class Term:
    """An observation and the part of the targets that belongs to it."""

    key: str  # key of the observation in the file
    section: ObservationSection
    matrix: Matrix | None  # None if it joins several
    first: int  # index of its first target
    names: list[str]  # names of its targets

    @property
    def part(self) -> slice:
        """The slice of all targets that belongs to the observation."""
        return slice(self.first, self.first + len(self.names))

    @property
    def targets_key(self) -> str:
        """Key of the targets that are given with the observation."""
        inner = ".observation" * isinstance(self.section, FreeShiftSection)
        return f"{self.key}{inner}.targets"

    def own_targets(self) -> np.ndarray | None:
        """Returns the targets given with the observation, if any; 1 for a MAC."""
        given = self.section.targets
        if given is None and self.section.kind == "mac":
            return np.ones(len(self.names))
        return None if given is None else given.ravel()


def terms_of(
    matrices: list[Matrix], joint: dict[str, ObservationSection]
) -> Iterator[Term]:
    """Checks all observations and puts them in the order of their targets.

    Args:
        matrices: Matrices of the problem.
        joint: Observations that join several of them, by key.

    Raises:
        BadValue: If an observation does not fit.
        BadValues: If several do not.
    """
    orders = {matrix.label: matrix.structure.order for matrix in matrices}
    check_all(
        *(
            partial(section.check, matrix.structure, key)
            for matrix in matrices
            for key, section in matrix.observations.items()
        ),
        *(
            partial(_check_joint, section, orders, key)
            for key, section in joint.items()
        ),
    )
    first = 0
    for matrix in matrices:
        for key, section in matrix.observations.items():
            where = f"{matrix.label}: " if len(matrices) > 1 else ""
            names = section.labelled(matrix.structure.order, where)
            yield Term(key, section, matrix, first, names)
            first += len(names)
    for key, section in joint.items():
        names = section.labelled(1)
        yield Term(key, section, None, first, names)
        first += len(names)


def _check_joint(section: ObservationSection, orders: dict[str, int], key: str) -> None:
    if not isinstance(section, (DifferencesSection, FreeShiftSection)):
        raise only_differences(f"{key}.kind", section.kind)
    section.check_joint(orders, key)


def default_observations(key: str, is_alone: bool) -> dict[str, ObservationSection]:
    """Returns a matrix's default observations: all levels if alone, otherwise none."""
    return {key: LevelsSection()} if is_alone else {}
