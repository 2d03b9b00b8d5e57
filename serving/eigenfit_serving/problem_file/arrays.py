"""Arrays of numbers in a problem file, checked entry by entry.

An array is written in nested lists, or read from a file beside the problem file:
`{file = "K.mtx"}`, `{file = "data.npz", key = "K"}`. A file may also stand for a part
of it: `[{file = "K0.mtx"}, {file = "K1.mtx"}]`. Where complex numbers are allowed, they
are written in quotes, "1+2j", or as `{real = ..., imag = ...}`, each an array.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationInfo
from pydantic_core import core_schema

from eigenfit_serving.errors import BadValue
from eigenfit_serving.problem_file.data_files import (
    LARGEST,
    Key,
    column_names,
    parse_number,
    read_numbers,
)


@dataclass(frozen=True)
class ArrayOf:
    """Annotates a field of a section as an array of numbers; see `array_of`."""

    ranks: tuple[int, ...]
    kind: str = "real"  # or "complex" or "integer"
    as_list: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Validates by `self.check`."""
        del source, handler
        return core_schema.with_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Marks the place for `schema.problem_schema`."""
        del schema, handler
        return {"anyOf": [mark(f"{self.kind}_{rank}") for rank in self.ranks]}

    def check(self, value: Any, info: ValidationInfo) -> Any:
        """Converts a value of the file; raises `BadValue` naming the entry."""
        folder = (info.context or {}).get("folder", Path())
        array = _Reader(self.kind, folder).read(value, "", self.ranks)
        if array.ndim not in self.ranks:
            wanted = " or ".join(_wanted(self.kind, rank) for rank in self.ranks)
            raise BadValue(f"must be {wanted}.", value=value)
        return array.tolist() if self.as_list else array


def array_of(*ranks: int) -> ArrayOf:
    """Annotates a field as a float64 array, its nesting as deep as one of `ranks`."""
    return ArrayOf(ranks)


def complex_array_of(*ranks: int) -> ArrayOf:
    """Annotates a field as a float64 or complex128 array; see `array_of`."""
    return ArrayOf(ranks, "complex")


def integers_of(*ranks: int) -> ArrayOf:
    """Annotates a field as an int64 array; see `array_of`."""
    return ArrayOf(ranks, "integer")


def list_of_integers() -> ArrayOf:
    """Annotates a field as a list of integers; see `array_of`."""
    return ArrayOf((1,), "integer", as_list=True)


def mark(name: str) -> dict[str, str]:
    """Marks a place of a JSON Schema that `schema.problem_schema` describes."""
    return {"eigenfit": name}


@dataclass(frozen=True)
class _Reader:
    kind: str
    folder: Path

    def read(self, value: Any, key: str, ranks: tuple[int, ...]) -> np.ndarray:
        if isinstance(value, dict):
            return self._from_table(value, key, ranks)
        if isinstance(value, np.ndarray):
            return self._checked(value, key)
        if not isinstance(value, list):
            return self._number(value, key)
        if not value:
            raise BadValue("must not be empty.", key, value)
        if self.kind == "real" and all(type(x) in (int, float) for x in value):
            # The same result, faster.
            with contextlib.suppress(OverflowError):
                array = np.array(value, np.float64)
                if np.isfinite(array).all():
                    return array
        inner = tuple(rank - 1 for rank in ranks)
        first, *rest = [
            self.read(entry, f"{key}[{i}]", inner) for i, entry in enumerate(value)
        ]
        for i, array in enumerate(rest, start=1):
            if array.shape != first.shape:
                raise BadValue(
                    f"has shape {list(array.shape)}, but {key}[0] has "
                    f"{list(first.shape)}. Make all rows equally long.",
                    f"{key}[{i}]",
                    value[i],
                )
        return np.array([first, *rest])

    def _from_table(
        self, table: dict[str, Any], key: str, ranks: tuple[int, ...]
    ) -> np.ndarray:
        if self.kind == "complex" and set(table) == {"real", "imag"}:
            parts = _Reader("real", self.folder)
            real = parts.read(table["real"], f"{key}.real", ranks)
            imag = parts.read(table["imag"], f"{key}.imag", ranks)
            if real.shape != imag.shape:
                raise BadValue(
                    f"has shape {list(imag.shape)}, but real has {list(real.shape)}. "
                    f"Give both the same.",
                    f"{key}.imag",
                )
            return real + 1j * imag
        with data_file(table, key, self.folder, self.kind == "complex") as (path, name):
            array = read_numbers(path, name)
            if array.ndim == 2 and max(ranks) == 1 and 1 not in array.shape:
                raise _no_list(array, path)
        if array.ndim == 2 and 1 in ranks and 1 in array.shape:
            # Text files hold only rows: a single column is a vector.
            is_column = array.shape[1] == 1 and path.suffix.lower() in (".csv", ".mtx")
            if is_column or 2 not in ranks:
                array = array.ravel()
        if array.ndim == 2 and ranks == (3,):
            array = array[np.newaxis]  # a list of one matrix
        try:
            return self._checked(array, "")
        except BadValue as error:
            what = f" {error.value}" if error.value is not None else " numbers"
            where = f" at {error.key}" if error.key else ""
            text = f"holds{what}{where}, which {error}"
            raise BadValue(text, f"{key}.file", table["file"]) from None

    def _checked(self, array: np.ndarray, key: str) -> np.ndarray:
        if array.size > LARGEST or not array.size:
            raise BadValue(
                f"has {array.size} numbers. Give at least one and at most {LARGEST}.",
                key,
            )
        allowed = {"real": "iuf", "complex": "iufc", "integer": "iuf"}[self.kind]
        if array.dtype.kind not in allowed:
            raise BadValue(
                f"must be {_wanted(self.kind, array.ndim)}, without complex numbers.",
                key,
                array.dtype.name,
            )
        bad = ~np.isfinite(array)
        text = "must be finite."
        if self.kind == "integer" and not bad.any():
            bad = (array != np.round(array)) | (np.abs(array) >= 2**53)
            text = "must be an integer."
        if bad.any():
            where = tuple(np.argwhere(bad)[0])
            entry = "".join(f"[{k}]" for k in where)
            raise BadValue(text, key + entry, array[where].item())
        wanted = np.complex128 if array.dtype.kind == "c" else np.float64
        return array.astype(np.int64 if self.kind == "integer" else wanted)

    def _number(self, value: Any, key: str) -> np.ndarray:
        number: Any = value
        if isinstance(value, str) and self.kind == "complex":
            try:
                number = parse_number(value)
            except ValueError:
                number = None
        kinds = (int,) if self.kind == "integer" else (int, float, complex)
        if isinstance(number, bool) or not isinstance(number, kinds):
            raise BadValue(f"must be {_wanted(self.kind, 0)}.", key, value)
        try:
            finite = math.isfinite(abs(number))
        except OverflowError:  # an integer beyond the range of float64
            finite = False
        if not finite:
            raise BadValue("must be finite.", key, value)
        if self.kind == "integer":
            if abs(number) >= 2**53:
                raise BadValue("must be below 2^53 in size.", key, value)
            return np.asarray(number, np.int64)
        is_complex = isinstance(number, complex)
        return np.asarray(number, np.complex128 if is_complex else np.float64)


@contextlib.contextmanager
def data_file(
    table: dict[str, Any], key: str, folder: Path, parts: bool = False
) -> Iterator[tuple[Path, Key]]:
    """Checks `{file = ..., key = ...}`, and locates errors of reading the file.

    Args:
        table: The table as written.
        key: Key of the table, for messages.
        folder: Folder that paths are relative to.
        parts: Whether `{real = ..., imag = ...}` is allowed too, for messages.

    Yields:
        Path and key, to be read inside the context: a `BadValue` raised there is
        given the place of the table.

    Raises:
        BadValue: If the table is something else, or reading fails.
    """
    for name in table:
        if name not in ("file", "key"):
            also = ", or of both real and imag" if parts else ""
            raise BadValue(
                f"is not a known key. A table here is made of file and key{also}.",
                f"{key}.{name}",
            )
    file, name = table.get("file"), table.get("key")
    if not isinstance(file, str) or not file:
        raise BadValue(
            'must be the path of a data file in quotes, e.g. {file = "K.mtx"}.',
            f"{key}.file",
            file,
        )
    names = name if isinstance(name, list) else [name]
    if name is not None and not (names and all(isinstance(x, str) for x in names)):
        raise BadValue(
            'must be a name in quotes, e.g. {file = "data.npz", key = "K"}.',
            f"{key}.key",
            name,
        )
    try:
        yield folder / file, name
    except BadValue as error:
        if error.key == ".file":
            error.value = file
        error.key = key + error.key
        raise


def _no_list(array: np.ndarray, path: Path) -> BadValue:
    """Makes the error of a file that holds a matrix where a list is wanted."""
    rows, columns = array.shape
    if path.suffix.lower() != ".csv":
        text = f"holds a matrix of {rows} rows and {columns} columns. Give a list."
        return BadValue(text, ".file")
    names = column_names(path)
    if names is None:
        text = (
            f"has {columns} columns without names, but one is wanted. Write their "
            f"names in the first line, and choose one with key."
        )
        return BadValue(text, ".file")
    listed = ", ".join(names)
    text = f'has the columns {listed}. Choose one with key, e.g. key = "{names[0]}".'
    return BadValue(text, ".file")


def _wanted(kind: str, rank: int) -> str:
    """Describes what is wanted, with an example."""
    if rank == 0:
        return {
            "real": "a number",
            "integer": "an integer",
            "complex": 'a number, or a complex one in quotes, e.g. "1+2j"',
        }[kind]
    if kind == "integer":
        return {
            1: "a list of integers, e.g. [0, -1]",
            2: "a list of rows of integers, e.g. [[0, 1], [1, 2]]",
        }.get(rank, "integers")
    return {
        1: "a list of numbers, e.g. [1.0, 2.0]",
        2: "a list of rows of numbers, e.g. [[1.0, 0.5], [0.5, 2.0]]",
        3: "a list of matrices, e.g. [[[1.0, 0.0], [0.0, 1.0]]]",
        4: "a list of lists of matrices, e.g. [[[[1.0]], [[0.5]]]]",
    }.get(rank, "numbers")
