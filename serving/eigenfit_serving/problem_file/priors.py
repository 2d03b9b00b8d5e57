"""`[[parameters.prior]]` and `smoothness`: priors of combinations of parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, model_validator

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.section import Name, Positive, Section

Factor = Annotated[float, Field(description="a finite number")]
MAX_DIFFERENCE = 8


class PriorSection(Section):
    """`[[parameters.prior]]`: a combination of parameters, its mean and sigma."""

    coefficients: Annotated[
        dict[str, Factor], Field(description="a table: {name = factor}")
    ]
    mean: Factor
    sigma: Positive

    @model_validator(mode="after")
    def _check(self) -> PriorSection:
        if not any(self.coefficients.values()):
            raise BadValue(
                "must name a parameter with a factor that is not 0, e.g. "
                "{a = 1, b = -1}.",
                ".coefficients",
                self.coefficients,
            )
        return self


class SmoothnessSection(Section):
    """`smoothness`: small differences of parameters in a row."""

    sigma: Positive
    order: Annotated[
        int,
        Field(ge=1, le=MAX_DIFFERENCE, description="1 to 8; 2 lets lines pass"),
    ] = 2
    names: Annotated[
        list[Name] | None,
        Field(description="names in their order; all parameters by default"),
    ] = None

    @model_validator(mode="after")
    def _check(self) -> SmoothnessSection:
        names = self.names or []
        for i, name in enumerate(names):
            if name in names[:i]:
                raise BadValue("is there twice.", f".names[{i}]", name)
        return self

    def priors(self, names: Sequence[str]) -> list[PriorSection]:
        """Returns the priors of parameters with these names.

        Raises:
            BadValue: If there are too few names.
        """
        names = self.names or names
        if len(names) <= self.order:
            raise BadValue(
                f"needs more than {self.order} parameters for differences of order "
                f"{self.order}, got {len(names)}.",
                "parameters.smoothness",
            )
        order = self.order
        factors = [
            (-1.0) ** (order - k) * math.comb(order, k) for k in range(order + 1)
        ]
        return [
            PriorSection(
                coefficients=dict(zip(names[k : k + order + 1], factors, strict=True)),
                mean=0.0,
                sigma=self.sigma,
            )
            for k in range(len(names) - order)
        ]
