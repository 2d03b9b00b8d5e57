"""Arguments of a fit: converted, checked, broadcast, with one batch dimension."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.batching import batch_rank, flatten
from eigenfit.problem import Problem
from eigenfit.validation import (
    as_array,
    as_tensor,
    broadcast_batch,
    check_ascending,
    check_not_negative,
    check_positive,
    flat_batch,
    is_array,
)


class FitArguments(NamedTuple):
    """What the program of a fit takes."""

    batch: tf.TensorShape | tf.Tensor  # the batch shape of the caller
    flat: list[tf.Tensor]  # initial, targets, tolerance, max_steps, batch-major


def fit_arguments(
    problem: Problem, initial: Any, targets: Any, tolerance: Any, max_steps: Any
) -> FitArguments:
    """Prepares the arguments of `Solver.fit`.

    Arrays and numbers are checked and broadcast in NumPy: a handful of eager
    operations would cost more than a small fit.

    Raises:
        TypeError: If an argument is not numeric or a tensor of another dtype.
        ValueError: If a shape does not fit, targets do not ascend, or a limit is out
            of range.
    """
    dtype = problem.parameter_dtype
    arrays = all(map(is_array, (initial, targets, tolerance, max_steps)))
    convert = as_array if arrays else as_tensor
    initial = parameters_of(problem, "initial", initial, convert)
    targets = targets_of(problem, targets, convert)
    tolerance = convert("tolerance", tolerance, dtype, None)
    check_positive("tolerance", tolerance)
    max_steps = convert("max_steps", max_steps, tf.int32, None)
    check_not_negative("max_steps", max_steps)
    known = targets if arrays else getattr(targets, "numpy", lambda: None)()
    if known is not None:
        check_ascending(np.asarray(known), problem.observation.positions(problem.order))
    named: dict[str, tuple[Any, int]] = {
        "initial": (initial, 1),
        "targets": (targets, 1),
        "tolerance": (tolerance, 0),
        "max_steps": (max_steps, 0),
    }
    if arrays:
        shape, flat = flat_batch(**named)
        return FitArguments(tf.TensorShape(shape), flat)
    batch, values = broadcast_batch(**named)
    return FitArguments(batch, flatten(values, batch_rank(batch)))


def parameters_of(
    problem: Problem, name: str, value: Any, convert: Any = as_tensor
) -> Any:
    """Converts parameters `[..., p]`; the error names the structure."""
    try:
        return convert(name, value, problem.parameter_dtype, problem.num_parameters)
    except ValueError as error:
        raise ValueError(
            f"{error} {problem.structure!r} has {problem.num_parameters} parameters."
        ) from None


def targets_of(problem: Problem, value: Any, convert: Any = as_tensor) -> Any:
    """Converts targets `[..., m]`; the error names the observation."""
    try:
        return convert("targets", value, problem.parameter_dtype, problem.num_targets)
    except ValueError as error:
        raise ValueError(
            f"{error} {problem.observation!r} observes {problem.num_targets} levels of "
            f"a matrix of order {problem.order}."
        ) from None
