"""The problem file: TOML in, problem, starts and settings out.

A file says what is searched for (`targets`, `[structure]`, `[observation]`, or several
`[[blocks]]`), what is known of the parameters (`[parameters]`), from where (`[start]`)
and how (`[fit]`). It is read strictly: unknown keys and wrong types are refused, each
in a line that names file, key, value and remedy. TensorFlow is imported only when the
solver is asked for.
"""

from __future__ import annotations

import sys
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from eigenfit_serving.array_checks import check_fits
from eigenfit_serving.arrays import array_of
from eigenfit_serving.block_section import (
    BlockSection,
    Matrix,
    Term,
    default_observations,
    terms_of,
)
from eigenfit_serving.composed_sections import StructureSection
from eigenfit_serving.difference_sections import ObservationSection
from eigenfit_serving.errors import BadValue, InputError, check_all
from eigenfit_serving.explain import explain
from eigenfit_serving.fit_section import FitSection
from eigenfit_serving.method_checks import check_method
from eigenfit_serving.parameter_section import ParametersSection, Unknowns
from eigenfit_serving.prior_section import PriorSection
from eigenfit_serving.problem_checks import (
    check_blocks,
    check_form,
    check_start,
    check_targets,
)
from eigenfit_serving.section import Section
from eigenfit_serving.start_section import StartSection

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

if TYPE_CHECKING:
    import eigenfit as ef


class ProblemFile(Section):
    """A whole problem file, checked.

    Example:
        >>> problem = ProblemFile.model_validate(
        ...     {
        ...         "schema": 1,
        ...         "targets": [1.0, 2.0],
        ...         "structure": {"kind": "symmetric", "order": 2},
        ...         "fit": {"starts": 4},
        ...     }
        ... )
        >>> problem.initial_parameters().shape
        (4, 3)
    """

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

    @model_validator(mode="after")
    def _check(self) -> ProblemFile:
        check_form(self)
        check_blocks(self)
        fit = self.fit
        check_all(
            partial(check_targets, self),
            partial(check_start, self),
            partial(
                check_method, fit.method, self.matrices, self.terms, self.parameters
            ),
        )
        numbers = self._numbers()
        check_all(
            *(partial(check_fits, array, key, fit.dtype) for key, array in numbers)
        )
        if fit.tolerance is not None and not np.asarray(fit.tolerance, fit.dtype) > 0:
            raise BadValue(
                f'is zero in {fit.dtype}. Use a larger one, or dtype = "float64".',
                "fit.tolerance",
                fit.tolerance,
            )
        return self

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
        """What each target is compared with, `[m]`."""
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

    @cached_property
    def unknowns(self) -> Unknowns:
        """The parameters to fit, and their bounds."""
        return self.parameters.unknowns(self.matrices[0].structure.num_parameters)

    @cached_property
    def priors(self) -> list[PriorSection]:
        """All priors, as combinations of parameters."""
        number = self.matrices[0].structure.num_parameters
        return self.parameters.priors(self.parameters.all_names(number))

    def _numbers(self) -> list[tuple[str, np.ndarray]]:
        """Arrays that must fit the dtype, by key."""
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
        """The starts, `[s, p]` of `fit.dtype`; random ones depend on the seed only.

        Args:
            starts: Number s of them; all by default.
            problem: Made by `problem()`, if it is there: natural starts need it.
        """
        given = self.start.given(self.unknowns)
        if given is not None:
            return given[:starts].astype(self.fit.dtype)
        number, seed = starts or self.fit.starts, self.fit.seed
        if self.start.name == "natural":
            from eigenfit.drawing import natural_starts

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


def read_problem(path: str | Path, **fit: Any) -> ProblemFile:
    """Reads a problem file.

    Args:
        path: Of a TOML file. Data files that it names are relative to its folder.
        **fit: Settings that take precedence over those of `[fit]`; None is no setting.

    Raises:
        InputError: If the file cannot be read or is not a valid problem; a line for
            each error.
    """
    try:
        # Some editors begin a file with a byte order mark.
        content = tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file. Give the path of a problem file."
        ) from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a problem "
            f"file."
        ) from None
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: is not UTF-8 text. Give a problem file in TOML, saved as UTF-8."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: is not valid TOML: {error}. Correct it there."
        ) from None

    given = {key: value for key, value in fit.items() if value is not None}
    section = content.setdefault("fit", {})
    if isinstance(section, dict):
        section.update(given)
    try:
        return ProblemFile.model_validate(
            content, context={"folder": Path(path).parent}
        )
    except ValidationError as error:
        options = {f"fit.{key}" for key in given}
        raise InputError(*explain(error, ProblemFile, str(path), options)) from None
