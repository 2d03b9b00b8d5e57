"""`[parameters]`: names, bounds, fixed values, ties and priors."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import core_schema

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.priors import PriorSection, SmoothnessSection
from eigenfit_serving.problem_file.section import Name, Section

if TYPE_CHECKING:
    import eigenfit as ef

Number = Annotated[float, Field(description="a finite number")]


@dataclass(frozen=True)
class _PairOf:
    """Annotates a field as a pair of numbers for each name, or for all if `alone`."""

    what: str
    alone: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        del source, handler
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        del schema, handler
        number = {"type": "number"}
        pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        table = {"type": "object", "additionalProperties": pair}
        return {"anyOf": [table, pair]} if self.alone else table

    def check(self, value: Any) -> Any:
        """Converts a pair, or a table of pairs."""
        if isinstance(value, dict):
            return {name: self._pair(pair, f".{name}") for name, pair in value.items()}
        if self.alone:
            return self._pair(value, "")
        raise BadValue(f"must be a table: {{name = {self.what}}}.", "", value)

    def _pair(self, value: Any, key: str) -> tuple[float, float]:
        if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
            return float(value[0]), float(value[1])
        raise BadValue(f"must be {self.what}, two numbers.", key, value)


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return not math.isnan(value)
    except OverflowError:  # an integer beyond the range of float64
        return False


class _Ties:
    """Annotates ties: a table of factors, or a pair, for each name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        del source, handler
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        del schema, handler
        number = {"type": "number"}
        table = {
            "type": "object",
            "additionalProperties": number,
            "minProperties": 1,
        }
        pair = {
            "type": "array",
            "items": {"type": ["string", "number"]},
            "minItems": 2,
            "maxItems": 2,
        }
        return {"type": "object", "additionalProperties": {"anyOf": [table, pair]}}

    def check(self, value: Any) -> dict[str, dict[str, float]]:
        """Converts all ties to tables of factors."""
        if not isinstance(value, dict):
            raise BadValue(f"must be a table: {{name = {_TIE}}}.", "", value)
        return {name: _tie(name, tie) for name, tie in value.items()}


_TIE = "{other = factor}"


def _tie(name: str, tie: Any) -> dict[str, float]:
    if isinstance(tie, list) and len(tie) == 2 and isinstance(tie[0], str):
        tie = {tie[0]: tie[1]}
    if not isinstance(tie, dict) or not tie:
        raise BadValue(
            f"must be {_TIE}, e.g. {{B40 = 5.0}}; a number to add has the name "
            f'"" there.',
            f".{name}",
            tie,
        )
    for other, factor in tie.items():
        if not _is_number(factor) or math.isinf(factor):
            raise BadValue("must be a finite number.", f".{name}.{other}", factor)
    if name in tie:
        raise BadValue("ties a parameter to itself. Name another one.", f".{name}", tie)
    return {other: float(factor) for other, factor in tie.items()}


Bounds = dict[str, tuple[float, float]] | tuple[float, float]


def _prior_form(value: Any) -> str:
    return "combinations" if isinstance(value, list) else "by name"


Priors = Annotated[
    Annotated[dict[str, tuple[float, float]], _PairOf("[mean, sigma]"), Tag("by name")]
    | Annotated[list[PriorSection], Tag("combinations")],
    Discriminator(_prior_form),
]


class Unknowns(NamedTuple):
    """The fitted parameters: those that are neither fixed nor tied."""

    names: list[str]  # [p]
    low: np.ndarray  # [p] bounds, -inf where open
    high: np.ndarray  # [p]


