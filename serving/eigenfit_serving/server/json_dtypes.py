"""The dtypes of tensors as JSON knows them."""

from __future__ import annotations

import numpy as np

FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, STRING = 1, 2, 3, 4, 5, 6, 7
INT64, BOOL, UINT32, UINT64 = 9, 10, 22, 23

_NAMES = (
    "invalid",
    "float",
    "double",
    "int32",
    "uint8",
    "int16",
    "int8",
    "string",
    "complex64",
    "int64",
    "bool",
    "qint8",
    "quint8",
    "qint32",
    "bfloat16",
    "qint16",
    "quint16",
    "uint16",
    "complex128",
    "half",
    "resource",
    "variant",
    "uint32",
    "uint64",
    "float8_e5m2",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e4m3b11fnuz",
    "float8_e5m2fnuz",
    "int4",
    "uint4",
    "int2",
    "uint2",
)

NUMPY = {
    FLOAT: np.dtype(np.float32),
    DOUBLE: np.dtype(np.float64),
    INT32: np.dtype(np.int32),
    UINT8: np.dtype(np.uint8),
    INT16: np.dtype(np.int16),
    INT8: np.dtype(np.int8),
    STRING: np.dtype(object),
    INT64: np.dtype(np.int64),
    BOOL: np.dtype(np.bool_),
    UINT32: np.dtype(np.uint32),
    UINT64: np.dtype(np.uint64),
}
"""What JSON can hold, by the number in `DataType`."""

WRITABLE = frozenset(NUMPY.values())

_INT32 = (-(2**31), 2**31 - 1)

RANGES = {
    INT32: _INT32,
    INT16: _INT32,  # narrower ones wrap, as in TensorFlow Serving
    INT8: _INT32,
    UINT8: _INT32,
    INT64: (-(2**63), 2**63 - 1),
    UINT32: (0, 2**32 - 1),
    UINT64: (0, 2**64 - 1),
}


def name_of(dtype: int) -> str:
    """Names a dtype by its number in `DataType`.

    Example:
        >>> name_of(19)
        'half'
    """
    return _NAMES[dtype] if 0 <= dtype < len(_NAMES) else f"unknown dtype {dtype}"


def name_of_array(dtype: np.dtype) -> str:
    """Names the dtype of an array as TensorFlow does.

    Example:
        >>> name_of_array(np.dtype(np.float16))
        'half'
    """
    known = {"float16": "half", "float32": "float", "float64": "double"}
    if dtype.kind in "OSU":
        return "string"
    return known.get(dtype.name) or str(dtype)
