"""The dtypes of tensors as JSON knows them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eigenfit_serving.protocol.dtypes import kind_of_number
from eigenfit_serving.protocol.messages import DataType


class Elements(NamedTuple):
    """How JSON holds the elements of tensors of one dtype.

    Attributes:
        dtype: Dtype of the arrays.
        parsed: Dtype in which numbers are read, before they are narrowed to `dtype`.
        types: Python types that a parser may make of the elements.
        limits: Smallest and largest whole number; None for other dtypes.
    """

    dtype: np.dtype
    parsed: str
    types: frozenset[type]
    limits: tuple[int, int] | None = None


_NUMBER, _WHOLE = frozenset({int, float}), frozenset({int})
_INT32 = (-(2**31), 2**31 - 1)  # narrower ones wrap, as in TensorFlow Serving

_BY_NAME = {
    "DT_FLOAT": Elements(np.dtype("float32"), "float64", _NUMBER),
    "DT_DOUBLE": Elements(np.dtype("float64"), "float64", _NUMBER),
    "DT_INT8": Elements(np.dtype("int8"), "int64", _WHOLE, _INT32),
    "DT_INT16": Elements(np.dtype("int16"), "int64", _WHOLE, _INT32),
    "DT_INT32": Elements(np.dtype("int32"), "int64", _WHOLE, _INT32),
    "DT_INT64": Elements(np.dtype("int64"), "int64", _WHOLE, (-(2**63), 2**63 - 1)),
    "DT_UINT8": Elements(np.dtype("uint8"), "int64", _WHOLE, _INT32),
    "DT_UINT32": Elements(np.dtype("uint32"), "int64", _WHOLE, (0, 2**32 - 1)),
    "DT_UINT64": Elements(np.dtype("uint64"), "uint64", _WHOLE, (0, 2**64 - 1)),
    "DT_BOOL": Elements(np.dtype("bool"), "bool", frozenset({bool})),
    "DT_STRING": Elements(np.dtype("object"), "object", frozenset({str, dict})),
}

ELEMENTS = {DataType.Value(name): x for name, x in _BY_NAME.items()}
"""The dtypes that JSON can hold, by their number in `DataType`."""

STRING = DataType.Value("DT_STRING")

WRITABLE = frozenset(x.dtype for x in ELEMENTS.values())


def name_of(number: int) -> str:
    """Names a dtype by its number in `DataType`, as TensorFlow prints it.

    Example:
        >>> name_of(19)
        'half'
    """
    try:
        return DataType.Name(number).removeprefix("DT_").lower()
    except ValueError:
        return f"unknown dtype {number}"


def array_dtype(number: int) -> np.dtype | None:
    """Finds the dtype of arrays, even if JSON cannot hold it; None if unknown."""
    try:
        return kind_of_number(number).dtype
    except ValueError:
        return None
