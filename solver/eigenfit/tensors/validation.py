"""Checks and converts arguments at the public entries, once, before tracing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

# Types that are known not to be tensors; `tf.is_tensor` takes 10 us to find out, a
# tenth of a small fit.
_PLAIN = (np.ndarray, np.generic, float, int, list, tuple)


def as_tensor(name: str, value: Any, dtype: tf.DType, last: int | None) -> tf.Tensor:
    """Converts an argument to a tensor of a dtype.

    Args:
        name: Name of the argument, for messages.
        value: Numbers, an array or a tensor.
        dtype: Dtype wanted. A tensor or variable must have it; numbers are converted.
        last: Size of the last dimension; None for any shape.

    Raises:
        TypeError: If it is not numeric, or a tensor of another dtype.
        ValueError: If its shape does not fit.
    """
    if not is_array(value):
        if value.dtype != dtype:
            raise TypeError(
                f"`{name}` must be {dtype.name} like the structure, got a tensor of "
                f"{value.dtype.name}. Cast it with tf.cast(..., tf.{dtype.name})."
            )
        tensor = tf.convert_to_tensor(value)
        shape = tensor.shape
        if last is not None and (
            shape.rank == 0 or not shape[-1:].is_compatible_with([last])
        ):
            raise ValueError(
                f"`{name}` must have shape [..., {last}], got {shape.as_list()}."
            )
        return tensor
    return tf.constant(as_array(name, value, dtype, last))


def is_array(value: Any) -> bool:
    """Returns whether an argument is neither a tensor nor a variable."""
    if isinstance(value, _PLAIN):
        return True
    return not (tf.is_tensor(value) or isinstance(value, tf.Variable))


def as_array(name: str, value: Any, dtype: tf.DType, last: int | None) -> np.ndarray:
    """Converts an argument that is not a tensor to an array; see `as_tensor`."""
    array = _as_array(name, value, dtype)
    if last is not None and (not array.ndim or array.shape[-1] != last):
        raise ValueError(
            f"`{name}` must have shape [..., {last}], got {list(array.shape)}."
        )
    return array


def _as_array(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        array = np.asarray(None)
    if array.dtype.kind not in ("iuf" if dtype.is_floating else "iu"):
        if not array.size and array.dtype.kind == "f":
            return array.astype(dtype.as_numpy_dtype)
        kind = "real numbers" if dtype.is_floating else "integers"
        raise TypeError(
            f"`{name}` must be {kind} in a full array, got {_short(value)}."
        )
    if not dtype.is_floating:
        bounds = np.iinfo(dtype.as_numpy_dtype)
        outside = (array < bounds.min) | (array > bounds.max)
        if outside.any():
            raise ValueError(
                f"`{name}` must lie in {bounds.min}..{bounds.max}, got "
                f"{array[outside].flat[0]}."
            )
    wanted = dtype.as_numpy_dtype
    if array.dtype == wanted:
        return array
    with np.errstate(over="ignore"):
        return array.astype(wanted)


def broadcast_batch(
    **named: tuple[tf.Tensor, int],
) -> tuple[tf.TensorShape | tf.Tensor, list[tf.Tensor]]:
    """Broadcasts the batch dimensions of arguments against each other.

    Args:
        **named: Tensor and the number of its dimensions that are not batch dimensions.

    Returns:
        The batch shape (a tensor if it is not known statically) and the tensors.

    Raises:
        ValueError: Naming the arguments if their batch shapes do not broadcast.
    """
    shapes = {k: x.shape[: x.shape.rank - event] for k, (x, event) in named.items()}
    static = tf.TensorShape([])
    try:
        for shape in shapes.values():
            static = tf.broadcast_static_shape(static, shape)
    except ValueError:
        raise _cannot_broadcast(shapes) from None
    batch: Any = static
    if not static.is_fully_defined():
        batch = tf.constant([], tf.int32)
        for x, event in named.values():
            own = tf.shape(x)[: x.shape.rank - event]
            batch = tf.broadcast_dynamic_shape(batch, own)
    result = []
    for key, (x, event) in named.items():
        if static.is_fully_defined() and shapes[key] == static:
            result.append(x)
        else:
            own = tf.shape(x)[x.shape.rank - event :]
            shape = tf.concat([tf.convert_to_tensor(batch, tf.int32), own], axis=0)
            result.append(tf.broadcast_to(x, shape))
    return batch, result


def flat_batch(
    **named: tuple[np.ndarray, int],
) -> tuple[tuple[int, ...], list[tf.Tensor]]:
    """Broadcasts arrays like `broadcast_batch` and merges their batch dimensions.

    This is done in NumPy, since each eager operation costs as much as a small fit.

    Returns:
        The batch shape, and tensors with one batch dimension, or none for a batch
        shape of rank 0.
    """
    shapes = {k: x.shape[: x.ndim - event] for k, (x, event) in named.items()}
    try:
        batch = np.broadcast_shapes(*shapes.values())
    except ValueError:
        raise _cannot_broadcast(shapes) from None
    tensors = []
    for key, (x, event) in named.items():
        own = x.shape[x.ndim - event :]
        if shapes[key] != batch:
            x = np.broadcast_to(x, batch + own)
        if len(batch) > 1:
            # An explicit size: -1 is ambiguous for arrays without elements.
            x = x.reshape(math.prod(batch), *own)
        tensors.append(tf.constant(x))
    return batch, tensors


def _cannot_broadcast(shapes: dict[str, Any]) -> ValueError:
    listed = ", ".join(f"`{k}` {list(s)}" for k, s in shapes.items())
    return ValueError(
        f"Batch shapes do not broadcast: {listed}. Each pair of dimensions, from "
        f"the last, must be equal or 1."
    )


def check_positive(name: str, value: Any) -> None:
    """Rejects a value known before tracing that is not positive (NaN included)."""
    _check_all(name, value, lambda x: x > 0, "positive")


def check_not_negative(name: str, value: Any) -> None:
    """Rejects a value known before tracing that is negative."""
    _check_all(name, value, lambda x: x >= 0, "0 or greater")


def _check_all(name: str, value: Any, test: Any, wanted: str) -> None:
    array = value if isinstance(value, np.ndarray) else tf.get_static_value(value)
    if array is not None and not np.all(test(array)):
        bad = np.asarray(array)[~test(np.asarray(array))].flat[0]
        raise ValueError(f"`{name}` must be {wanted}, got {bad}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
