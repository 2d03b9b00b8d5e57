"""The columns of an input table, checked before any work.

`id` is any scalar and is kept as it is; several rows may have the same. `targets` is a
list of m numbers. Optional are `initial`, a list of p numbers, where the fit starts
(where it is null or missing a start is drawn), `tolerance` and `max_steps`, numbers (a
fit makes no more steps than the limit with which its model was exported), and
`weights`, a list of m positive numbers, which needs a problem file. Other columns are
not read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigenfit_serving.batch.tables.arrow import compute
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

LISTS = ("targets", "initial", "weights")
NUMBERS = ("tolerance", "max_steps")
REQUIRED = ("id", "targets")
COLUMNS = (*REQUIRED, "initial", *NUMBERS, "weights")
FAULT = "what is wrong with the row"
"""A column that readers of text add: a text where a row could not be read."""

_HELP = (
    "Columns are id, targets (a list of numbers) and, where wanted, initial (a list), "
    "tolerance, max_steps (numbers) and weights (a list)."
)


def check_columns(schema: pa.Schema, path: Path, *, weights: bool) -> pa.DataType:
    """Checks names and types of columns.

    Args:
        schema: Of a file.
        path: Of it, for messages.
        weights: Whether rows may have weights of their own.

    Returns:
        The type of the ids, as they are written.

    Raises:
        InputError: Naming all columns that are missing or of a wrong type.
    """
    found = []
    for name in REQUIRED:
        if name not in schema.names:
            found.append(f"column {name} is missing")
    for name in COLUMNS:
        number = schema.names.count(name)
        if number > 1:
            found.append(f"column {name} is there {number} times")
        if number != 1:
            continue
        kind = schema.field(name).type
        check, wanted = _CHECKS.get(name, (_is_scalar, "numbers or texts"))
        if not check(kind):
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
    """Gives the type that ids have in the output.

    Texts and bytes are written as the types that all formats know, whatever their
    layout in memory; values of dictionaries are written out.

    Args:
        kind: In the input.

    Example:
        >>> import pyarrow as pa
        >>> written_type(pa.dictionary(pa.int8(), pa.large_string()))
        DataType(string)
    """
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return written_type(kind.value_type)
    if kind in (pa.large_string(), pa.string_view()):
        return pa.string()
    return pa.binary() if kind in (pa.large_binary(), pa.binary_view()) else kind


def rows_schema(names: Collection[str], id_type: pa.DataType) -> pa.Schema:
    """Gives the one form that rows of all files are brought into.

    Args:
        names: Of the columns that are there; others are left out.
        id_type: Of the ids, as they are written.

    Example:
        >>> import pyarrow as pa
        >>> rows_schema(["note", "targets", "id"], pa.string()).names
        ['id', 'targets']
    """
    import pyarrow as pa

    kinds = {
        "id": id_type,
        **dict.fromkeys(LISTS, pa.list_(pa.float64())),
        **dict.fromkeys(NUMBERS, pa.float64()),
        FAULT: pa.string(),
    }
    return pa.schema([(k, kinds[k]) for k in (*COLUMNS, FAULT) if k in names])


def normalised(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Brings rows into the form of `rows_schema`; columns that are missing are null."""
    import pyarrow as pa

    columns: list[Any] = []
    for field in schema:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        if isinstance(column, pa.DictionaryArray):
            # Not all layouts can be taken from a dictionary.
            column = column.dictionary.cast(field.type).take(column.indices)
        columns.append(compute().cast(column, field.type, safe=False))
    return pa.record_batch(columns, schema=schema)


def _is_number(kind: pa.DataType) -> bool:
    from pyarrow import types

    checks = (types.is_integer, types.is_floating, types.is_decimal, types.is_null)
    return any(check(kind) for check in checks)


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    is_list = any(check(kind) for check in checks)
    return _is_number(kind.value_type) if is_list else types.is_null(kind)


def _is_scalar(kind: pa.DataType) -> bool:
    from pyarrow import types

    return not (types.is_nested(kind) or types.is_null(kind))


_CHECKS: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
    **dict.fromkeys(LISTS, (_is_list, "a list of numbers")),
    **dict.fromkeys(NUMBERS, (_is_number, "numbers")),
}
