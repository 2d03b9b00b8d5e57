"""The NumPy dtype of each `DataType`, and the field of `TensorProto` that holds it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from eigenfit_serving.protocol import messages


@dataclass(frozen=True)
class Kind:
    """How elements of one `DataType` are stored.

    Attributes:
        name: Name of the `DataType`.
        number: Number of the `DataType`.
        dtype: NumPy dtype; object for strings.
        field: Field of `TensorProto` that holds the elements.
        bits: Whether the field holds the bits of a number as an integer.
    """

    name: str
    number: int
    dtype: np.dtype
    field: str
    bits: bool = False


_PLAIN = {
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
}

# NumPy has these only with the package ml_dtypes, which comes with TensorFlow.
_EXTENDED = {
    "DT_BFLOAT16": ("bfloat16", "half_val"),
    "DT_FLOAT8_E5M2": ("float8_e5m2", "float8_val"),
    "DT_FLOAT8_E4M3FN": ("float8_e4m3fn", "float8_val"),
}


def kind_of_number(number: int) -> Kind:
    """Finds the kind of a `DataType`.

    Raises:
        ValueError: If no array can hold elements of this type.
    """
    found = _kinds().get(number)
    if found is None:
        try:
            name = messages.DataType.Name(number)
        except ValueError:
            name = str(number)
        raise ValueError(f"Tensors of type {name} cannot be read.")
    return found


def kind_of_dtype(dtype: np.dtype) -> Kind:
    """Finds the kind of an array; object, str and bytes are strings.

    Raises:
        ValueError: If no `DataType` fits.
    """
    if dtype.kind in "OSU":
        return _kinds()[messages.DataType.Value("DT_STRING")]
    found = _by_dtype().get(dtype.newbyteorder("="))
    if found is None:
        raise ValueError(f"Arrays of type {dtype} cannot be written as tensors.")
    return found


@cache
def _kinds() -> dict[int, Kind]:
    kinds = [
        Kind(
            name,
            messages.DataType.Value(name),
            np.dtype(dtype),
            field,
            dtype == "float16",
        )
        for name, (dtype, field) in _PLAIN.items()
    ]
    try:
        import ml_dtypes
    except ImportError:
        pass
    else:
        kinds += [
            Kind(
                name,
                messages.DataType.Value(name),
                np.dtype(getattr(ml_dtypes, dtype)),
                field,
                bits=True,
            )
            for name, (dtype, field) in _EXTENDED.items()
        ]
    return {kind.number: kind for kind in kinds}


@cache
def _by_dtype() -> dict[np.dtype, Kind]:
    return {kind.dtype: kind for kind in _kinds().values()}
