"""Arrays become JSON: rows under `predictions`, whole tensors under `outputs`.

NaN and infinity are the bare tokens `NaN`, `Infinity` and `-Infinity`, which orjson
does not write; pieces that hold one are written by the standard library. Both hold the
lock of Python while they write, so they write in pieces to let other requests run.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from eigenfit_serving.protocol.dtypes import kind_of_dtype, name_of
from eigenfit_serving.protocol.status import invalid
from eigenfit_serving.server.rest.json.elements import WRITABLE

_BYTES_SUFFIX = "_bytes"

_PIECE = 1 << 14
"""Elements that are written in one go."""


def predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes outputs row by row: values if there is one output, objects if several.

    Raises:
        ServingError: If first dimensions differ, or JSON cannot hold a dtype.

    Example:
        >>> predictions({"y": np.array([[1.0], [np.inf]])})
        b'{"predictions":[[1.0],[Infinity]]}'
    """
    _check_some(outputs)
    size = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {size}"
            )
        size = len(array)
    if len(outputs) == 1:
        rows = _columns(outputs)
    else:
        rows = _rows(dict(sorted(outputs.items())))
    return b'{"predictions":' + rows + b"}"


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes outputs as they are: the value if there is one, an object if several.

    Raises:
        ServingError: If JSON cannot hold a dtype.

    Example:
        >>> columns({"y": np.float64(2)})
        b'{"outputs":2.0}'
    """
    _check_some(outputs)
    arrays = {name: np.asarray(outputs[name]) for name in sorted(outputs)}
    return b'{"outputs":' + _columns(arrays) + b"}"


def _check_some(outputs: Mapping[str, np.ndarray]) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for array in outputs.values():
        dtype = array.dtype
        if dtype not in WRITABLE and dtype.kind not in "SU":
            name = name_of(kind_of_dtype(dtype).number)
            raise invalid(f"Failed to write JSON value for tensor type: {name}")


def _columns(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Writes arrays under their names; a single one without its name."""
    texts = [_array(name, x) for name, x in arrays.items()]
    if len(texts) == 1:
        return texts[0]
    names = [_write(name, True) for name in arrays]
    members = [b"%b:%b" % pair for pair in zip(names, texts, strict=True)]
    return b"{%b}" % b",".join(members)


def _array(name: str, array: np.ndarray) -> bytes:
    if array.ndim and array.size > _PIECE:
        return _rows({name: array})
    return _few({name: array})


def _rows(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Writes rows of arrays, as long as each other, as a list, in pieces."""
    size = len(next(iter(arrays.values())))
    elements = sum(x.size for x in arrays.values()) // max(1, size)
    if elements > _PIECE:
        rows = ({name: x[i, ...] for name, x in arrays.items()} for i in range(size))
        return b"[%b]" % b",".join(map(_columns, rows))
    step = max(1, _PIECE // max(elements, len(arrays)))
    texts = [
        _few({name: x[i : i + step] for name, x in arrays.items()})[1:-1]
        for i in range(0, size, step)
    ]
    return b"[%b]" % b",".join(texts)


def _few(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Writes an array in one go, or the rows of several, each an object."""
    finite = all(
        x.dtype.kind != "f" or bool(np.isfinite(x).all()) for x in arrays.values()
    )
    if len(arrays) == 1:
        [(name, array)] = arrays.items()
        if finite and array.ndim and array.dtype.kind != "O":
            return _write(np.ascontiguousarray(array), finite)
        return _write(_plain(name, array), finite)
    columns = [
        # orjson writes single precision as short as it is; `tolist` would widen it.
        list(np.ascontiguousarray(x))
        if finite and x.dtype == np.float32
        else _plain(name, x)
        for name, x in arrays.items()
    ]
    rows = [dict(zip(arrays, row, strict=True)) for row in zip(*columns, strict=True)]
    return _write(rows, finite)


def _plain(name: str, array: np.ndarray) -> Any:
    if array.dtype == np.float32:
        # By the shortest text, so that 0.1 does not become 0.10000000149011612.
        return array.astype("U32").astype(np.float64).tolist()
    if array.dtype.kind in "OSU":
        return _strings(array.tolist(), name.endswith(_BYTES_SUFFIX))
    return array.tolist()


def _strings(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_strings(element, as_bytes) for element in value]
    raw = value if isinstance(value, bytes) else str(value).encode()
    if as_bytes:
        return {"b64": b64encode(raw).decode("ascii")}
    # Bytes that are not UTF-8 pass through, as in TensorFlow Serving.
    return raw.decode("utf-8", "surrogateescape")


def _write(answer: Any, finite: bool) -> bytes:
    if finite:
        try:
            return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError:  # Text that is not UTF-8.
            pass
    text = json.dumps(
        answer,
        ensure_ascii=False,
        separators=(",", ":"),
        default=lambda x: _plain("", np.asarray(x)),
    )
    return text.encode("utf-8", "surrogateescape")
