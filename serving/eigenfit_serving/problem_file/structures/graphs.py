"""`[structure]` given by its entries: weighted graphs and sparse assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.arrays import array_of, integers_of
from eigenfit_serving.problem_file.checks.arrays import (
    check_hermitian,
    from_one_hint,
    transposed_hint,
)
from eigenfit_serving.problem_file.section import MAX_ORDER, MAX_PARAMETERS, Order
from eigenfit_serving.problem_file.structures.simple import AbstractStructureSection

if TYPE_CHECKING:
    import eigenfit as ef


class LaplacianSection(AbstractStructureSection):
    """`[structure]` of a weighted graph: one parameter per edge."""

    kind: Literal["laplacian"]
    edges: Annotated[np.ndarray, integers_of(2)]
    vertices: Annotated[Order | None, Field(alias="order")] = None

    @model_validator(mode="after")
    def _check(self) -> LaplacianSection:
        if self.edges.shape[1] != 2:
            raise BadValue(
                f"has rows of {self.edges.shape[1]} integers. Give the two ends of "
                f"each edge.{transposed_hint(self.edges.shape, (None, 2))}",
                ".edges",
            )
        seen: dict[frozenset[int], int] = {}
        for i, (a, b) in enumerate(self.edges.tolist()):
            key = f".edges[{i}]"
            _check_range([a, b], self.order, key, "vertices", self.edges.min())
            if a == b:
                raise BadValue(
                    "joins a vertex to itself, which adds nothing. Leave it out.",
                    key,
                    [a, b],
                )
            if frozenset((a, b)) in seen:
                raise BadValue(
                    f"is edges[{seen[frozenset((a, b))]}] again. Give each edge once.",
                    key,
                    [a, b],
                )
            seen[frozenset((a, b))] = i
        return self

    @property
    def order(self) -> int:
        """Number n of vertices."""
        return self.vertices or min(int(self.edges.max()) + 1, MAX_ORDER)

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return len(self.edges)

    def build(self, dtype: str) -> ef.Laplacian:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Laplacian(self.edges, order=self.order, dtype=dtype)


class AssemblySection(AbstractStructureSection):
    """`[structure]` made of contributions `coefficients * r_parameters`.

    Each is added at (rows, columns) and, off the diagonal, at (columns, rows).
    """

    kind: Literal["assembly"]
    rows: Annotated[np.ndarray, integers_of(1)]
    columns: Annotated[np.ndarray, integers_of(1)]
    parameters: Annotated[np.ndarray, integers_of(1)]
    coefficients: Annotated[np.ndarray, array_of(1)]
    size: Annotated[Order | None, Field(alias="order")] = None
    count: Annotated[
        int | None,
        Field(
            alias="num_parameters",
            ge=1,
            le=MAX_PARAMETERS,
            description="an integer from 1 to 16777216",
        ),
    ] = None
    offset: Annotated[np.ndarray, array_of(2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> AssemblySection:
        for name in ("columns", "parameters", "coefficients"):
            if len(getattr(self, name)) != len(self.rows):
                raise BadValue(
                    f"has {len(getattr(self, name))} numbers, rows has "
                    f"{len(self.rows)}. Give one for each contribution.",
                    f".{name}",
                )
        for name, size, what in (
            ("rows", self.order, "rows"),
            ("columns", self.order, "columns"),
            ("parameters", self.num_parameters, "parameters"),
        ):
            own = getattr(self, name)
            least = min(self.rows.min(), self.columns.min())
            least = own.min() if name == "parameters" else least
            _check_range(own.tolist(), size, f".{name}", what, least)
        if self.offset is not None:
            if self.offset.shape != (self.order, self.order):
                raise BadValue(
                    f"has shape {list(self.offset.shape)}, the matrix has order "
                    f"{self.order}. Give it {self.order} rows and columns.",
                    ".offset",
                )
            check_hermitian(self.offset, ".offset")
        return self

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        largest = int(max(self.rows.max(), self.columns.max()))
        return self.size or min(largest + 1, MAX_ORDER)

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.count or min(int(self.parameters.max()) + 1, MAX_PARAMETERS)

    def build(self, dtype: str) -> ef.Assembly:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Assembly(
            self.rows,
            self.columns,
            self.parameters,
            self.coefficients,
            order=self.order,
            num_parameters=self.num_parameters,
            offset=self.offset,
            dtype=dtype,
        )


def _check_range(
    indices: list[int], size: int, key: str, what: str, least: int
) -> None:
    """Raises `BadValue` unless indices are 0 to `size` - 1; `least` is the smallest."""
    for i, k in enumerate(indices):
        if not 0 <= k < size:
            raise BadValue(
                f"does not exist: the {what} are 0 to {size - 1}."
                f"{from_one_hint(k, size, least)}",
                f"{key}[{i}]",
                k,
            )