class ParametersSection(Section):
    """`[parameters]`: what is known of the parameters before the fit."""

    names: Annotated[
        list[Name] | None, Field(description="a list of names in quotes, one each")
    ] = None
    bounds: Annotated[
        Bounds, _PairOf("[low, high], -inf or inf where open", alone=True)
    ] = Field(default_factory=dict)
    fixed: dict[str, Number] = Field(
        description="a table: {name = value}", default_factory=dict
    )
    ties: Annotated[dict[str, dict[str, float]], _Ties()] = Field(default_factory=dict)
    prior: Priors = Field(default_factory=dict)
    smoothness: SmoothnessSection | None = None
    scales: dict[str, Annotated[float, Field(gt=0)]] = Field(
        description="a table: {name = typical size}, above 0", default_factory=dict
    )
    period: dict[str, Annotated[float, Field(gt=0)]] = Field(
        description="a table: {name = period}, above 0", default_factory=dict
    )

    @model_validator(mode="after")
    def _check(self) -> ParametersSection:
        names = self.names or []
        for i, name in enumerate(names):
            if name in names[:i]:
                raise BadValue(
                    "is there twice. Give each parameter a name of its own.",
                    f".names[{i}]",
                    name,
                )
        alone = not isinstance(self.bounds, dict)
        for name, pair in self._bounds().items():
            if not pair[0] < pair[1]:
                raise BadValue(
                    "must be [low, high] with low < high. To hold a parameter, give "
                    "it in parameters.fixed.",
                    ".bounds" if alone else f".bounds.{name}",
                    list(pair),
                )
        single = self.prior if isinstance(self.prior, dict) else {}
        for name, (mean, sigma) in single.items():
            if not (sigma > 0 and math.isfinite(sigma) and math.isfinite(mean)):
                raise BadValue(
                    "must be [mean, sigma], finite and with sigma above 0. To hold a "
                    "parameter, give it in parameters.fixed.",
                    f".prior.{name}",
                    [mean, sigma],
                )
        for name in self.ties:
            if name in self.fixed:
                raise BadValue(
                    "is fixed as well. Remove it from parameters.fixed or from "
                    "parameters.ties.",
                    f".ties.{name}",
                )
            for other in self.ties[name]:
                if other in self.ties:
                    raise BadValue(
                        f"is tied itself. Write {name} in terms of parameters that "
                        f"are not.",
                        f".ties.{name}.{other}",
                    )
        for name in self.period:
            if any(name in prior.coefficients for prior in self.priors(())):
                raise BadValue(
                    "has a prior, which tells periods apart. Remove it from "
                    "parameters.period or from parameters.prior.",
                    f".period.{name}",
                )
        for where in ("bounds", "prior", "scales", "period"):
            named = self._bounds() if where == "bounds" else getattr(self, where)
            for name in named if isinstance(named, dict) else ():
                if name in self.fixed or name in self.ties:
                    raise BadValue(
                        f"is fixed or tied, so that it has no {where} of its own. "
                        f"Remove one of them.",
                        f".{where}.{name}",
                    )
        return self

    def _check_priors(self, names: list[str]) -> None:
        for i, prior in enumerate(self.prior if isinstance(self.prior, list) else ()):
            key = f"parameters.prior[{i}].coefficients"
            for name in prior.coefficients:
                _check_known(name, names, f"{key}.{name}")
            loose = [k for k, factor in prior.coefficients.items() if factor]
            if all(k in self.fixed for k in loose):
                raise BadValue(
                    "names fixed parameters only, of which nothing is to be learnt. "
                    "Leave the prior out.",
                    key,
                )
        smooth = self.smoothness
        for i, name in enumerate((smooth and smooth.names) or ()):
            _check_known(name, names, f"parameters.smoothness.names[{i}]")
        self.priors(names)

    def priors(self, names: Sequence[str]) -> list[PriorSection]:
        """Returns all priors as combinations of parameters with these names.

        Without names, priors of `smoothness` over all parameters are left out.

        Raises:
            BadValue: If there are too few names for `smoothness`.
        """
        if isinstance(self.prior, dict):
            found = [
                PriorSection(coefficients={name: 1.0}, mean=mean, sigma=sigma)
                for name, (mean, sigma) in self.prior.items()
            ]
        else:
            found = list(self.prior)
        smooth = self.smoothness
        if smooth is not None and (names or smooth.names):
            found += smooth.priors(names)
        return found

    def _bounds(self) -> dict[str, tuple[float, float]]:
        return self.bounds if isinstance(self.bounds, dict) else {"": self.bounds}

    def all_names(self, number: int) -> list[str]:
        """Returns the names of all parameters; r0, r1, ... if none are given."""
        return self.names or [f"r{k}" for k in range(number)]

    def unknowns(self, number: int) -> Unknowns:
        """Finds the unknowns of structures with `number` parameters.

        Raises:
            BadValue: If a name is unknown, their number differs, or nothing is left.
        """
        names = self.all_names(number)
        if len(names) != number:
            raise BadValue(
                f"has {len(names)} names, but the structure has {number} parameters. "
                f"Give a name to each.",
                "parameters.names",
            )
        for where in ("bounds", "fixed", "ties", "prior", "scales", "period"):
            for name in getattr(self, where):
                if isinstance(name, str):
                    _check_known(name, names, f"parameters.{where}.{name}")
        self._check_priors(names)
        for name, tie in self.ties.items():
            for other in tie:
                if other:
                    _check_known(other, names, f"parameters.ties.{name}.{other}")
        free = [name for name in names if name not in {**self.fixed, **self.ties}]
        if not free:
            raise BadValue(
                "leave nothing to fit: all are fixed or tied. Leave at least one out.",
                "parameters",
            )
        if isinstance(self.bounds, dict):
            open_ = (-math.inf, math.inf)
            limits = np.array([self.bounds.get(name, open_) for name in free])
        else:
            limits = np.array([self.bounds] * len(free))
        return Unknowns(free, limits[:, 0], limits[:, 1])

    def build(self, number: int) -> ef.Parameters | None:
        """Makes `ef.Parameters` for `number` parameters; None for an empty section."""
        import eigenfit as ef

        if not self.model_fields_set:
            return None
        prior: Any = self.prior or None
        if self.smoothness is not None or isinstance(prior, list):
            found = self.priors(self.all_names(number))
            prior = [ef.Prior(x.coefficients, x.mean, x.sigma) for x in found]
        return ef.Parameters(
            self.names,
            bounds=self.bounds or None,
            fixed=self.fixed or None,
            ties=self.ties or None,
            prior=prior,
            scales=self.scales or None,
            period=self.period or None,
        )


def _check_known(name: str, names: list[str], key: str) -> None:
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    shown = ", ".join(names[:12]) + ", ..." * (len(names) > 12)
    hint = f'Did you mean "{close[0]}"?' if close else f"They are: {shown}."
    raise BadValue(f"is no name of a parameter. {hint}", key)
