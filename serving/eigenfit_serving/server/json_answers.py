"""Arrays become JSON: rows under `predictions`, whole tensors under `outputs`.

NaN and infinity are the bare tokens `NaN`, `Infinity` and `-Infinity`, which orjson
does not write; pieces that hold one are written by the standard library. Both hold the
lock of Python while they write: in pieces, so that other requests come to their turn.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from eigenfit_serving.server.json_dtypes import WRITABLE, name_of_array
from eigenfit_serving.server.json_values import invalid

_BYTES_SUFFIX = "_bytes"

_PIECE = 1 << 14
"""Elements that are written in one go."""


def predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes outputs row by row: values if there is one output, objects if several.

    Args:
        outputs: By name, all of one first dimension.

    Raises:
        ServingError: INVALID_ARGUMENT, if they are not, or their dtype has no JSON.

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
    names = sorted(outputs)
    if len(names) == 1:
        rows = _array(names[0], outputs[names[0]])
    else:
        rows = _objects({name: outputs[name] for name in names}, size or 0)
    return b'{"predictions":' + rows + b"}"


def columns(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes outputs as they are: the value if there is one, an object if several.

    Raises:
        ServingError: INVALID_ARGUMENT, if a dtype has no JSON.

    Example:
        >>> columns({"y": np.float64(2)})
        b'{"outputs":2.0}'
    """
    _check_some(outputs)
    arrays = {name: np.asarray(outputs[name]) for name in sorted(outputs)}
    if len(arrays) == 1:
        [(name, array)] = arrays.items()
        answer = _array(name, array)
    else:
        answer = _object(arrays)
    return b'{"outputs":' + answer + b"}"


def error_body(message: str) -> bytes:
    """Writes what every failed request gets."""
    text = json.dumps(message, ensure_ascii=False)
    return f'{{\n    "error": {text}\n}}'.encode("utf-8", "replace")


def _check_some(outputs: Mapping[str, np.ndarray]) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for array in outputs.values():
        dtype = array.dtype
        if dtype not in WRITABLE and dtype.kind not in "SU":
            raise invalid(
                f"Failed to write JSON value for tensor type: {name_of_array(dtype)}"
            )


def _array(name: str, array: np.ndarray) -> bytes:
    """Writes an array in pieces."""
    if array.ndim == 0 or array.size <= _PIECE:
        finite = _all_finite([array])
        return _write(_whole(name, array, finite), finite)
    row = array.size // len(array)
    if row > _PIECE:
        return _listed(_array(name, x) for x in array)
    step = _PIECE // row
    return _joined(
        _array(name, array[i : i + step]) for i in range(0, len(array), step)
    )


def _object(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Writes arrays under their names."""
    members = (
        _write(name, True) + b":" + _array(name, x) for name, x in arrays.items()
    )
    return b"{" + b",".join(members) + b"}"


def _objects(arrays: Mapping[str, np.ndarray], size: int) -> bytes:
    """Writes rows of arrays, each an object, in pieces."""
    row = sum(x.size // size for x in arrays.values()) if size else 0
    if row > _PIECE:
        return _listed(
            _object({name: x[i, ...] for name, x in arrays.items()})
            for i in range(size)
        )
    step = max(1, _PIECE // max(row, len(arrays)))
    return _joined(
        _few_objects({name: x[i : i + step] for name, x in arrays.items()})
        for i in range(0, size, step)
    )


def _few_objects(arrays: Mapping[str, np.ndarray]) -> bytes:
    finite = _all_finite(arrays.values())
    columns = [_rows(name, x, finite) for name, x in arrays.items()]
    rows = [
        dict(zip(arrays, values, strict=True)) for values in zip(*columns, strict=True)
    ]
    return _write(rows, finite)


def _listed(texts: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"


def _joined(lists: Iterable[bytes]) -> bytes:
    return _listed(text[1:-1] for text in lists)


def _all_finite(arrays: Iterable[np.ndarray]) -> bool:
    return all(x.dtype.kind != "f" or bool(np.isfinite(x).all()) for x in arrays)


def _rows(name: str, array: np.ndarray, finite: bool) -> list[Any]:
    if finite and array.dtype == np.float32:
        # orjson writes single precision as short as it is; `tolist` would widen it.
        return list(np.ascontiguousarray(array))
    return _plain(name, array)


def _whole(name: str, array: np.ndarray, finite: bool) -> Any:
    if finite and array.ndim and array.dtype.kind != "O":
        return np.ascontiguousarray(array)
    return _plain(name, array)


def _plain(name: str, array: np.ndarray) -> Any:
    if array.dtype == np.float32:
        # By the shortest text, so that 0.1 does not become 0.10000000149011612.
        return array.astype("U32").astype(np.float64).tolist()
    if array.dtype.kind in "OSU":
        as_bytes = name.endswith(_BYTES_SUFFIX)
        return _strings(array.tolist(), as_bytes)
    return array.tolist()


def _strings(value: Any, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_strings(element, as_bytes) for element in value]
    if as_bytes:
        raw = value if isinstance(value, bytes) else str(value).encode()
        return {"b64": b64encode(raw).decode("ascii")}
    return _text(value)


def _text(value: str | bytes) -> str:
    # Bytes that are not UTF-8 pass through, as in TensorFlow Serving.
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(value)


def _write(answer: Any, finite: bool) -> bytes:
    if finite:
        try:
            return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError:  # Text that is not UTF-8.
            pass
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"), default=_list)
    return text.encode("utf-8", "surrogateescape")


def _list(value: Any) -> Any:
    return _plain("", np.asarray(value))
