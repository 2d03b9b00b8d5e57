"""The dtypes of tensors that JSON can hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

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
