"""Checks of methods' options."""

from __future__ import annotations

import math
from typing import Any


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
