"""The tables of a problem file, before cross-checks, and the problem they describe."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from eigenfit_serving.problem_file.arrays import array_of
from eigenfit_serving.problem_file.blocks import (
    BlockSection,
    Matrix,
    Term,
    default_observations,
    terms_of,
)
from eigenfit_serving.problem_file.fit import FitSection
from eigenfit_serving.problem_file.observations.differences import ObservationSection
from eigenfit_serving.problem_file.parameters import ParametersSection, Unknowns
from eigenfit_serving.problem_file.priors import PriorSection
from eigenfit_serving.problem_file.section import Section
from eigenfit_serving.problem_file.start import StartSection
from eigenfit_serving.problem_file.structures.composed import StructureSection

if TYPE_CHECKING:
    import eigenfit as ef


class ProblemContent(Section):
    """The tables of a problem file; `ProblemFile` checks that they go together."""

    schema_: Annotated[
        Literal[1],
        Field(alias="schema", description="1, the only format this eigenfit reads"),
    ]
    title: Annotated[str | None, Field(description="a text in quotes")] = None
    given_targets: Annotated[
        Annotated[np.ndarray, array_of(1)] | None,
        Field(alias="targets", description="a list of numbers"),
    ] = None
    structure: Annotated[
        StructureSection | None, Field(description='a table with kind = "symmetric"')
    ] = None
    observation: ObservationSection | None = None
    observations: Annotated[
        list[ObservationSection] | None, Field(description="tables [[observations]]")
    ] = None
    blocks: Annotated[
        list[BlockSection] | None,
        Field(min_length=1, description="at least one table [[blocks]]"),
    ] = None
    parameters: ParametersSection = ParametersSection()
    start: StartSection = StartSection()
    fit: FitSection = FitSection()

    @cached_property
    def matrices(self) -> list[Matrix]:
        """The matrices of the problem, with what is observed of each."""
        if self.structure is not None:
            own = default_observations("observation", not self.observations)
            if self.observation is not None:
                own = {"observation": self.observation}
            listed = enumerate(self.observations or [])
            own |= {f"observations[{i}]": section for i, section in listed}
            return [Matrix("0", "structure", self.structure, own)]
        result = []
        for i, block in enumerate(self.blocks or []):
            label = str(i) if block.label is None else block.label
            key = f"blocks[{i}]"
            own = default_observations(f"{key}.observations", not self.observations)
            if block.observations is not None:
                listed = enumerate(block.observations)
                own = {f"{key}.observations[{j}]": section for j, section in listed}
            result.append(Matrix(label, f"{key}.structure", block.structure, own))
        return result

    @cached_property
    def terms(self) -> list[Term]:
        """All observations, in the order of their targets."""
        joint = {} if self.structure is not None else self.observations or []
        listed = enumerate(joint)
        return list(
            terms_of(self.matrices, {f"observations[{i}]": s for i, s in listed})
        )

    @cached_property
    def targets(self) -> np.ndarray:
        """Targets of all observations, `[m]`."""
        if self.given_targets is not None:
            return self.given_targets
        own = [term.own_targets() for term in self.terms]
        return np.concatenate([values for values in own if values is not None])

    @property
    def target_names(self) -> list[str]:
        """Names of the values that targets are compared with, `[m]`."""
        return [name for term in self.terms for name in term.names]

    @property
    def weights(self) -> np.ndarray:
        """Weights of the squared deviations of all targets, `[m]`."""
        result = np.ones(len(self.target_names))
        for term in self.terms:
            section = term.section
            if section.weights is not None:
                result[term.part] = section.weights
            elif section.sigma is not None:
                result[term.part] = section.sigma**-2.0
        return result

    @property
    def has_sigma(self) -> bool:
        """Whether all targets have standard deviations."""
        return all(term.section.sigma is not None for term in self.terms)

    @property
    def is_robust(self) -> bool:
        """Whether the loss of some observation is not linear."""
        return any(term.section.loss != "linear" for term in self.terms)

    @cached_property
    def unknowns(self) -> Unknowns:
        """The parameters to fit, and their bounds."""
        return self.parameters.unknowns(self.matrices[0].structure.num_parameters)

    @cached_property
    def priors(self) -> list[PriorSection]:
        """All priors, as combinations of parameters."""
        number = self.matrices[0].structure.num_parameters
        return self.parameters.priors(self.parameters.all_names(number))

    def numbers(self) -> list[tuple[str, np.ndarray]]:
        """Lists the arrays that `fit.dtype` must be able to hold, with their keys."""
        result = [("targets", self.targets)]
        for matrix in self.matrices:
            result += matrix.structure.arrays(matrix.key)
        for term in self.terms:
            result += term.section.arrays(term.key)
        result += self.start.arrays("start")
        if self.start.name == "uniform":
            low, high = self.start.box(self.unknowns)
            with np.errstate(over="ignore"):
                result.append(("start.high - start.low", np.max(high - low)))
        if self.fit.tolerance is not None:
            result.append(("fit.tolerance", np.asarray(self.fit.tolerance)))
        return result

    def initial_parameters(
        self, starts: int | None = None, problem: ef.Problem | None = None
    ) -> np.ndarray:
        """Returns the starts, `[s, p]` in `fit.dtype`; random ones depend on the seed.

        Args:
            starts: Number s of starts; all given ones, or `fit.starts`, by default.
            problem: Result of `problem()`, if already built; natural starts need it.
        """
        given = self.start.given(self.unknowns)
        if given is not None:
            return given[:starts].astype(self.fit.dtype)
        number, seed = starts or self.fit.starts, self.fit.seed
        if self.start.name == "natural":
            from eigenfit.searches.starts import natural_starts

            rng = np.random.default_rng(seed)
            made = problem or self.problem()
            drawn = natural_starts(made, self.targets, number, rng)
        else:
            drawn = self.start.draw(self.unknowns, seed, number)
        return drawn.astype(self.fit.dtype)

    def problem(self, dtype: str | None = None) -> ef.Problem:
        """Builds the problem; imports TensorFlow.

        Args:
            dtype: "float32" or "float64"; `fit.dtype` by default.

        Raises:
            ValueError: If the core refuses it.
        """
        import eigenfit as ef

        number = self.matrices[0].structure.num_parameters
        parameters, dtype = self.parameters.build(number), dtype or self.fit.dtype
        if self.structure is not None and len(self.terms) == 1:
            observation = self.terms[0].section.build()
            structure = self.structure.build(dtype)
            return ef.Problem(structure, observation, parameters=parameters)
        joint = [term.section.build() for term in self.terms if term.matrix is None]
        return ef.Problem(
            [matrix.build(dtype) for matrix in self.matrices],
            observations=joint or None,
            parameters=parameters,
        )

    def solver(self) -> ef.Solver:
        """Builds the problem and its solver; imports TensorFlow.

        Raises:
            ValueError: If the core refuses the problem.
        """
        import eigenfit as ef

        return ef.Solver(self.problem(), method=self.fit.build())
