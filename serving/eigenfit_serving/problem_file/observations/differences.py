"""Observations of differences of levels, also between blocks, and up to a shift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, ValidationInfo
from pydantic_core import core_schema

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.arrays import data_file, mark
from eigenfit_serving.problem_file.data_files import read_cells, read_numbers
from eigenfit_serving.problem_file.observations.levels import (
    AbstractObservationSection,
    ClusterMeansSection,
    FrequenciesSection,
    LevelsSection,
    RelativeToSection,
    check_levels,
)
from eigenfit_serving.problem_file.observations.shapes import (
    MACSection,
    ModeShapesSection,
)
from eigenfit_serving.problem_file.section import Section
from eigenfit_serving.problem_file.structures.simple import Sized

if TYPE_CHECKING:
    import eigenfit as ef

End = int | tuple[str, int]
"""A level, or the label of a block and a level of it."""


class _Pairs:
    """Annotates the pairs of a `DifferencesSection`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        del source, handler
        return core_schema.with_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        del schema, handler
        cell = {"type": ["integer", "string"]}
        row = {"type": "array", "minItems": 2, "maxItems": 4}
        ends = {"anyOf": [cell, {"type": "array", "items": cell}]}
        rows = {"type": "array", "minItems": 1, "items": {**row, "items": ends}}
        return {"anyOf": [rows, mark("data_file")]}

    def check(self, value: Any, info: ValidationInfo) -> list[tuple[End, End]]:
        """Converts rows of a list or of a .csv file."""
        key = ""
        if isinstance(value, dict):
            folder = (info.context or {}).get("folder", Path())
            value, key = _rows_of_file(value, folder), ".file"
        if not isinstance(value, list) or not value:
            raise BadValue(f"must be {_PAIRS}.", key, value)
        return [_pair(row, f"{key}[{i}]") for i, row in enumerate(value)]


_PAIRS = (
    "a list of pairs [upper, lower] of levels, or between blocks of rows "
    '["upper label", upper, "lower label", lower]'
)


def _rows_of_file(table: dict[str, Any], folder: Path) -> list[list[Any]]:
    with data_file(table, "", folder) as (path, name):
        if path.suffix.lower() != ".csv":
            return np.atleast_2d(read_numbers(path, name)).tolist()
        rows = read_cells(path, name).rows
    # The labels of blocks stand in the first and third column.
    texts = (0, 2) if len(rows[0]) == 4 else ()
    return [
        [cell if j in texts else _integer(cell) for j, cell in enumerate(row)]
        for row in rows
    ]


def _integer(cell: str) -> int | str:
    try:
        return int(cell)
    except ValueError:
        return cell


def _pair(row: Any, key: str) -> tuple[End, End]:
    if isinstance(row, list) and len(row) == 4:
        row = [row[:2], row[2:]]
    if not isinstance(row, list) or len(row) != 2:
        raise BadValue(f"must be a row of {_PAIRS}.", key, row)
    upper, lower = (_end(entry, f"{key}[{i}]") for i, entry in enumerate(row))
    if upper == lower:
        raise BadValue(
            "is a level minus itself, always 0. Remove it.", key, _shown([upper, lower])
        )
    if isinstance(upper, int) != isinstance(lower, int):
        raise BadValue("names only one block. Name both, or none.", key, row)
    return upper, lower


def _end(value: Any, key: str) -> End:
    label, level = value if isinstance(value, list) and len(value) == 2 else ("", value)
    if isinstance(level, float) and level.is_integer():
        level = int(level)
    named = isinstance(label, (str, int)) and not isinstance(label, bool)
    if not named or isinstance(level, bool) or not isinstance(level, int):
        raise BadValue(
            "must be a level, an integer, or the label of a block and a level, e.g. "
            '["J2", 0].',
            key,
            value,
        )
    return level if label == "" else (str(label), level)


def _shown(ends: list[End]) -> list[Any]:
    return [end if isinstance(end, int) else list(end) for end in ends]


