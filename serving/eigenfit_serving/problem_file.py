"""The problem file: TOML in, problem, starts and settings out.

A file says what is searched for (`targets`, `[structure]`, `[observation]`), from where
(`[start]`) and how (`[fit]`). It is read strictly: unknown keys and wrong types are
refused, in one line that names file, key, value and remedy. TensorFlow is imported only
when the solver is asked for.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from eigenfit_serving.arrays import array_of, check_fits
from eigenfit_serving.errors import BadValue, InputError
from eigenfit_serving.explain import explain
from eigenfit_serving.sections import (
    AffineSection,
    FitSection,
    LevelsSection,
    Section,
    StartSection,
    SymmetricSection,
)

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
    targets: Annotated[
        np.ndarray, array_of(1), Field(description="a list of ascending numbers")
    ]
    structure: Annotated[
        SymmetricSection | AffineSection,
        Field(discriminator="kind", description='a table with kind = "symmetric"'),
    ]
    observation: LevelsSection = LevelsSection()
    start: StartSection = StartSection()
    fit: FitSection = FitSection()

    @model_validator(mode="after")
    def _check(self) -> ProblemFile:
        self._check_targets()
        self._check_start()
        if self.fit.method == "isospectral-projection" and isinstance(
            self.structure, AffineSection
        ):
            raise BadValue(
                'needs structure.kind = "symmetric". Use "auto" or '
                '"levenberg-marquardt".',
                "fit.method",
                self.fit.method,
            )
        weights = self.observation.weights
        if (
            self.fit.method == "lift-and-project"
            and weights is not None
            and np.ptp(weights)
        ):
            raise BadValue(
                'needs equal observation.weights. Use "levenberg-marquardt".',
                "fit.method",
                self.fit.method,
            )
        for key, array in (
            ("targets", self.targets),
            ("structure.basis", getattr(self.structure, "basis", None)),
            ("structure.offset", getattr(self.structure, "offset", None)),
            ("observation.weights", self.observation.weights),
            ("start.parameters", self.start.parameters),
            ("start.low", np.asarray(self.start.low)),
            ("start.high", np.asarray(self.start.high)),
            ("start.high - start.low", np.asarray(self.start.high - self.start.low)),
            ("fit.tolerance", np.asarray(self.fit.tolerance)),
        ):
            if array is not None:
                check_fits(array, key, self.fit.dtype)
        if not np.asarray(self.fit.tolerance, self.fit.dtype) > 0:
            raise BadValue(
                f'is zero in {self.fit.dtype}. Use a larger one, or dtype = "float64".',
                "fit.tolerance",
                self.fit.tolerance,
            )
        return self

    def _check_targets(self) -> None:
        positions = self.observation.positions(self.structure.order)
        number, weights = len(positions), self.observation.weights
        if len(self.targets) != number:
            raise BadValue(
                f"has {len(self.targets)} numbers for {number} observed levels. Give "
                f"one for each, or choose levels with observation.indices.",
                "targets",
            )
        if weights is not None and weights.ndim and len(weights) != number:
            raise BadValue(
                f"has {len(weights)} numbers for {number} observed levels. Give one "
                f"for each, or a single number for all.",
                "observation.weights",
            )
        order = np.argsort(positions)
        falling = np.flatnonzero(np.diff(self.targets[order]) < 0)
        if len(falling):
            lower, upper = order[falling[0]], order[falling[0] + 1]
            raise BadValue(
                f"is below targets[{lower}] = {self.targets[lower]:g}, the target of "
                f"a lower level. Targets must ascend with their levels: sort them.",
                f"targets[{upper}]",
                float(self.targets[upper]),
            )

    def _check_start(self) -> None:
        given, p = self.start.parameters, self.structure.num_parameters
        if given is None:
            return
        if given.shape[-1] != p:
            raise BadValue(
                f"has {given.shape[-1]} numbers for each start, but the structure has "
                f"{p} parameters. Give {p}.",
                "start.parameters",
            )
        for key in ("starts", "seed"):
            if key in self.fit.model_fields_set:
                raise BadValue(
                    "is for random starts, but start.parameters are given. Remove one "
                    "of them.",
                    f"fit.{key}",
                    getattr(self.fit, key),
                )

    def initial_parameters(self) -> np.ndarray:
        """The starts, `[s, p]` of `fit.dtype`; random ones depend on the seed only."""
        if self.start.parameters is not None:
            return np.atleast_2d(self.start.parameters).astype(self.fit.dtype)
        shape = (self.fit.starts, self.structure.num_parameters)
        generator = np.random.default_rng(self.fit.seed)
        uniform = generator.uniform(self.start.low, self.start.high, shape)
        return uniform.astype(self.fit.dtype)

    def solver(self) -> ef.Solver:
        """Builds the problem and its solver; imports TensorFlow.

        Raises:
            ValueError: If the core refuses the problem.
        """
        import eigenfit as ef

        problem = ef.Problem(
            self.structure.build(self.fit.dtype), self.observation.build()
        )
        return ef.Solver(problem, method=self.fit.build())


def read_problem(path: str | Path, **fit: Any) -> ProblemFile:
    """Reads a problem file.

    Args:
        path: Of a TOML file.
        **fit: Settings that take precedence over those of `[fit]`; None is no setting.

    Raises:
        InputError: If the file cannot be read or is not a valid problem; one line.
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
        return ProblemFile.model_validate(content)
    except ValidationError as error:
        raise InputError(
            explain(error, ProblemFile, str(path), {f"fit.{key}" for key in given})
        ) from None
