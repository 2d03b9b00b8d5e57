"""The tables of a problem file, each checked for itself, and what they build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from eigenfit_serving.arrays import array_of, check_symmetric, list_of_integers
from eigenfit_serving.errors import BadValue

if TYPE_CHECKING:
    import eigenfit as ef

MethodName = Literal[
    "auto",
    "adam",
    "alternating",
    "cluster-newton",
    "gauss-newton",
    "isospectral-projection",
    "lbfgs",
    "levenberg-marquardt",
    "lift-and-project",
    "loewner-newton",
    "newton",
]
Positive = Annotated[float, Field(gt=0, description="a number above 0")]
Fraction = Annotated[float, Field(ge=0, lt=1, description="in [0, 1), e.g. 0.9")]


class Section(BaseModel):
    """A table of the file: strict, frozen, finite numbers only."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
    )


class SymmetricSection(Section):
    """`[structure]` of every symmetric matrix of an order."""

    kind: Literal["symmetric"]
    order: Annotated[
        int, Field(ge=1, le=2**15, description="an integer from 1 to 32768, e.g. 3")
    ]

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.order * (self.order + 1) // 2

    def build(self, dtype: str) -> ef.Symmetric:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Symmetric(self.order, dtype=dtype)


class AffineSection(Section):
    """`[structure]` of `offset + sum_k r_k basis_k`."""

    kind: Literal["affine"]
    basis: Annotated[np.ndarray, array_of(3)]
    offset: Annotated[np.ndarray, array_of(2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> AffineSection:
        rows, columns = self.basis.shape[1:]
        if rows != columns:
            raise BadValue(
                f"holds matrices of {rows} rows and {columns} columns. They must be "
                f"square.",
                ".basis",
            )
        if self.offset is not None and self.offset.shape != (rows, columns):
            raise BadValue(
                f"has shape {list(self.offset.shape)}, the matrices of basis have "
                f"{[rows, columns]}. Give it the same.",
                ".offset",
            )
        for k, matrix in enumerate(self.basis):
            check_symmetric(matrix, f".basis[{k}]")
        if self.offset is not None:
            check_symmetric(self.offset, ".offset")
        return self

    @property
    def order(self) -> int:
        """Order n of the matrix."""
        return self.basis.shape[1]

    @property
    def num_parameters(self) -> int:
        """Number p of parameters."""
        return self.basis.shape[0]

    def build(self, dtype: str) -> ef.Affine:
        """Makes the structure."""
        import eigenfit as ef

        return ef.Affine(self.basis, offset=self.offset, dtype=dtype)


class LevelsSection(Section):
    """`[observation]`: which levels have targets, and how much each counts."""

    kind: Annotated[Literal["levels"], Field(description='"levels"')] = "levels"
    indices: Annotated[list[int], BeforeValidator(list_of_integers)] | None = None
    weights: Annotated[np.ndarray, array_of(0, 1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> LevelsSection:
        if self.weights is not None and not (self.weights > 0).all():
            raise BadValue(
                "must be positive. To leave a level out, leave it out of indices.",
                ".weights",
                self.weights.tolist(),
            )
        return self

    def positions(self, order: int) -> np.ndarray:
        """Levels that have targets, `[m]`, each in 0..order-1.

        Raises:
            BadValue: If there is no such level, or one is named twice.
        """
        if self.indices is None:
            return np.arange(order)
        for i, k in enumerate(self.indices):
            if not -order <= k < order:
                raise BadValue(
                    f"does not exist: a matrix of order {order} has the levels 0 to "
                    f"{order - 1} (-{order} to -1 from the top).",
                    f"observation.indices[{i}]",
                    k,
                )
        positions = np.asarray(self.indices) % order
        if len(np.unique(positions)) < len(positions):
            raise BadValue(
                "names a level twice. Give each once; use weights to count it more.",
                "observation.indices",
                self.indices,
            )
        return positions

    def build(self) -> ef.Levels:
        """Makes the observation."""
        import eigenfit as ef

        return ef.Levels(self.indices, self.weights)


class StartSection(Section):
    """`[start]`: given parameters, or random ones."""

    kind: Annotated[Literal["uniform"], Field(description='"uniform"')] = "uniform"
    low: Annotated[float, Field(description="a finite number")] = 0.0
    high: Annotated[float, Field(description="a finite number")] = 1.0
    parameters: Annotated[np.ndarray, array_of(1, 2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> StartSection:
        random = sorted(self.model_fields_set - {"parameters"})
        if self.parameters is not None and random:
            raise BadValue(
                "is for random starts, but parameters are given. Remove one of them.",
                f".{random[0]}",
            )
        if self.low >= self.high:
            raise BadValue(
                f"must lie above low, which is {self.low:g}.", ".high", self.high
            )
        return self


class AdamSection(Section):
    """`[fit.adam]`."""

    learning_rate: Positive = 1e-3
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-7


class AlternatingSection(Section):
    """`[fit.alternating]`."""

    num_bursts: Annotated[
        int, Field(ge=1, le=10_000, description="an integer from 1 to 10000")
    ] = 64


class LevenbergMarquardtSection(Section):
    """`[fit.levenberg-marquardt]`."""

    initial_damping: Positive = 1e-3
    orthogonality: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Field(description="a number above 0"),
    ] = None


class LoewnerNewtonSection(Section):
    """`[fit.loewner-newton]`."""

    initial_damping: Positive = 1e-6
    orthogonality: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Field(description="a number above 0"),
    ] = None


class LiftAndProjectSection(Section):
    """`[fit.lift-and-project]`."""

    relaxation: Annotated[
        float, Field(ge=1, lt=2, description="a number in [1, 2), e.g. 1.5")
    ] = 1.0


class LBFGSSection(Section):
    """`[fit.lbfgs]`."""

    memory: Annotated[
        int, Field(ge=1, le=1_000, description="an integer from 1 to 1000")
    ] = 10


class NoOptions(Section):
    """`[fit.newton]` and the like, for methods without options."""


class FitSection(Section):
    """`[fit]`: the method and when it ends."""

    method: Annotated[
        MethodName,
        Field(description=", ".join(f'"{name}"' for name in get_args(MethodName))),
    ] = "auto"
    tolerance: Annotated[
        float, Field(gt=0, description="a number above 0, e.g. 1e-8")
    ] = 1e-8
    max_steps: Annotated[
        Annotated[int, Field(ge=0, lt=2**31)] | None,
        Field(description="an integer from 0 to 2147483647"),
    ] = None
    starts: Annotated[
        int, Field(ge=1, lt=2**31, description="an integer from 1 to 2147483647")
    ] = 1
    seed: Annotated[int, Field(ge=0, description="an integer of at least 0")] = 0
    dtype: Annotated[
        Literal["float32", "float64"], Field(description='"float32" or "float64"')
    ] = "float64"
    adam: AdamSection = AdamSection()
    alternating: AlternatingSection = AlternatingSection()
    levenberg_marquardt: Annotated[
        LevenbergMarquardtSection, Field(alias="levenberg-marquardt")
    ] = LevenbergMarquardtSection()
    loewner_newton: Annotated[LoewnerNewtonSection, Field(alias="loewner-newton")] = (
        LoewnerNewtonSection()
    )
    lift_and_project: Annotated[
        LiftAndProjectSection, Field(alias="lift-and-project")
    ] = LiftAndProjectSection()
    lbfgs: LBFGSSection = LBFGSSection()
    newton: NoOptions = NoOptions()
    cluster_newton: Annotated[NoOptions, Field(alias="cluster-newton")] = NoOptions()
    gauss_newton: Annotated[NoOptions, Field(alias="gauss-newton")] = NoOptions()
    isospectral_projection: Annotated[
        NoOptions, Field(alias="isospectral-projection")
    ] = NoOptions()

    def build(self) -> ef.AbstractMethod | Literal["auto"]:
        """Makes the method."""
        import eigenfit as ef

        if self.method == "auto":
            return "auto"
        options = getattr(self, self.method.replace("-", "_")).model_dump()
        kinds = {
            "adam": ef.Adam,
            "alternating": ef.Alternating,
            "cluster-newton": ef.ClusterNewton,
            "gauss-newton": ef.GaussNewton,
            "isospectral-projection": ef.IsospectralProjection,
            "lbfgs": ef.LBFGS,
            "levenberg-marquardt": ef.LevenbergMarquardt,
            "lift-and-project": ef.LiftAndProject,
            "loewner-newton": ef.LoewnerNewton,
            "newton": ef.Newton,
        }
        return kinds[self.method](**options)
