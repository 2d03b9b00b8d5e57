"""Converts arrays with any batch dimensions to those of a signature and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eigenfit_serving.client.calls import Signature, TensorSpec
from eigenfit_serving.client.errors import BadReply

REAL, IMAG = "_real", "_imag"

Arrays = dict[str, np.ndarray]


class Prepared(NamedTuple):
    """Arrays ready to be sent."""

    inputs: Arrays
    batch: tuple[int, ...] | None  # the caller's batch shape; None if sent as they are


def prepare(name: str, signature: Signature, arguments: Mapping[str, Any]) -> Prepared:
    """Converts, checks and broadcasts arguments.

    If the first dimension of every input counts members, arguments may have any leading
    dimensions, which broadcast; otherwise they are sent as they are.

    Raises:
        TypeError: If a dtype does not fit.
        ValueError: If a name or a shape does not fit.
    """
    given = _real_parts(signature, arguments)
    unknown = sorted(set(given) - set(signature.inputs))
    if unknown:
        raise ValueError(
            f"`{unknown[0]}` is no input of the signature {name!r}, which has "
            f"{', '.join(sorted(signature.inputs))}."
        )
    arrays = {
        key: _convert(key, value, signature.inputs[key]) for key, value in given.items()
    }
    specs = [signature.inputs[key] for key in arrays]
    if not specs or not all(spec.is_batch_major for spec in specs):
        return Prepared(arrays, None)
    batches = {}
    for key, array in arrays.items():
        event = _event(signature.inputs[key])
        split = array.ndim - len(event)
        own = array.shape[max(split, 0) :]
        if split < 0 or any(
            want is not None and got != want
            for got, want in zip(own, event, strict=True)
        ):
            shown = ", ".join(["..."] + ["?" if x is None else str(x) for x in event])
            raise ValueError(
                f"`{key}` must have the shape [{shown}], got {list(array.shape)}."
            )
        batches[key] = array.shape[:split]
    try:
        batch = np.broadcast_shapes(*batches.values())
    except ValueError:
        shown = ", ".join(f"`{key}` {list(shape)}" for key, shape in batches.items())
        raise ValueError(f"Batch shapes do not broadcast: {shown}.") from None
    size = int(np.prod(batch, dtype=np.int64))
    flat = {}
    for key, array in arrays.items():
        event = array.shape[len(batches[key]) :]
        flat[key] = np.broadcast_to(array, batch + event).reshape((size, *event))
    return Prepared(flat, batch)


def restore(
    outputs: Mapping[str, np.ndarray], batch: tuple[int, ...] | None
) -> dict[str, np.ndarray]:
    """Splits the first dimension of outputs into the batch shape of the caller."""
    if batch is None:
        return dict(outputs)
    size = int(np.prod(batch, dtype=np.int64))
    for name, array in outputs.items():
        if array.ndim < 1 or array.shape[0] != size:
            raise BadReply(
                f"Output {name!r} has the shape {list(array.shape)} for {size} rows."
            )
    return {key: x.reshape(batch + x.shape[1:]) for key, x in outputs.items()}


def nothing(signature: Signature) -> dict[str, np.ndarray]:
    """Makes the outputs of an empty batch, for which no call is needed."""
    return {
        name: np.zeros([0, *(size or 0 for size in _event(spec))], spec.dtype)
        for name, spec in signature.outputs.items()
    }


def join_complex(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Joins `x_real` and `x_imag`, the form in which complex arrays are sent.

    Example:
        >>> join_complex({"x_real": np.ones(1), "x_imag": np.ones(1), "y_imag": 2})
        {'x': array([1.+1.j]), 'y_imag': 2}
    """
    joined = {}
    for name, part in parts.items():
        stem = name.removesuffix(REAL)
        if stem != name and stem + IMAG in parts:
            joined[stem] = part + 1j * parts[stem + IMAG]
        elif not (name.endswith(IMAG) and name.removesuffix(IMAG) + REAL in parts):
            joined[name] = part
    return joined


def _real_parts(signature: Signature, arguments: Mapping[str, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for name, value in arguments.items():
        if name not in signature.inputs and name + REAL in signature.inputs:
            parts[name + REAL], parts[name + IMAG] = np.real(value), np.imag(value)
        else:
            parts[name] = value
    return parts


def _event(spec: TensorSpec) -> tuple[int | None, ...]:
    return spec.shape[1:] if spec.shape else ()


def _convert(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    if spec.dtype is None:
        raise TypeError(f"`{name}` has a dtype that cannot be sent.")
    if spec.dtype == object:
        return _strings(name, value)
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        array = np.asarray(value, object)
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise TypeError(
            f"`{name}` must be {spec.dtype.name}, got {array.dtype.name} "
            f"{np.array2string(array, threshold=4, max_line_width=10**6)[:60]}."
        )
    if spec.dtype.kind in "iu" and array.size:
        limits = np.iinfo(spec.dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"`{name}` does not fit {spec.dtype.name}.")
    with np.errstate(over="ignore"):
        return array.astype(spec.dtype, copy=False)


def _strings(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value, object)
    flat = array.reshape(-1)
    result = np.empty(array.shape, object)
    out = result.reshape(-1)
    for k, item in enumerate(flat):
        if not isinstance(item, (str, bytes)):
            raise TypeError(f"`{name}` must hold str or bytes, got {item!r:.60}.")
        out[k] = item.encode() if isinstance(item, str) else item
    return result
