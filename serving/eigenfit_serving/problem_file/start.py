"""`[start]`: where the search begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.arrays import array_of
from eigenfit_serving.problem_file.checks.arrays import transposed_hint
from eigenfit_serving.problem_file.parameters import Unknowns
from eigenfit_serving.problem_file.section import Section

if TYPE_CHECKING:
    from eigenfit import Problem
    from eigenfit_export.starts import Start


def _form(value: Any) -> str:
    is_file = isinstance(value, dict) and "file" in value
    return "by name" if isinstance(value, dict) and not is_file else "array"


StartNumber = Annotated[float, Field(description="a finite number")]
Given = Annotated[
    Annotated[np.ndarray, array_of(1, 2), Tag("array")]
    | Annotated[dict[str, StartNumber], Tag("by name")],
    Discriminator(_form),
]


_KINDS = {"low": "uniform", "high": "uniform", "centre": "normal", "sigma": "normal"}
"""The kind of random start that each number belongs to."""


_DRAWS = {
    "uniform": "uniform from low to high",
    "normal": "normal around centre",
    "bounds": "natural: between the bounds, parameters without normal",
    "scales": "natural: of the scales of the parameters",
    "spectrum": "natural: spectra of the size of the targets",
    "sizes": "natural: normal, of the size that the targets ask for",
    "standard-normal": "natural: standard normal",
}


def drawn(start: Mapping[str, Any]) -> str:
    """Describes the random starts of a model.

    Args:
        start: Entry `start` of its manifest.

    Example:
        >>> drawn({"kind": "natural", "draw": "sizes", "periodic": ["phi"]})
        'natural: normal, of the size that the targets ask for; phi uniform over a
        period'
    """
    text, names = _DRAWS[start["draw"]], start.get("periodic", ())
    shown = ", ".join(names[:4]) + ", ..." * (len(names) > 4)
    return f"{text}; {shown} uniform over a period" if names else text


class StartSection(Section):
    """`[start]`: given values of the unknown parameters, or random ones.

    Random starts have a kind:

    - `natural`, the one without a `[start]`: as `eigenfit.multistart` draws them, so
      that spectra have the size of the targets where the structure is linear; between
      the bounds where parameters have some;
    - `uniform`: between `low` and `high`; where they are not given, the bounds of a
      parameter take their place, or 0 and 1;
    - `normal`: around `centre` with standard deviation `sigma`, cut off at bounds.

    Each of these is a number for all unknowns or a list. With `low` or `high` the kind
    is uniform, with `sigma` normal, unless it is given.

    Of several given starts (`parameters` with a row for each), an exported model uses
    the first; `eigenfit batch --starts` uses all, and draws what more it needs.
    """

    kind: Annotated[
        Literal["natural", "uniform", "normal"] | None,
        Field(description='"natural", "uniform" or "normal"'),
    ] = None
    low: Annotated[np.ndarray, array_of(0, 1)] | None = None
    high: Annotated[np.ndarray, array_of(0, 1)] | None = None
    centre: Annotated[np.ndarray, array_of(0, 1)] | None = None
    sigma: Annotated[np.ndarray, array_of(0, 1)] | None = None
    parameters: Given | None = None

    @model_validator(mode="after")
    def _check(self) -> StartSection:
        random = sorted(self.model_fields_set - {"parameters"})
        if self.parameters is not None and random:
            raise BadValue(
                "is for random starts, but parameters are given. Remove one of them.",
                f".{random[0]}",
            )
        for name, kind in _KINDS.items():
            if getattr(self, name) is not None and self.name != kind:
                raise BadValue(
                    f'is for kind = "{kind}", but the kind is "{self.name}". Remove '
                    f"one of them.",
                    f".{name}",
                )
        if self.name == "normal":
            if self.sigma is None:
                raise BadValue("is missing. Add the standard deviation.", ".sigma")
            if not (self.sigma > 0).all():
                raise BadValue("must be above 0.", ".sigma", np.min(self.sigma).item())
        return self

    @property
    def name(self) -> str:
        """`given`, `natural`, `uniform` or `normal`."""
        if self.parameters is not None:
            return "given"
        if self.kind is not None:
            return self.kind
        kinds = [k for name, k in _KINDS.items() if getattr(self, name) is not None]
        return kinds[0] if kinds else "natural"

    def given(self, unknowns: Unknowns) -> np.ndarray | None:
        """Returns the given starts, `[s, p]`; None if they are random.

        Raises:
            BadValue: If a number is missing, superfluous or out of bounds.
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
                    f"{len(names)} parameters to fit. Give {len(names)}."
                    f"{transposed_hint(values.shape, (None, len(names)))}",
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

    def check(self, unknowns: Unknowns) -> None:
        """Checks that all numbers fit the unknowns.

        Raises:
            BadValue: If not.
        """
        self.given(unknowns)
        if self.name == "uniform":
            self.box(unknowns)
        if self.name == "normal":
            self._check_lengths(("centre", "sigma"), len(unknowns.names))

    def draw(self, unknowns: Unknowns, seed: int, number: int) -> np.ndarray:
        """Draws uniform or normal starts, `[number, p]`.

        Args:
            unknowns: The fitted parameters.
            seed: Seed of NumPy's generator.
            number: Number of starts.
        """
        generator = np.random.default_rng(seed)
        shape = (number, len(unknowns.names))
        if self.name == "uniform":
            return generator.uniform(*self.box(unknowns), shape)
        assert self.sigma is not None
        centre = 0.0 if self.centre is None else self.centre
        drawn = generator.normal(centre, self.sigma, shape)
        return np.clip(drawn, unknowns.low, unknowns.high)

    def build(self, unknowns: Unknowns) -> Start:
        """Makes the `Start` that a model is exported with."""
        from eigenfit_export.starts import Start

        given = self.given(unknowns)
        if given is not None:
            return Start.given(given)
        if self.name == "uniform":
            return Start.uniform(*self.box(unknowns))
        if self.name == "normal":
            return Start.normal(0.0 if self.centre is None else self.centre, self.sigma)
        return Start()

    def describe(self, unknowns: Unknowns, problem: Problem) -> str:
        """Describes in a few words where fits begin: "uniform, 0 to 1".

        Args:
            unknowns: Those of the file.
            problem: The problem of the file, on which natural starts depend.
        """
        given = self.given(unknowns)
        if given is not None:
            return "given" if len(given) == 1 else f"{len(given)} given"
        if self.name == "uniform":
            low, high = self.box(unknowns)
            return f"uniform, {low.min():g} to {high.max():g}"
        if self.name == "normal":
            centre = np.zeros(1) if self.centre is None else np.atleast_1d(self.centre)
            sigma = np.atleast_1d(self.sigma)  # type: ignore[arg-type]
            if len(centre) == len(sigma) == 1:
                return f"normal, {centre[0]:g} with standard deviation {sigma[0]:g}"
            return "normal, centre and standard deviation of each"
        return drawn(self.build(unknowns).described(problem))

    def _check_lengths(self, names: tuple[str, ...], p: int) -> None:
        for name in names:
            values = getattr(self, name)
            if values is not None and values.ndim and len(values) != p:
                raise BadValue(
                    f"has {len(values)} numbers, but there are {p} parameters to fit. "
                    f"Give {p}, or a single number for all.",
                    f"start.{name}",
                )

    def box(self, unknowns: Unknowns) -> tuple[np.ndarray, np.ndarray]:
        """Returns the box of uniform starts: low and high, `[p]` each.

        Raises:
            BadValue: If there is no room between them.
        """
        self._check_lengths(("low", "high"), len(unknowns.names))
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
