"""Checks of the numbers and dtypes that classes are made with."""

from __future__ import annotations

import math
import operator
from typing import Any

import tensorflow as tf


def number(name: str, value: Any) -> float:
    """Converts an option to a real finite number.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is NaN or infinite.
    """
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError
        converted = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must be a number, got {value!r}.") from None
    if not math.isfinite(converted):
        raise ValueError(f"`{name}` must be finite, got {value!r}.")
    return converted


def positive(name: str, value: Any) -> float:
    """Converts an option to a number greater than 0."""
    converted = number(name, value)
    if converted <= 0:
        raise ValueError(f"`{name}` must be positive, got {value!r}.")
    return converted


def in_unit_interval(name: str, value: Any) -> float:
    """Converts an option to a number of at least 0 and less than 1."""
    converted = number(name, value)
    if not 0 <= converted < 1:
        raise ValueError(f"`{name}` must lie in [0, 1), got {value!r}.")
    return converted


def positive_int(name: str, value: Any) -> int:
    """Checks an integer of at least 1 (bool is rejected)."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1, got {value!r}.")
    return number


def float_dtype(dtype: Any) -> tf.DType:
    """Checks that a matrix may have this dtype."""
    try:
        checked = tf.as_dtype(dtype)
    except TypeError:
        checked = None
    if checked not in (tf.float32, tf.float64, tf.complex64, tf.complex128):
        raise TypeError(
            f"`dtype` must be float32, float64, complex64 or complex128, got {dtype!r}."
        )
    return checked


def real_dtype(dtype: Any) -> tf.DType:
    """Checks that a real symmetric matrix may have this dtype."""
    checked = float_dtype(dtype)
    if checked.is_complex:
        raise TypeError(
            f"`dtype` of a real symmetric matrix must be float32 or float64, got "
            f"{checked.name}."
        )
    return checked
