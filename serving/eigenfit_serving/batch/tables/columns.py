"""The columns of an input table, checked before any work.

`id` is any scalar, is kept as it is, and need not be unique. `targets` is a list of m
numbers. Optional are `initial`, a list of p numbers, where the fit starts (if it is
null or missing, the fit begins at the model's start or a random one), `tolerance` and
`max_steps`, numbers (a fit takes no more steps than the limit with which its model was
exported), and `weights`, a list of m positive numbers, which needs a problem file.
Other columns are not read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import types

from eigenfit_serving.errors import InputError

LISTS = ("targets", "initial", "weights")
NUMBERS = ("tolerance", "max_steps")
REQUIRED = ("id", "targets")
COLUMNS = (*REQUIRED, "initial", *NUMBERS, "weights")
FAULT = "what is wrong with the row"
"""A column that readers of text add: an error text where a row could not be read."""

_HELP = (
    "Columns are id, targets (a list of numbers) and, where wanted, initial (a list), "
    "tolerance, max_steps (numbers) and weights (a list)."
)


def check_columns(schema: pa.Schema, path: Path, *, weights: bool) -> pa.DataType:
    """Checks the columns of a file; returns the type of its ids, as they are written.

    Rows may have `weights` of their own where the model is made for the run.

    Raises:
        InputError: If columns are missing or of a wrong type; names all of them.
    """
    found = [f"column {x} is missing" for x in REQUIRED if x not in schema.names]
    for name in COLUMNS:
        number = schema.names.count(name)
        if number > 1:
            found.append(f"column {name} is there {number} times")
        elif number == 1 and (wanted := _wanted(name, kind := schema.field(name).type)):
            found.append(f"column {name} is {kind}, must be {wanted}")
    if "weights" in schema.names and not weights:
        found.append(
            "column weights: an exported model has its weights built in; give the "
            "problem file in its place, or leave the column out"
        )
    if found:
        raise InputError(f"INPUT = {path}: {'; '.join(found)}. {_HELP}")
    return written_type(schema.field("id").type)


def written_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type in which ids of a type are written.

    Strings and bytes are written as the types that all formats know, whatever their
    layout in memory; dictionaries are decoded.

    Example:
        >>> written_type(pa.dictionary(pa.int8(), pa.large_string()))
        DataType(string)
    """
    if types.is_dictionary(kind):
        return written_type(kind.value_type)
    if kind in (pa.large_string(), pa.string_view()):
        return pa.string()
    return pa.binary() if kind in (pa.large_binary(), pa.binary_view()) else kind


def rows_schema(names: Collection[str], id_type: pa.DataType) -> pa.Schema:
    """Returns the one schema that the rows of files with these columns get.

    Example:
        >>> rows_schema(["note", "targets", "id"], pa.string()).names
        ['id', 'targets']
    """
    kinds = {
        "id": id_type,
        **dict.fromkeys(LISTS, pa.list_(pa.float64())),
        **dict.fromkeys(NUMBERS, pa.float64()),
        FAULT: pa.string(),
    }
    return pa.schema([(k, kinds[k]) for k in (*COLUMNS, FAULT) if k in names])


def normalised(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Converts rows to the schema of `rows_schema`; missing columns become null."""
    columns: list[Any] = []
    for field in schema:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        if isinstance(column, pa.DictionaryArray):
            # Arrow cannot decode every layout of dictionary: cast its values first.
            column = column.dictionary.cast(field.type).take(column.indices)
        columns.append(column.cast(field.type, safe=False))
    return pa.record_batch(columns, schema=schema)


def _wanted(name: str, kind: pa.DataType) -> str:
    # What the type of a column must be, if it is another.
    if name in LISTS:
        lists = (pa.ListType, pa.LargeListType, pa.FixedSizeListType)
        inner = kind.value_type if isinstance(kind, lists) else None
        good = _is_number(inner) if inner else types.is_null(kind)
        return "" if good else "a list of numbers"
    if name in NUMBERS:
        return "" if _is_number(kind) else "numbers"
    return "numbers or texts" if types.is_nested(kind) or types.is_null(kind) else ""


def _is_number(kind: pa.DataType) -> bool:
    checks = (types.is_integer, types.is_floating, types.is_decimal, types.is_null)
    return any(check(kind) for check in checks)
