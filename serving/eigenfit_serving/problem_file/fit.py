"""`[fit]`: the method, its options, and when a fit ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import Field

from eigenfit_serving.problem_file.section import Fraction, Positive, Section

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
    descend_first: Annotated[bool, Field(description="true or false")] = False
    agreement: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Field(description="an integer of at least 1"),
    ] = None


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
        Annotated[float, Field(gt=0)] | None,
        Field(description="a number above 0, e.g. 1e-8"),
    ] = None
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

    @property
    def tolerance_text(self) -> str:
        """The tolerance in words: the loss given, or the default relative one."""
        if self.tolerance is not None:
            return f"tolerance {self.tolerance:g}"
        size = "1e-10" if self.dtype == "float64" else "1e-5"
        return f"relative tolerance {size}"

    def build(self) -> ef.AbstractMethod | Literal["auto"]:
        """Makes the method."""
        from eigenfit.methods import METHODS

        if self.method == "auto":
            return "auto"
        options = getattr(self, self.method.replace("-", "_")).model_dump()
        return METHODS[self.method](**options)
