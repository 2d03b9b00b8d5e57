"""The body of a predict request becomes arrays: `instances` (rows) or `inputs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eigenfit_serving.server.json_values import (
    invalid,
    is_base64,
    shape_of,
    to_array,
    to_rows,
)
from eigenfit_serving.server.json_words import describe
from eigenfit_serving.server.status import Code, ServingError

_BOTH = (
    "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to "
    "exist "
)


@dataclass(frozen=True)
class PredictInputs:
    """What a predict request asks for.

    Attributes:
        arrays: By name of the input.
        by_row: Whether it was `instances`, and the answer is `predictions`.
    """

    arrays: dict[str, np.ndarray]
    by_row: bool


def signature_name_of(document: Mapping[str, Any]) -> str:
    """Reads `signature_name`, which may be missing.

    Raises:
        ServingError: It is not a string.
    """
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
    check_rows: Callable[[int], None] = lambda rows: None,
) -> PredictInputs:
    """Converts the tensors of a request.

    Args:
        document: Its body.
        kinds: Number in `DataType` by name, of the inputs of the signature.
        signature_name: As asked for.
        check_rows: Raises if there are too many, before any is converted.

    Raises:
        ServingError: With TensorFlow Serving's texts.
    """
    if not kinds:
        name = signature_name or "DEFAULT"
        raise invalid(f"Failed to get input map for signature: {name}")
    if "instances" in document:
        if "inputs" in document:
            raise invalid(f"JSON Value: {describe(document)} {_BOTH}")
        rows = document["instances"]
        if not isinstance(rows, list):
            raise invalid(
                f"JSON Value: {describe(document)} Expecting 'instances' to be an "
                "list/array"
            )
        if not rows:
            raise invalid(
                f"JSON Value: {describe(document)} No values in 'instances' array"
            )
        check_rows(len(rows))
        return PredictInputs(_from_rows(rows, kinds), by_row=True)
    if "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    return PredictInputs(_from_columns(document["inputs"], kinds), by_row=False)


def _from_columns(value: Any, kinds: Mapping[str, int]) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or is_base64(value):
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
    if _is_named(rows[0]):
        arrays = _named_rows_at_once(rows, kinds)
    else:
        arrays = _plain_rows_at_once(rows, kinds)
    return arrays or _Rows(kinds).convert(rows)


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not is_base64(row)


def _plain_rows_at_once(
    rows: list[Any], kinds: Mapping[str, int]
) -> dict[str, np.ndarray] | None:
    name = min(kinds)
    array = to_rows(rows, kinds[name])
    return None if array is None else {name: array}


def _named_rows_at_once(
    rows: list[Any], kinds: Mapping[str, int]
) -> dict[str, np.ndarray] | None:
    if set(map(type, rows)) - {dict} or set(map(len, rows)) - {len(kinds)}:
        return None
    arrays = {}
    for name, kind in kinds.items():
        try:
            column = [row[name] for row in rows]
        except KeyError:
            return None
        array = to_rows(column, kind)
        if array is None:
            return None
        arrays[name] = array
    return arrays


class _Rows:
    """Converts instance by instance, and says which of them does not fit."""

    def __init__(self, kinds: Mapping[str, int]) -> None:
        self._kinds = kinds
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._columns: dict[str, list[np.ndarray]] = {name: [] for name in kinds}

    def convert(self, rows: list[Any]) -> dict[str, np.ndarray]:
        named = _is_named(rows[0])
        for index, row in enumerate(rows):
            if named:
                self._add_object(index, row)
            else:
                self._add_value(index, row)
        return {
            name: np.stack(column) for name, column in self._columns.items() if column
        }

    def _add_object(self, index: int, row: Any) -> None:
        if not _is_named(row):
            raise invalid(
                f"Expecting object but got list at item {index} of input list"
            )
        for name, value in row.items():
            try:
                self._add(name, value)
            except ServingError as error:
                raise invalid(
                    f"Failed to process element: {index} key: {name} of 'instances' "
                    f"list. Error: {_with_code(error)}"
                ) from None
        if len(row) != len(self._kinds):
            keys = ",".join(sorted(self._kinds))
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object: "
                f"{describe(row)} keys must be equal to: {keys}"
            )

    def _add_value(self, index: int, row: Any) -> None:
        if _is_named(row):
            raise invalid(
                f"Expecting value/list but got object at item {index} of input list"
            )
        try:
            self._add(min(self._kinds), row)
        except ServingError as error:
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. Error: "
                f"{_with_code(error)}"
            ) from None

    def _add(self, name: str, value: Any) -> None:
        if name not in self._kinds:
            raise invalid(f"JSON object: does not have named input: {name}")
        array = to_array(value, self._kinds[name])
        shape = self._shapes.setdefault(name, shape_of(value))
        size = int(np.prod(shape, dtype=np.int64))
        if array.size != size:
            raise invalid(f"Expecting tensor size: {size} but got: {array.size}")
        if array.shape != shape:
            wanted, got = _bracketed(shape), _bracketed(array.shape)
            raise invalid(f"Expecting shape {wanted} but got: {got}")
        self._columns[name].append(array)


def _bracketed(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _with_code(error: ServingError) -> str:
    return f"{Code(error.code).name}: {error.message}"
