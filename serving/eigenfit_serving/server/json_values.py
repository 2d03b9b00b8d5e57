"""One JSON value becomes one array; ragged and ill-typed ones are told apart.

Whole levels of nested lists are looked at in C. Only when something does not fit are
the values walked one by one, to name the first that does not.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from itertools import chain
from typing import Any

import numpy as np

from eigenfit_serving.server import json_dtypes as dtypes
from eigenfit_serving.server.json_words import describe, type_word
from eigenfit_serving.server.status import Code, ServingError

MAX_RANK = 32
"""Dimensions of a tensor; NumPy 1 has no more."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]*")

_TYPES: dict[int, set[type]] = {
    dtypes.FLOAT: {int, float},
    dtypes.DOUBLE: {int, float},
    dtypes.STRING: {str},
    dtypes.BOOL: {bool},
}


def to_array(value: Any, dtype: int) -> np.ndarray:
    """Converts a JSON value; its shape is that of its first elements.

    Args:
        value: Parsed.
        dtype: Number in `DataType`.

    Raises:
        ServingError: With TensorFlow Serving's texts.
    """
    array = _convert(value, dtype)
    if array is not None:
        return array
    shape = shape_of(value)
    leaves: list[Any] = []
    _walk(value, 0, shape, dtype, leaves)
    return _build(leaves, shape, dtype)


def to_rows(rows: list[Any], dtype: int) -> np.ndarray | None:
    """Converts many values of one shape, or gives None if something does not fit."""
    return _convert(rows, dtype)


def shape_of(value: Any) -> tuple[int, ...]:
    """Follows the first elements of nested lists.

    Raises:
        ServingError: They are nested too deep.
    """
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


def decode_base64(value: Any) -> bytes:
    """Decodes an object of the one key `b64`.

    Raises:
        ServingError: It is no such object, or not base64.
    """
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


def encode(text: str) -> bytes:
    """Gives the bytes that a string of a request stood for."""
    return text.encode("utf-8", "surrogateescape")


def invalid(message: str) -> ServingError:
    """Makes an error of the caller."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def _convert(value: Any, dtype: int) -> np.ndarray | None:
    if dtype not in dtypes.NUMPY:
        return None
    shape = shape_of(value)
    flat = [value]
    for size in shape:
        if set(map(type, flat)) - {list} or set(map(len, flat)) - {size}:
            return None
        flat = flat[0] if len(flat) == 1 else list(chain.from_iterable(flat))
    if set(map(type, flat)) - _TYPES.get(dtype, {int}):
        return None
    if flat and dtype in dtypes.RANGES:
        low, high = dtypes.RANGES[dtype]
        if min(flat) < low or max(flat) > high:
            return None
    try:
        return _build(flat, shape, dtype)
    except OverflowError:  # An integer beyond float64.
        return None


def _build(leaves: list[Any], shape: tuple[int, ...], dtype: int) -> np.ndarray:
    if dtype not in dtypes.NUMPY:
        return _nothing(shape, dtype)
    wanted = dtypes.NUMPY[dtype]
    if dtype == dtypes.STRING:
        array = np.empty(len(leaves), object)
        array[:] = [encode(x) if isinstance(x, str) else x for x in leaves]
    elif dtype == dtypes.FLOAT:
        with np.errstate(over="ignore", under="ignore"):
            array = np.array(leaves, np.float64).astype(np.float32)
    elif dtypes.RANGES.get(dtype) == dtypes.RANGES[dtypes.INT32]:
        array = np.array(leaves, np.int64).astype(wanted)
    else:
        array = np.array(leaves, wanted)
    return array.reshape(shape)


def _nothing(shape: tuple[int, ...], dtype: int) -> np.ndarray:
    """Makes an array without elements of a type that has no JSON."""
    from eigenfit_serving.protocol.dtypes import kind_of_number

    try:
        return np.empty(shape, kind_of_number(dtype).dtype)
    except ValueError:
        raise _unconvertible([], dtype) from None


def _walk(
    value: Any, level: int, shape: tuple[int, ...], dtype: int, leaves: list[Any]
) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid(
                f"JSON Value: {describe(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {rank}"
            )
        leaves.append(_leaf(value, dtype))
        return
    if level >= rank:
        raise invalid(
            f"Encountered list at unexpected level: {level} expected < {rank}"
        )
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    if level == rank - 1:
        known = _convert(value, dtype)
        if known is not None and known.ndim == 1:
            leaves.extend(known if dtype == dtypes.STRING else known.tolist())
            return
    for element in value:
        _walk(element, level + 1, shape, dtype, leaves)


def _leaf(value: Any, dtype: int) -> Any:
    if isinstance(value, dict):
        if dtype == dtypes.STRING:
            return decode_base64(value)
        raise _type_error(value, dtype)
    if dtype not in dtypes.NUMPY:
        raise _unconvertible(value, dtype)
    if type(value) not in _TYPES.get(dtype, {int}):
        raise _type_error(value, dtype)
    if dtype in dtypes.RANGES:
        low, high = dtypes.RANGES[dtype]
        if not low <= value <= high:
            raise _type_error(value, dtype)
    elif isinstance(value, int) and dtype in (dtypes.FLOAT, dtypes.DOUBLE):
        # The parser of the standard library knows integers of any size.
        return float(value)
    return value


def _unconvertible(value: Any, dtype: int) -> ServingError:
    return ServingError(
        Code.UNIMPLEMENTED,
        f"Conversion of JSON Value: {describe(value)} to type: {dtypes.name_of(dtype)}",
    )


def _type_error(value: Any, dtype: int) -> ServingError:
    return invalid(
        f"JSON Value: {describe(value)} Type: {type_word(value)} is not of expected "
        f"type: {dtypes.name_of(dtype)}"
    )
