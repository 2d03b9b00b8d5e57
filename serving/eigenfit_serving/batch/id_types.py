"""What ids of each type are written as."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigenfit_serving.batch.writing import can_hold
from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


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
    if _is_one_of(kind, "is_string", "is_large_string", "is_string_view"):
        return pa.string()
    if _is_one_of(kind, "is_binary", "is_large_binary", "is_binary_view"):
        return pa.binary()
    return kind


def as_written(ids: pa.Array) -> pa.Array:
    """Converts ids to the type that they have in the output."""
    import pyarrow as pa

    if isinstance(ids, pa.DictionaryArray):
        # Not all layouts can be taken from a dictionary.
        values = as_written(ids.dictionary)
        ids = pa.DictionaryArray.from_arrays(ids.indices, values).dictionary_decode()
    kind = written_type(ids.type)
    return ids if ids.type == kind else ids.cast(kind)


def check_ids(kind: pa.DataType, path: Path, output: Path, is_file: bool) -> None:
    """Checks that the output can hold the ids.

    Args:
        kind: Of the ids, as they are written.
        path: Of the input, for messages.
        output: The output.
        is_file: Whether that is a file, not a folder of Parquet files.

    Raises:
        InputError: If it cannot.
    """
    suffix = output.suffix.lower() if is_file else ".parquet"
    if can_hold(kind, suffix):
        return
    format_, remedy = "Parquet, of which all parts of an output are made,", ""
    if can_hold(kind, ".parquet"):
        format_, remedy = (
            f"a {suffix} file",
            ", or give an OUTPUT that ends in .parquet",
        )
    raise InputError(
        f"INPUT = {path}: column id is {kind}, which {format_} cannot hold. Make the "
        f"ids numbers or texts{remedy}."
    )


def _is_one_of(kind: Any, *names: str) -> bool:
    from pyarrow import types

    return any(getattr(types, name)(kind) for name in names)
