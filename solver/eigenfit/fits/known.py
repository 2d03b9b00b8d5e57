"""What is known of a fit: computed at first use, or read from a file."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eigenfit.analysis.uncertainty import Uncertainty, uncertainty
from eigenfit.methods import AbstractMethod
from eigenfit.problem.problem import Problem
from eigenfit.reports.questions import question_of
from eigenfit.reports.record import Question
from eigenfit.results import Solution


class Asked(NamedTuple):
    """What a fit was asked, with the arguments as they were given."""

    problem: Problem
    method: AbstractMethod
    compile: str
    initial: Any
    targets: Any
    tolerance: Any
    seconds: float


class KnownSolution(Solution):
    """A solution with what was asked; arrays are computed at first use.

    Attributes:
        asked: Problem, method and arguments; None for a fit loaded from a file.
    """

    asked: Asked | None = None

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(np.shape(self.loss))

    def known(self) -> Asked:
        """Returns what was asked.

        Raises:
            ValueError: If the fit was loaded from a file.
        """
        if self.asked is None:
            raise ValueError(
                "This fit was loaded from a file, or rebuilt from its tensors, and has "
                "no problem to compute with. Fit again, or use what it holds."
            )
        return self.asked

    @cached_property
    def question(self) -> Question:
        """Names, data and settings."""
        asked = self.known()
        return question_of(asked.problem, asked.method, asked.tolerance)

    @cached_property
    def start(self) -> np.ndarray:
        """All parameters at the start, `[..., P]`."""
        asked = self.known()
        given = np.asarray(asked.initial, np.asarray(self.parameters).dtype)
        shape = (*self._shape, given.shape[-1])
        return np.asarray(asked.problem.expand(np.broadcast_to(given, shape)))

    @cached_property
    def targets(self) -> np.ndarray:
        """The targets, `[..., m]`."""
        given = np.asarray(self.known().targets, np.asarray(self.parameters).dtype)
        return np.broadcast_to(given, (*self._shape, given.shape[-1]))

    @cached_property
    def calculated(self) -> np.ndarray:
        """The values that are compared with the targets, `[..., m]`."""
        problem = self.known().problem
        return np.asarray(problem.values(self.parameters, self.targets))

    @cached_property
    def all_parameters(self) -> np.ndarray:
        """All parameters, fixed and tied ones included, `[..., P]`."""
        return np.asarray(self.known().problem.expand(self.parameters))

    @cached_property
    def modes(self) -> tuple[np.ndarray, ...]:
        """Mode shapes of each matrix, `[..., n, n]` in columns.

        Empty unless frequencies or mode shapes of real matrices are observed.
        """
        problem = self.known().problem
        vibrations = {"frequencies", "shapes", "MAC"} & set(self.question.kinds)
        dtypes = [block.structure.dtype for block in problem.blocks]
        if not vibrations or any(dtype.is_complex for dtype in dtypes):
            return ()
        return tuple(np.asarray(X) for X in problem.modes(self.parameters))

    @property
    def named(self) -> dict[str, np.ndarray]:
        """All parameters by name, `[...]` each."""
        columns = np.moveaxis(self.all_parameters, -1, 0)
        return dict(zip(self.question.all_names, columns, strict=True))

    @property
    def residuals(self) -> dict[str, np.ndarray]:
        """Calculated less target by the name of the value, `[...]` each.

        What is measured again is numbered: `level 0`, `level 0 (2)`.
        """
        columns = np.moveaxis(self.calculated - self.targets, -1, 0)
        result: dict[str, np.ndarray] = {}
        for name, column in zip(self.question.target_names, columns, strict=True):
            own, number = name, 1
            while own in result:
                number += 1
                own = f"{name} ({number})"
            result[own] = column
        return result

    @cached_property
    def _seconds(self) -> float | None:
        return self.known().seconds

    @cached_property
    def _errors(self) -> Uncertainty:
        return uncertainty(self.known().problem, self.parameters, self.targets)

    def uncertainty(self, **options: Any) -> Uncertainty:
        """Estimates errors of the parameters; see `eigenfit.uncertainty`.

        Args:
            **options: `scale` and `rtol`; needs the problem.
        """
        if not options:
            return self._errors
        problem = self.known().problem
        return uncertainty(problem, self.parameters, self.targets, **options)

    @property
    def chi_square(self) -> np.ndarray:
        """Sum of squared residuals for their covariance, `[...]`; NaN if robust."""
        return self._errors.chi_square

    @property
    def degrees_of_freedom(self) -> np.ndarray:
        """Data less determined unknowns, `[...]` int."""
        return self._errors.degrees_of_freedom
