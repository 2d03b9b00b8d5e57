"""What a request may ask for at most, and which shapes fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import Code, ServingError

_STEPS = "max_steps"


def check_limits(arrays: Mapping[str, np.ndarray], options: Options) -> None:
    """Checks inputs against the limits; a limit of zero is none.

    Raises:
        ServingError: INVALID_ARGUMENT, naming the limit and its option.
    """
    elements = sum(array.size for array in arrays.values())
    _check("The request has", elements, "elements", "max_elements", options)
    for alias, array in arrays.items():
        if array.ndim:
            rows = array.shape[0]
            _check("The request has", rows, "rows", "max_rows", options)
        if array.ndim > 2 and array.shape[-1] == array.shape[-2]:
            order = array.shape[-1]
            _check(f"{alias} has matrices of", order, "rows", "max_order", options)
        if alias == _STEPS and array.size and array.dtype.kind in "iu":
            steps = int(array.max())
            _check("The request asks for", steps, "steps", "max_steps", options)


def check_shape(alias: str, array: np.ndarray, info: Any) -> None:
    """Compares an input with the shape that the signature declares.

    Raises:
        ServingError: INVALID_ARGUMENT, naming the input and both shapes.
    """
    declared = info.tensor_shape
    if declared.unknown_rank:
        return
    wanted = [dim.size for dim in declared.dim]
    fits = len(wanted) == array.ndim and all(
        want < 0 or want == got for want, got in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        expected = ",".join("?" if size < 0 else str(size) for size in wanted)
        got = ",".join(map(str, array.shape))
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"Input {alias}: expected shape [{expected}], got [{got}].",
        )


def _check(what: str, value: int, unit: str, option: str, options: Options) -> None:
    limit = getattr(options, option)
    if limit and value > limit:
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"{what} {value} {unit}, over the limit of {limit} (--{option}).",
        )
