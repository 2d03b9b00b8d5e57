"""The body of a predict request becomes arrays: `instances` (rows) or `inputs`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eigenfit_serving.protocol.status import ServingError, invalid
from eigenfit_serving.server.rest.json.values import (
    describe,
    fitting_array,
    is_base64,
    to_array,
)


@dataclass(frozen=True)
class PredictInputs:
    """The inputs of a predict request.

    Attributes:
        arrays: Arrays by name of the input.
        by_row: Whether they came as `instances`, to be answered by `predictions`.
    """

    arrays: dict[str, np.ndarray]
    by_row: bool


def signature_name_of(document: Mapping[str, Any]) -> str:
    """Reads `signature_name`, which may be missing but must be a string."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {describe(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def predict_inputs(
    document: Mapping[str, Any],
    kinds: Mapping[str, int],
    signature_name: str,
    max_rows: int = 0,
) -> PredictInputs:
    """Converts the tensors of a request.

    Args:
        document: Parsed body.
        kinds: Numbers in `DataType` of the inputs of the signature, by name.
        signature_name: Signature asked for, for messages.
        max_rows: Most rows of `instances`; 0 for any number.

    Raises:
        ServingError: With TensorFlow Serving's texts.
    """
    if not kinds:
        name = signature_name or "DEFAULT"
        raise invalid(f"Failed to get input map for signature: {name}")
    if "instances" not in document:
        if "inputs" not in document:
            raise invalid("Missing 'inputs' or 'instances' key")
        return PredictInputs(_from_columns(document["inputs"], kinds), by_row=False)
    rows, fault = document["instances"], ""
    if "inputs" in document:
        fault = (
            "Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    elif not isinstance(rows, list):
        fault = "Expecting 'instances' to be an list/array"
    elif not rows:
        fault = "No values in 'instances' array"
    if fault:
        raise invalid(f"JSON Value: {describe(document)} {fault}")
    if max_rows and len(rows) > max_rows:
        raise invalid(
            f"The request has {len(rows)} rows, over the limit of {max_rows} "
            "(--max_rows)."
        )
    return PredictInputs(_from_rows(rows, kinds), by_row=True)


def _from_columns(value: Any, kinds: Mapping[str, int]) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(kinds) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        value = {name: value for name in kinds}
    arrays = {}
    for name, kind in sorted(kinds.items()):
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = to_array(value[name], kind)
    return arrays


def _from_rows(rows: list[Any], kinds: Mapping[str, int]) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(kinds) > 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    columns = {min(kinds): rows}
    if _is_named(rows[0]):
        columns = _columns(rows, kinds)
    arrays = {}
    for name, column in columns.items():
        array = fitting_array(column, kinds[name])
        if array is None:
            break
        arrays[name] = array
    if len(arrays) < len(columns) or not columns:
        raise next(_faults(rows, kinds))
    return arrays


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _columns(rows: list[Any], kinds: Mapping[str, int]) -> dict[str, list[Any]]:
    """Splits objects into columns; returns none if one has other keys."""
    if set(map(type, rows)) - {dict} or set(map(len, rows)) - {len(kinds)}:
        return {}
    try:
        return {name: [row[name] for row in rows] for name in kinds}
    except KeyError:
        return {}


def _faults(rows: list[Any], kinds: Mapping[str, int]) -> Iterator[ServingError]:
    """Yields the errors of rows that do not fit."""
    is_named, only = _is_named(rows[0]), min(kinds)
    wanted, got = ("object", "list") if is_named else ("value/list", "object")
    shapes: dict[str, tuple[int, ...]] = {}
    for index, row in enumerate(rows):
        if _is_named(row) is not is_named:
            yield invalid(
                f"Expecting {wanted} but got {got} at item {index} of input list"
            )
        what = f"Failed to process element: {index}"
        for name, value in row.items() if is_named else [(only, row)]:
            try:
                _check(name, value, kinds, shapes)
            except ServingError as error:
                key = f" key: {name}" if is_named else ""
                yield invalid(
                    f"{what}{key} of 'instances' list. Error: {error.code.name}: "
                    f"{error.message}"
                )
        if is_named and len(row) != len(kinds):
            yield invalid(
                f"{what} of 'instances' list. JSON object: {describe(row)} keys must "
                f"be equal to: {','.join(sorted(kinds))}"
            )


def _check(
    name: str,
    value: Any,
    kinds: Mapping[str, int],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    """Checks a value, also against the first of its name."""
    if name not in kinds:
        raise invalid(f"JSON object: does not have named input: {name}")
    array = to_array(value, kinds[name])
    shape = shapes.setdefault(name, array.shape)
    size = int(np.prod(shape, dtype=np.int64))
    if array.size != size:
        raise invalid(f"Expecting tensor size: {size} but got: {array.size}")
    if array.shape != shape:
        wanted, got = ("[" + ",".join(map(str, x)) + "]" for x in (shape, array.shape))
        raise invalid(f"Expecting shape {wanted} but got: {got}")
