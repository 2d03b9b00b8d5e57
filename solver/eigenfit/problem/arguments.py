"""Arguments that every function of a problem takes: parameters and targets."""

from __future__ import annotations

from typing import Any

from eigenfit.problem.problem import Problem
from eigenfit.tensors.validation import as_tensor


def parameters_of(
    problem: Problem, name: str, value: Any, convert: Any = as_tensor
) -> Any:
    """Converts parameters `[..., p]`; the error names the structure."""
    try:
        return convert(name, value, problem.parameter_dtype, problem.num_parameters)
    except ValueError as error:
        raise ValueError(
            f"{error} {problem!r} has {problem.num_parameters} parameters."
        ) from None


def targets_of(problem: Problem, value: Any, convert: Any = as_tensor) -> Any:
    """Converts targets `[..., m]`; the error names the observation."""
    try:
        return convert("targets", value, problem.parameter_dtype, problem.num_targets)
    except ValueError as error:
        raise ValueError(
            f"{error} {problem!r} has {problem.num_targets} targets."
        ) from None
