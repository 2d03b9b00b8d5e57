"""Converts between `TensorProto` and NumPy by TensorFlow's rules, without TensorFlow.

These are (tensor.cc): values missing at the end repeat the last one, or are zero if
there is none; surplus ones are ignored; `tensor_content` must fit exactly.

Exception
+-- ValueError
    +-- TooManyElements    the shape claims more than the reader allows
"""

from __future__ import annotations

import math
import sys
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from eigenfit_serving.protocol import messages
from eigenfit_serving.protocol.dtypes import (
    Kind,
    kind_of_dtype,
    kind_of_number,
    name_of,
)

MAX_ELEMENTS = 2**31 - 1
"""Most elements of a tensor, unless the caller sets another limit."""

_MAX_RANK = 64  # NumPy's limit; TensorFlow's is 254
_SWAPPED = sys.byteorder != "little"
_LENGTH_DELIMITED = 2


class TooManyElements(ValueError):  # noqa: N818 - an error by its base
    """A tensor is larger than allowed.

    Attributes:
        elements: Number of elements that its shape claims.
        limit: Largest number allowed.
    """

    def __init__(self, elements: int, limit: int) -> None:
        super().__init__(
            f"The tensor has {elements} elements; at most {limit} are allowed."
        )
        self.elements = elements
        self.limit = limit


def shape_of(proto: Any, max_elements: int = MAX_ELEMENTS) -> tuple[int, ...]:
    """Reads and checks the shape of a `TensorProto`.

    Raises:
        ValueError: If the rank is unknown or too high, a dimension is negative, or
            there are too many elements.
    """
    shape = proto.tensor_shape
    if shape.unknown_rank:
        raise ValueError("The rank of the tensor is unknown.")
    sizes = tuple([dim.size for dim in shape.dim])
    if len(sizes) > _MAX_RANK:
        raise ValueError(
            f"The tensor has {len(sizes)} dimensions; at most {_MAX_RANK} are allowed."
        )
    if any(size < 0 for size in sizes):
        raise ValueError(f"The shape {list(sizes)} has a negative dimension.")
    # A dimension of zero must not hide an overflow of the others.
    elements = math.prod(size for size in sizes if size)
    if elements > max_elements:
        raise TooManyElements(elements, max_elements)
    return sizes


def to_array(proto: Any, max_elements: int = MAX_ELEMENTS) -> np.ndarray:
    """Converts a tensor to an array.

    Args:
        proto: A `TensorProto`, of this package or of TensorFlow.
        max_elements: Most elements that its shape may claim; checked before memory is
            allocated.

    Returns:
        An array, with strings as objects of type bytes. It may be read-only.

    Raises:
        ValueError: If type, shape and content do not make an array.
    """
    kind = kind_of_number(proto.dtype)
    shape = shape_of(proto, max_elements)
    count = math.prod(shape)
    content = proto.tensor_content
    if kind.dtype == object:
        values = _read_strings(content, count) if content else list(proto.string_val)
        return _strings(values, count).reshape(shape)
    if count == 0:
        return np.empty(shape, kind.dtype)
    if content:
        wanted = count * kind.dtype.itemsize
        if len(content) != wanted:
            raise ValueError(
                f"The content has {len(content)} bytes; the shape {list(shape)} of "
                f"{name_of(kind.number)} needs {wanted}."
            )
        return _native(np.frombuffer(content, kind.dtype)).reshape(shape)
    return _filled(_values(proto, kind), count, kind.dtype).reshape(shape)


def from_array(array: Any, as_content: bool = False) -> Any:
    """Converts an array to a tensor.

    Args:
        array: Anything that `numpy.asarray` accepts; strings are str or bytes.
        as_content: Whether values go into `tensor_content` as raw bytes, not into the
            field of their type.

    Raises:
        ValueError: If the type has no `DataType`.
    """
    proto = messages.TensorProto()
    write_array(proto, np.asarray(array), as_content)
    return proto


def write_array(proto: Any, array: np.ndarray, as_content: bool = False) -> None:
    """Writes an array into an empty `TensorProto`; see `from_array`.

    Raises:
        ValueError: If the type has no `DataType`.
    """
    kind = kind_of_dtype(array.dtype)
    proto.dtype = kind.number
    # A scalar has a shape too, one without dimensions.
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    if not array.size:
        return
    if kind.dtype == object:
        _write_strings(proto, array, as_content)
        return
    flat = np.ascontiguousarray(array, kind.dtype).reshape(-1)
    if as_content:
        proto.tensor_content = _native(flat).tobytes()
    elif kind.field == "float8_val":
        proto.float8_val = flat.tobytes()
    elif kind.field == "half_val":
        proto.half_val.extend(flat.view(np.uint16).tolist())
    elif kind.dtype.kind not in "fc":
        getattr(proto, kind.field).extend(flat.tolist())
    else:
        # Floating-point values look the same in the message as in memory.
        data = _native(flat).tobytes()
        number = proto.DESCRIPTOR.fields_by_name[kind.field].number
        head = _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(data))
        proto.MergeFromString(head + data)


def _values(proto: Any, kind: Kind) -> np.ndarray:
    field = getattr(proto, kind.field)
    if kind.field == "float8_val":
        return np.frombuffer(field, kind.dtype)
    if kind.dtype.kind == "c":
        part = np.dtype(f"f{kind.dtype.itemsize // 2}")
        parts = np.array(field, part)
        return parts[: len(parts) // 2 * 2].view(kind.dtype)
    if kind.field == "half_val":
        return np.array(field, np.int32).astype(np.uint16).view(kind.dtype)
    if kind.field == "int_val":
        return np.array(field, np.int32).astype(kind.dtype)
    return np.array(field, kind.dtype)


def _filled(values: np.ndarray, count: int, dtype: np.dtype) -> np.ndarray:
    if len(values) >= count:
        return values[:count]
    if not len(values):
        return np.zeros(count, dtype)
    filled = np.empty(count, dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1]
    return filled


def _read_strings(content: bytes, count: int) -> list[bytes]:
    lengths, at = [], 0
    for _ in range(count):
        length = shift = 0
        byte = 0x80
        while byte & 0x80:
            if at == len(content) or shift > 63:
                text = "The content does not begin with the lengths of its strings."
                raise ValueError(text)
            byte = content[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise ValueError(
            f"The content has {len(content)} bytes; its strings need "
            f"{at + sum(lengths)}."
        )
    ends = accumulate(lengths, initial=at)
    return [content[start:end] for start, end in pairwise(ends)]


def _varint(value: int) -> bytes:
    """Encodes a number in groups of seven bits, lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _strings(values: list[bytes], count: int) -> np.ndarray:
    last = values[-1] if values else b""
    array = np.empty(count, object)
    given = min(len(values), count)
    array[given:] = last
    array[:given] = values[:given]
    return array


def _write_strings(proto: Any, array: np.ndarray, as_content: bool) -> None:
    values = []
    for item in array.reshape(-1).tolist():
        value = item.encode() if isinstance(item, str) else item
        if not isinstance(value, bytes):
            raise ValueError(f"A string is expected and not {type(item).__name__}.")
        values.append(value)
    if as_content:
        # All lengths, then all bytes.
        lengths = [_varint(len(value)) for value in values]
        proto.tensor_content = b"".join(lengths + values)
    else:
        proto.string_val.extend(values)


def _native(array: np.ndarray) -> np.ndarray:
    """Swaps between the byte order of this machine and that of the wire."""
    return array.byteswap() if _SWAPPED else array
