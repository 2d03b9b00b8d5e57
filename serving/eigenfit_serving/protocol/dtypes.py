"""The NumPy dtype of each `DataType`, and the field of `TensorProto` that holds it."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import NamedTuple

import numpy as np

from eigenfit_serving.protocol.messages import DataType


class Kind(NamedTuple):
    """How elements of one `DataType` are stored.

    Attributes:
        number: Number of the `DataType`.
        dtype: NumPy dtype; object for strings.
        field: Field of `TensorProto` that holds the elements; `half_val` holds the bits
            of a number as an integer.
    """

    number: int
    dtype: np.dtype
    field: str


_STORED = {
    "DT_FLOAT": ("float32", "float_val"),
    "DT_DOUBLE": ("float64", "double_val"),
    "DT_INT32": ("int32", "int_val"),
    "DT_UINT8": ("uint8", "int_val"),
    "DT_INT16": ("int16", "int_val"),
    "DT_INT8": ("int8", "int_val"),
    "DT_UINT16": ("uint16", "int_val"),
    "DT_STRING": ("object", "string_val"),
    "DT_COMPLEX64": ("complex64", "scomplex_val"),
    "DT_COMPLEX128": ("complex128", "dcomplex_val"),
    "DT_INT64": ("int64", "int64_val"),
    "DT_BOOL": ("bool", "bool_val"),
    "DT_HALF": ("float16", "half_val"),
    "DT_UINT32": ("uint32", "uint32_val"),
    "DT_UINT64": ("uint64", "uint64_val"),
    # NumPy has these only with the package ml_dtypes, which comes with TensorFlow.
    "DT_BFLOAT16": ("bfloat16", "half_val"),
    "DT_FLOAT8_E5M2": ("float8_e5m2", "float8_val"),
    "DT_FLOAT8_E4M3FN": ("float8_e4m3fn", "float8_val"),
}


def name_of(number: int) -> str:
    """Names a `DataType` by its number, as TensorFlow prints it.

    Example:
        >>> name_of(19)
        'half'
    """
    try:
        return DataType.Name(number).removeprefix("DT_").lower()
    except ValueError:
        return f"unknown dtype {number}"


def kind_of_number(number: int) -> Kind:
    """Finds the kind of a `DataType`.

    Raises:
        ValueError: If no array can hold elements of this type.
    """
    found = _kinds().get(number)
    if found is None:
        raise ValueError(f"Tensors of type {name_of(number)} cannot be read.")
    return found


def kind_of_dtype(dtype: np.dtype) -> Kind:
    """Finds the kind of an array; object, str and bytes are strings.

    Raises:
        ValueError: If no `DataType` fits.
    """
    wanted = np.dtype(object) if dtype.kind in "SU" else dtype.newbyteorder("=")
    found = _by_dtype().get(wanted)
    if found is None:
        raise ValueError(f"Arrays of type {dtype} cannot be written as tensors.")
    return found


@cache
def _kinds() -> dict[int, Kind]:
    kinds = {}
    with contextlib.suppress(ImportError):
        import ml_dtypes  # noqa: F401 - adds dtypes to NumPy
    for name, (dtype, field) in _STORED.items():
        with contextlib.suppress(TypeError):
            kind = Kind(DataType.Value(name), np.dtype(dtype), field)
            kinds[kind.number] = kind
    return kinds


@cache
def _by_dtype() -> dict[np.dtype, Kind]:
    return {kind.dtype: kind for kind in _kinds().values()}
