"""Observations of mode shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.arrays import array_of
from eigenfit_serving.problem_file.checks.arrays import transposed_hint
from eigenfit_serving.problem_file.observations.levels import (
    AbstractObservationSection,
    Integers,
    at,
    check_distinct,
    check_levels,
)
from eigenfit_serving.problem_file.structures.simple import Sized

if TYPE_CHECKING:
    import eigenfit as ef


class AbstractShapesSection(AbstractObservationSection):
    """An observation of components of the modes of some levels."""

    levels: Integers
    components: Integers | None = None
    degenerate_atol: Annotated[
        float, Field(ge=0, description="a number of 0 or more, in the unit of levels")
    ] = 0.0
    degenerate_rtol: Annotated[
        float | None, Field(ge=0, description="a number of 0 or more")
    ] = None

    def places(self, order: int) -> np.ndarray:
        """Returns the components that are observed, each in 0..order-1."""
        if self.components is None:
            return np.arange(order)
        return at(self.components, order)

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix; see the base class."""
        if structure.is_complex:
            raise BadValue(
                "needs a real matrix: a complex mode has no sign. Use levels.",
                f"{key}.kind",
                getattr(self, "kind", None),
            )
        for name in ("levels", "components"):
            indices = getattr(self, name) or []
            check_levels(indices, structure.order, f"{key}.{name}")
            check_distinct(indices, structure.order, f"{key}.{name}")
        super().check(structure, key)


class ModeShapesSection(AbstractShapesSection):
    """Measured components of mode shapes.

    Targets are the shapes one after another, or a row for each.
    """

    kind: Literal["mode-shapes"]
    targets: Annotated[np.ndarray, array_of(1, 2)] | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    normalisation: Annotated[
        Literal["max", "unit", "mass"],
        Field(description='"max", "unit" or "mass"'),
    ] = "max"

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [
            f"mode {level} at {place}"
            for level in at(self.levels, order)
            for place in self.places(order)
        ]

    def check_counts(self, number: int, key: str) -> None:
        """Checks the numbers of targets and weights; see the base class."""
        targets = self.targets
        if targets is not None and targets.ndim == 2:
            wanted = (len(self.levels), number // len(self.levels))
            if targets.shape != wanted:
                raise BadValue(
                    f"has shape {list(targets.shape)}, it must be {list(wanted)}: a "
                    f"row for each level with a number for each component."
                    f"{transposed_hint(targets.shape, wanted)}",
                    f"{key}.targets",
                )
            return
        super().check_counts(number, key)

    def check_targets(self, targets: np.ndarray, order: int, key: str) -> None:
        """Checks that no shape is zero."""
        del order
        shapes = targets.reshape(len(self.levels), -1)
        for i in np.flatnonzero(~shapes.any(axis=1))[:1]:
            raise BadValue(
                f"hold only zeros for level {self.levels[i]}: a shape needs a component"
                f" that is not zero. Correct it, or leave the level out.",
                key,
            )

    def build(self) -> ef.ModeShapes:
        """Makes the observation."""
        import eigenfit as ef

        return ef.ModeShapes(
            self.levels,
            self.components,
            self.normalisation,
            **self.counting,
            degenerate_atol=self.degenerate_atol,
            degenerate_rtol=self.degenerate_rtol,
        )


class MACSection(AbstractShapesSection):
    """Modal assurance criterion of modes with given shapes; targets of 1 by default."""

    kind: Literal["mac"]
    shapes: Annotated[np.ndarray, array_of(2)]

    def names(self, order: int) -> list[str]:
        """Names the value compared with each target, for a matrix of an order."""
        return [f"MAC of mode {level}" for level in at(self.levels, order)]

    def check(self, structure: Sized, key: str) -> None:
        """Checks the observation against its matrix; see the base class."""
        super().check(structure, key)
        wanted = (len(self.levels), len(self.places(structure.order)))
        if self.shapes.shape != wanted:
            raise BadValue(
                f"has shape {list(self.shapes.shape)}, it must be {list(wanted)}: a "
                f"row for each level with a number for each component."
                f"{transposed_hint(self.shapes.shape, wanted)}",
                f"{key}.shapes",
            )
        for i in np.flatnonzero(~self.shapes.any(axis=1))[:1]:
            raise BadValue(
                "holds only zeros. Give the measured shape, or leave the level out.",
                f"{key}.shapes[{i}]",
            )

    def check_targets(self, targets: np.ndarray, order: int, key: str) -> None:
        """Checks that targets lie between 0 and 1."""
        del order
        for i in np.flatnonzero((targets < 0) | (targets > 1))[:1]:
            raise BadValue(
                "must lie between 0 and 1, which is a perfect match.",
                f"{key}[{i}]",
                targets[i].item(),
            )

    def build(self) -> ef.MAC:
        """Makes the observation."""
        import eigenfit as ef

        return ef.MAC(
            self.levels,
            self.shapes,
            self.components,
            **self.counting,
            degenerate_atol=self.degenerate_atol,
            degenerate_rtol=self.degenerate_rtol,
        )
