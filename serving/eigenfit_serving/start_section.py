"""`[start]`: where the search begins."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from eigenfit_serving.arrays import array_of
from eigenfit_serving.errors import BadValue
from eigenfit_serving.parameter_section import Unknowns
from eigenfit_serving.section import Section


def _form(value: Any) -> str:
    is_file = isinstance(value, dict) and "file" in value
    return "by name" if isinstance(value, dict) and not is_file else "array"


StartNumber = Annotated[float, Field(description="a finite number")]
Given = Annotated[
    Annotated[np.ndarray, array_of(1, 2), Tag("array")]
    | Annotated[dict[str, StartNumber], Tag("by name")],
    Discriminator(_form),
]


class StartSection(Section):
    """`[start]`: given values of the unknown parameters, or random ones.

    Random starts are uniform between `low` and `high`, each a number for all unknowns
    or a list. Where they are not given, the bounds of a parameter take their place.
    """

    kind: Annotated[Literal["uniform"], Field(description='"uniform"')] = "uniform"
    low: Annotated[np.ndarray, array_of(0, 1)] | None = None
    high: Annotated[np.ndarray, array_of(0, 1)] | None = None
    parameters: Given | None = None

    @model_validator(mode="after")
    def _check(self) -> StartSection:
        random = sorted(self.model_fields_set - {"parameters"})
        if self.parameters is not None and random:
            raise BadValue(
                "is for random starts, but parameters are given. Remove one of them.",
                f".{random[0]}",
            )
        return self

    def given(self, unknowns: Unknowns) -> np.ndarray | None:
        """The given starts, `[s, p]`; None if they are random.

        Raises:
            BadValue: If a number is missing or one too much, or lies out of bounds.
        """
        names, values = unknowns.names, self.parameters
        if values is None:
            return None
        if isinstance(values, dict):
            for name in values:
                if name not in names:
                    raise BadValue(
                        f"is no parameter to fit. They are: {_listed(names)}.",
                        f"start.parameters.{name}",
                    )
            for name in names:
                if name not in values:
                    raise BadValue(
                        "is missing. Add it: every parameter that is neither fixed nor "
                        "tied needs a start.",
                        f"start.parameters.{name}",
                    )
            starts = np.array([[values[name] for name in names]])
        else:
            if values.shape[-1] != len(names):
                raise BadValue(
                    f"has {values.shape[-1]} numbers for each start, but there are "
                    f"{len(names)} parameters to fit. Give {len(names)}.",
                    "start.parameters",
                )
            starts = np.atleast_2d(values)
        outside = (starts < unknowns.low) | (starts > unknowns.high)
        for s, k in np.argwhere(outside)[:1]:
            key = f".{names[k]}" if isinstance(values, dict) else f"[{k}]"
            if not isinstance(values, dict) and values.ndim == 2:
                key = f"[{s}]{key}"
            raise BadValue(
                f"lies outside of the bounds of {names[k]}, {unknowns.low[k]:g} to "
                f"{unknowns.high[k]:g}. Start inside.",
                f"start.parameters{key}",
                starts[s, k].item(),
            )
        return starts

    def box(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        """Where random starts lie: low and high, `[p]` each.

        Raises:
            BadValue: If there is no room between them.
        """
        p = len(unknowns.names)
        for name in ("low", "high"):
            values = getattr(self, name)
            if values is not None and values.ndim and len(values) != p:
                raise BadValue(
                    f"has {len(values)} numbers, but there are {p} parameters to fit. "
                    f"Give {p}, or a single number for all.",
                    f"start.{name}",
                )
        low, high = self._sides(unknowns)
        for k in np.flatnonzero(~(low < high))[:1]:
            name, place = unknowns.names[k], ""
            if self.high is not None and self.high.ndim:
                place = f"[{k}]"
            text = f"must lie above low, which is {low[k]:g}"
            if np.isfinite([unknowns.low[k], unknowns.high[k]]).any():
                text += (
                    f", and both inside of the bounds of {name}, {unknowns.low[k]:g} "
                    f"to {unknowns.high[k]:g}"
                )
            raise BadValue(
                f"{text}.",
                f"start.high{place}",
                high[k].item(),
            )
        return low, high

    def _sides(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        p = len(unknowns.names)
        below, above = np.isfinite(unknowns.low), np.isfinite(unknowns.high)
        low = np.zeros(p) if self.low is None else np.broadcast_to(self.low, p)
        high = np.ones(p) if self.high is None else np.broadcast_to(self.high, p)
        if self.low is None:
            low = np.where(above & ~below, unknowns.high - 1, low)
            low = np.where(below, unknowns.low, low)
        if self.high is None:
            high = np.where(below & ~above, unknowns.low + 1, high)
            high = np.where(above, unknowns.high, high)
        return np.maximum(low, unknowns.low), np.minimum(high, unknowns.high)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:12]) + ", ..." * (len(names) > 12)
