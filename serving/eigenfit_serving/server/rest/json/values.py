"""JSON values become arrays; ragged and ill-typed ones are refused.

Whole levels of nested lists are checked in C. Only when something does not fit are
the values visited one by one, to name the first that does not.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from eigenfit_serving.protocol.dtypes import kind_of_number, name_of
from eigenfit_serving.protocol.status import Code, ServingError, invalid
from eigenfit_serving.server.rest.json.elements import ELEMENTS, STRING

MAX_RANK = 32
"""Most dimensions of a tensor; NumPy 1 allows no more."""

_SHOWN = 256
"""Most bytes of a value that an error shows."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]*")
_ENCODER = json.JSONEncoder(indent=4, ensure_ascii=False)
_WORDS = {type(None): "Null", dict: "Object", list: "Array", str: "String"}


def to_array(value: Any, dtype: int) -> np.ndarray:
    """Converts a JSON value to a `DataType`; its first elements give the shape.

    Raises:
        ServingError: With TensorFlow Serving's texts.
    """
    array = fitting_array(value, dtype)
    if array is None:
        raise next(_faults(value, 0, shape_of(value), dtype))
    return array


def fitting_array(value: Any, dtype: int) -> np.ndarray | None:
    """Converts a JSON value, or returns None if something in it does not fit."""
    shape = shape_of(value)
    leaves = [value]
    for size in shape:
        if set(map(type, leaves)) - {list} or set(map(len, leaves)) - {size}:
            return None
        leaves = leaves[0] if len(leaves) == 1 else list(chain.from_iterable(leaves))
    if not leaves:
        try:
            return np.empty(shape, kind_of_number(dtype).dtype)
        except ValueError:
            return None
    if not _fit(leaves, dtype):
        return None
    if dtype == STRING:
        array = np.empty(len(leaves), object)
        try:
            array[:] = [decode(x) for x in leaves]
        except ServingError:
            return None
    else:
        with np.errstate(over="ignore", under="ignore"):
            array = np.array(leaves, ELEMENTS[dtype].parsed)
            array = array.astype(ELEMENTS[dtype].dtype, copy=False)
    return array.reshape(shape)


def shape_of(value: Any) -> tuple[int, ...]:
    """Returns the shape of nested lists, following their first elements."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > MAX_RANK:
            raise invalid(f"Lists are nested deeper than the limit of {MAX_RANK}.")
        if not value:
            break
        value = value[0]
    return tuple(shape)


def is_base64(value: Any) -> bool:
    """Tells whether a value is an object of the one key `b64` with a string."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get("b64"), str)
    )


def decode(value: Any) -> bytes:
    """Decodes a string, or an object of the one key `b64`."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if not is_base64(value):
        raise invalid(
            f"JSON Value: {describe(value)} not formatted correctly for base64 data"
        )
    text = re.sub(r"\s", "", value["b64"])
    digits = text.rstrip("=.")
    missing = -len(digits) % 4
    padding = len(text) - len(digits)
    if missing == 3 or padding not in (0, missing) or not _BASE64.fullmatch(digits):
        raise invalid("Unable to base64 decode")
    return a2b_base64(digits + "=" * missing)


def describe(value: Any) -> str:
    """Writes at most 256 bytes of a value.

    Example:
        >>> print(describe([1, "a"]))
        [
            1,
            "a"
        ]
    """
    text = "".join(islice(_ENCODER.iterencode(value), _SHOWN))
    return text.encode("utf-8", "replace")[:_SHOWN].decode("utf-8", "ignore")


def _fit(leaves: list[Any], dtype: int) -> bool:
    """Tells whether a tensor of a dtype can have these elements."""
    elements = ELEMENTS.get(dtype)
    if elements is None or set(map(type, leaves)) - elements.types:
        return False
    if elements.limits is None:
        return True
    low, high = elements.limits
    return low <= min(leaves) and max(leaves) <= high


def _faults(
    value: Any, level: int, shape: tuple[int, ...], dtype: int
) -> Iterator[ServingError]:
    """Yields errors of what does not fit a shape and a dtype, in document order."""
    rank = len(shape)
    if not isinstance(value, list):
        if level == rank:
            yield from _leaf_faults(value, dtype)
        else:
            yield invalid(
                f"JSON Value: {describe(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {rank}"
            )
    elif level >= rank:
        yield invalid(
            f"Encountered list at unexpected level: {level} expected < {rank}"
        )
    elif len(value) != shape[level]:
        yield invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    elif not value:
        yield _unconvertible(value, dtype)
    elif level < rank - 1 or dict in map(type, value) or not _fit(value, dtype):
        for element in value:
            yield from _faults(element, level + 1, shape, dtype)


def _leaf_faults(value: Any, dtype: int) -> Iterator[ServingError]:
    if isinstance(value, dict) and dtype == STRING:
        try:
            decode(value)
        except ServingError as error:
            yield error
    elif dtype not in ELEMENTS and not isinstance(value, dict):
        yield _unconvertible(value, dtype)
    elif not _fit([value], dtype):
        is_bool = isinstance(value, bool)
        word = str(value) if is_bool else _WORDS.get(type(value), "Number")
        yield invalid(
            f"JSON Value: {describe(value)} Type: {word} is not of expected type: "
            f"{name_of(dtype)}"
        )


def _unconvertible(value: Any, dtype: int) -> ServingError:
    text = f"Conversion of JSON Value: {describe(value)} to type: {name_of(dtype)}"
    return ServingError(Code.UNIMPLEMENTED, text)
