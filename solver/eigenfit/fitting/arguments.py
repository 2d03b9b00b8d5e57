"""Arguments of a fit: converted, checked, broadcast, with one batch dimension."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.problem.arguments import parameters_of, targets_of
from eigenfit.problem.problem import Problem
from eigenfit.tensors.batching import batch_rank, flatten
from eigenfit.tensors.private_tf import is_watched
from eigenfit.tensors.validation import (
    as_array,
    as_tensor,
    broadcast_batch,
    check_not_negative,
    check_positive,
    flat_batch,
    is_array,
)

_CONVERTED = (np.ndarray, list, tuple)
_MOST_STEPS = 2**31 - 1  # `tf.int32.max` takes 5 us to ask for


class FitArguments(NamedTuple):
    """Arguments of the program of a fit."""

    batch: tf.TensorShape | tf.Tensor  # batch shape of the caller's arguments
    # Initial, targets, tolerance, max_steps; with one batch dimension, or none for a
    # batch shape of rank 0.
    values: list[tf.Tensor]
    followed: tf.Tensor | None  # the targets if their derivative may be asked for
    distinct: bool  # whether it is certain that no member has equal targets

    def flat(self) -> list[tf.Tensor]:
        """Returns the values with one batch dimension."""
        if batch_rank(self.batch):
            return self.values
        return [tf.expand_dims(x, 0) for x in self.values]


def fit_arguments(
    problem: Problem, initial: Any, targets: Any, tolerance: Any, max_steps: Any
) -> FitArguments:
    """Prepares the arguments of `Solver.fit`.

    Values known before tracing are checked and broadcast in NumPy: a handful of eager
    operations would cost more than a small fit.

    Raises:
        TypeError: If an argument is not numeric or a tensor of another dtype.
        ValueError: If a shape does not fit, targets do not ascend, or a limit is out
            of range.
    """
    quick = _one_fit(problem, initial, targets, tolerance, max_steps)
    if quick is not None:
        return quick
    dtype = problem.parameter_dtype
    given = targets
    arrays = tf.executing_eagerly() or all(
        map(is_array, (initial, targets, tolerance, max_steps))
    )
    convert = _as_known if arrays else as_tensor
    initial = parameters_of(problem, "initial", initial, convert)
    start = initial if arrays else getattr(initial, "numpy", lambda: None)()
    if start is not None:
        problem.check_parameters("initial", np.asarray(start))
    targets = targets_of(problem, targets, convert)
    if tolerance is None:
        tolerance = convert("tolerance", 0.0, dtype, None)
    else:
        tolerance = convert("tolerance", tolerance, dtype, None)
        check_positive("tolerance", tolerance)
    max_steps = convert("max_steps", max_steps, tf.int32, None)
    check_not_negative("max_steps", max_steps)
    known = targets if arrays else getattr(targets, "numpy", lambda: None)()
    distinct = False
    if known is not None:
        problem.check_targets(np.asarray(known))
        distinct = _all_differ(np.asarray(known))
    named: dict[str, tuple[Any, int]] = {
        "initial": (initial, 1),
        "targets": (targets, 1),
        "tolerance": (tolerance, 0),
        "max_steps": (max_steps, 0),
    }
    if arrays:
        shape, values = flat_batch(**named)
        followed = None
        watched = None if is_array(given) else tf.convert_to_tensor(given)
        if watched is not None and is_watched(watched):
            followed = watched
            if followed.shape != values[1].shape:
                followed = tf.broadcast_to(followed, [*shape, problem.num_targets])
                followed = flatten(followed, len(shape))
        return FitArguments(tf.TensorShape(shape), values, followed, distinct)
    batch, values = broadcast_batch(**named)
    rank = batch_rank(batch)
    values = flatten(values, rank) if rank else values
    followed = None if is_array(given) else values[1]
    return FitArguments(batch, values, followed, distinct)


def _one_fit(
    problem: Problem, initial: Any, targets: Any, tolerance: Any, max_steps: Any
) -> FitArguments | None:
    # The arguments of a single fit that need no conversion; None if these are not such.
    # In a loop of small fits this takes half the time of the general way.
    plain = tolerance is None and type(max_steps) is int
    if not (plain and 0 <= max_steps <= _MOST_STEPS and tf.executing_eagerly()):
        return None
    dtype = problem.parameter_dtype
    start = _exact(initial, dtype, problem.num_parameters)
    known = _exact(targets, dtype, problem.num_targets)
    if start is None or known is None:
        return None
    problem.check_parameters("initial", start)
    problem.check_targets(known)
    followed = type(targets) not in _CONVERTED and is_watched(targets)
    return FitArguments(
        tf.TensorShape([]),
        [
            _unwatched(initial, start),
            _unwatched(targets, known),
            *_default_limits(dtype, max_steps),
        ],
        targets if followed else None,
        _all_differ(known),
    )


def _unwatched(value: Any, array: np.ndarray) -> tf.Tensor:
    if type(value) in _CONVERTED or is_watched(value):
        return tf.constant(array)
    return value


def _exact(value: Any, dtype: tf.DType, size: int) -> np.ndarray | None:
    # The numbers of an array, a list or an eager tensor of this dtype and size.
    if type(value) in _CONVERTED:
        try:
            array = np.asarray(value)
        except ValueError:
            return None
    elif isinstance(value, tf.Tensor):
        array = value.numpy()
    else:
        return None
    exact = array.shape == (size,) and array.dtype == dtype.as_numpy_dtype
    return array if exact else None


@functools.lru_cache(maxsize=64)
def _default_limits(dtype: tf.DType, max_steps: int) -> list[tf.Tensor]:
    return [tf.constant(0, dtype), tf.constant(max_steps, tf.int32)]


def _all_differ(targets: np.ndarray) -> bool:
    # Only members that can be fitted count: the values of others do not matter.
    t = np.sort(targets, axis=-1)
    equal = (t[..., 1:] == t[..., :-1]).any(axis=-1)
    return not (equal & np.isfinite(t).all(axis=-1)).any()


def _as_known(name: str, value: Any, dtype: tf.DType, last: int | None) -> np.ndarray:
    if is_array(value):
        return as_array(name, value, dtype, last)
    return as_tensor(name, value, dtype, last).numpy()