class DifferencesSection(AbstractObservationSection):
    """Differences of levels, such as lines of a spectrum."""

    kind: Literal["differences"]
    pairs: Annotated[list[tuple[End, End]], _Pairs(), Field(description=_PAIRS)]

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [
            f"{_name(upper, order)} - {_name(lower, order)}"
            for upper, lower in self.pairs
        ]

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix; see the base class."""
        for i, pair in enumerate(self.pairs):
            for j, end in enumerate(pair):
                if not isinstance(end, int):
                    raise BadValue(
                        "names a block. Pairs that join blocks belong to "
                        "[[observations]] at the top of the file; here give levels.",
                        f"{key}.pairs[{i}][{j}]",
                        list(end),
                    )
            levels = [end for end in pair if isinstance(end, int)]
            place = f"{key}.pairs[{i}]"
            check_levels(levels, structure.order, place, least=self.least)
        super().check(structure, key)

    def check_joint(self, orders: dict[str, int], key: str) -> None:
        """Checks the observation against the blocks that it joins.

        Args:
            orders: Orders of the matrices, by label.
            key: Key of this table in the file.

        Raises:
            BadValue: If a block or level does not exist.
        """
        for i, pair in enumerate(self.pairs):
            for j, end in enumerate(pair):
                place = f"{key}.pairs[{i}][{j}]"
                if isinstance(end, int):
                    raise BadValue(
                        'names no block. With several blocks write ["label", level].',
                        place,
                        end,
                    )
                label, level = end
                if label not in orders:
                    raise BadValue(
                        f"is no label of a block. They are: {', '.join(orders)}.",
                        place,
                        label,
                    )
                check_levels([level], orders[label], place, True, self.least)
        self.check_counts(len(self.pairs), key)

    @property
    def least(self) -> int:
        """The smallest index of a level in any pair."""
        ends = [end for pair in self.pairs for end in pair]
        return min(end if isinstance(end, int) else end[1] for end in ends)

    def build(self) -> ef.Differences:
        """Makes the observation."""
        import eigenfit as ef

        return ef.Differences(self.pairs, **self.counting)


def _name(end: End, order: int) -> str:
    if isinstance(end, int):
        return f"level {end % order}"
    return f"{end[0]}:{end[1]}"


class FreeShiftSection(Section):
    """Another observation, up to a constant added to all of its values."""

    kind: Literal["free-shift"]
    observation: ShiftedSection

    @property
    def targets(self) -> np.ndarray | None:
        """Targets of the observation that is shifted."""
        return self.observation.targets

    @property
    def weights(self) -> np.ndarray | None:
        """Weights of the observation that is shifted."""
        return self.observation.weights

    @property
    def sigma(self) -> np.ndarray | None:
        """Standard deviations of the observation that is shifted."""
        return self.observation.sigma

    @property
    def loss(self) -> str:
        """Loss of the observation that is shifted."""
        return self.observation.loss

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [f"{name} + shift" for name in self.observation.names(order)]

    def labelled(self, order: int, where: str = "") -> list[str]:
        """Names values by their labels if given, else by `names` after `where`."""
        labels = self.observation.labels
        return labels or [where + name for name in self.names(order)]

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation that is shifted."""
        self.observation.check(structure, f"{key}.observation")

    def check_joint(self, orders: dict[str, int], key: str) -> None:
        """Checks the observation that is shifted."""
        if not isinstance(self.observation, DifferencesSection):
            raise only_differences(f"{key}.observation.kind", self.observation.kind)
        self.observation.check_joint(orders, f"{key}.observation")

    def check_targets(self, targets: np.ndarray, order: int, key: str) -> None:
        """Checks targets as the observation that is shifted does."""
        self.observation.check_targets(targets, order, key)

    def build(self) -> ef.FreeShift:
        """Makes the observation."""
        import eigenfit as ef

        return ef.FreeShift(self.observation.build())


def only_differences(key: str, kind: str) -> BadValue:
    """Makes the error of an observation that cannot join blocks."""
    return BadValue(
        'observes one matrix. Only "differences" (and a "free-shift" of them) join '
        "blocks: write others as [[blocks.observations]] of their block.",
        key,
        kind,
    )


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        kind = value.get("kind", "levels")
        return kind if isinstance(kind, str) else str(kind)
    return getattr(value, "kind", None)


ShiftedSection = Annotated[
    Annotated[LevelsSection, Tag("levels")]
    | Annotated[FrequenciesSection, Tag("frequencies")]
    | Annotated[ClusterMeansSection, Tag("cluster-means")]
    | Annotated[RelativeToSection, Tag("relative-to")]
    | Annotated[DifferencesSection, Tag("differences")]
    | Annotated[ModeShapesSection, Tag("mode-shapes")]
    | Annotated[MACSection, Tag("mac")],
    Discriminator(_kind),
]
FreeShiftSection.model_rebuild()
ObservationSection = Annotated[
    Annotated[LevelsSection, Tag("levels")]
    | Annotated[FrequenciesSection, Tag("frequencies")]
    | Annotated[ClusterMeansSection, Tag("cluster-means")]
    | Annotated[RelativeToSection, Tag("relative-to")]
    | Annotated[DifferencesSection, Tag("differences")]
    | Annotated[ModeShapesSection, Tag("mode-shapes")]
    | Annotated[MACSection, Tag("mac")]
    | Annotated[FreeShiftSection, Tag("free-shift")],
    Discriminator(_kind),
]
