"""Numbers from files beside the problem file: .csv, .npy, .npz and Matrix Market."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eigenfit_serving.errors import BadValue

SUFFIXES = (".csv", ".mtx", ".npy", ".npz")
LARGEST = 2**27
"""Most numbers that an array of a file may hold: 1 GiB in float64."""

Key = str | list[str] | None


def read_numbers(path: Path, key: Key) -> np.ndarray:
    """Reads an array of real or complex numbers.

    Args:
        path: Path of the file; its suffix sets the format.
        key: Name of the array in a .npz file, or of one or several columns in a .csv
            file with a header; None for the only array, or for all columns.

    Returns:
        The array as it is in the file; two-dimensional from .csv and .mtx.

    Raises:
        BadValue: If the file cannot be read or holds something else; its key is
            ".file" (its value is up to the caller) or ".key".
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise BadValue(
            f"must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, which says the "
            f"format. Convert the data to one of them.",
            ".file",
        )
    if key is not None and suffix in (".mtx", ".npy"):
        raise BadValue(
            f"is for .npz and .csv files; a {suffix} file holds one array. Remove it.",
            ".key",
            key,
        )
    if suffix == ".csv":
        return _parsed(read_cells(path, key))
    if isinstance(key, list):
        raise BadValue(
            "must be the name of one array in quotes; lists are for the columns of "
            ".csv files.",
            ".key",
            key,
        )
    with _readable(path):
        array = _matrix_market(path) if suffix == ".mtx" else _numpy(path, key)
    if array.dtype.kind not in "iufc":
        raise BadValue(
            f"holds {array.dtype.name}, not numbers. Save an array of numbers.",
            ".file",
        )
    return array


class Cells(NamedTuple):
    """Cells of a .csv file as text."""

    rows: list[list[str]]
    names: list[str] | None  # names of the columns, if there is a header
    lines: list[int]  # number of each row's line in the file, from 1

    def place(self, i: int, j: int) -> str:
        """Describes where a cell stands: line, column and name."""
        name = f' ("{self.names[j]}")' if self.names else ""
        return f"line {self.lines[i]}, column {j + 1}{name}"


def read_cells(path: Path, key: Key) -> Cells:
    """Reads the cells of a .csv file as text; see `read_numbers`.

    Columns are separated by commas, semicolons or blanks; lines that begin with "#"
    are comments. The first line is a header if none of its cells is a number.
    """
    with _readable(path):
        text = path.read_text(encoding="utf-8-sig").splitlines()
    found = list(_rows(text))
    lines, rows = [i for i, _ in found], [row for _, row in found]
    header = None
    if rows and not any(_is_number(cell) for cell in rows[0]):
        header = rows[0]
        lines, rows = lines[1:], rows[1:]
    if not rows:
        raise BadValue("holds no numbers. Write them in lines.", ".file")
    wanted = len(rows[0]) if header is None else len(header)
    for number, row in zip(lines, rows, strict=True):
        if len(row) != wanted:
            first = "the first one" if header is None else "its header"
            raise BadValue(
                f"has {len(row)} cells in line {number}, but {wanted} in {first}. Make "
                f"all lines equally long.",
                ".file",
            )
    if key is None:
        return Cells(rows, header, lines)
    columns = [_column(name, header, path) for name in np.atleast_1d(key).tolist()]
    names = None if header is None else [header[column] for column in columns]
    return Cells([[row[k] for k in columns] for row in rows], names, lines)


def column_names(path: Path) -> list[str] | None:
    """Returns the names of the columns of a .csv file; None without a header."""
    return read_cells(path, None).names


def _column(name: str, header: list[str] | None, path: Path) -> int:
    if header is None:
        raise BadValue(
            f"names a column, but {path.name} has no header. Remove it, or write the "
            f"names of the columns in the first line.",
            ".key",
            name,
        )
    if name not in header:
        raise BadValue(
            f"is no column of {path.name}. It has: {', '.join(header)}.", ".key", name
        )
    return header.index(name)


def _rows(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    kept = [
        (i, line)
        for i, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    text = "".join(line for _, line in kept)
    delimiter = next((mark for mark in (";", ",") if mark in text), None)
    for i, line in kept:
        if delimiter is None:
            yield i, line.split()
        else:
            cells = next(csv.reader([line], delimiter=delimiter))
            yield i, [cell.strip() for cell in cells]


def parse_number(text: str) -> float | complex:
    """Parses a real or a complex number, the latter with j or i: "1.5-2j".

    Raises:
        ValueError: If the text is neither.

    Example:
        >>> parse_number("2.5"), parse_number("1 - 2i")
        (2.5, (1-2j))
    """
    text = text.strip()
    try:
        return float(text)
    except ValueError:
        if not any(map(str.isdigit, text)):
            raise  # "J" names a column
        return complex(text.replace(" ", "").replace("i", "j"))


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


def _parsed(cells: Cells) -> np.ndarray:
    values = []
    for i, row in enumerate(cells.rows):
        for j, cell in enumerate(row):
            try:
                values.append(parse_number(cell))
            except ValueError:
                raise BadValue(
                    f'holds "{cell}" in {cells.place(i, j)}, which is not a number '
                    f"(decimals have a point). Correct it, or choose columns with key.",
                    ".file",
                ) from None
    return np.array(values).reshape(len(cells.rows), -1)


def _numpy(path: Path, key: str | None) -> np.ndarray:
    content: Any = np.load(path, allow_pickle=False)
    if isinstance(content, np.ndarray):
        return content
    with content:
        names = list(content.files)
        if key is None and len(names) == 1:
            return content[names[0]]
        if key is None and {"format", "shape", "data"} <= set(names):
            return _sparse(path, content["shape"])
        if key is None:
            raise BadValue(
                f"holds several arrays: {', '.join(names)}. Choose one with key.",
                ".file",
            )
        if key not in names:
            raise BadValue(
                f"is no array of {path.name}. It has: {', '.join(names)}.", ".key", key
            )
        return content[key]


def _matrix_market(path: Path) -> np.ndarray:
    import scipy.io

    _check_size(*scipy.io.mminfo(path)[:2])
    content: Any = scipy.io.mmread(path)
    return content if isinstance(content, np.ndarray) else content.toarray()


def _sparse(path: Path, shape: np.ndarray) -> np.ndarray:
    """Reads what `scipy.sparse.save_npz` wrote."""
    import scipy.sparse

    _check_size(*map(int, shape))
    return scipy.sparse.load_npz(path).toarray()


def _check_size(rows: int, columns: int = 1) -> None:
    if rows * columns > LARGEST:
        raise BadValue(
            f"holds a matrix of {rows} rows and {columns} columns. eigenfit works with "
            f"dense matrices: give a smaller one.",
            ".file",
        )


class _readable:  # noqa: N801  (used like a function)
    """Reports what goes wrong while reading a file as a `BadValue`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        path = self._path
        if error is None or isinstance(error, BadValue):
            return
        if isinstance(error, FileNotFoundError):
            text = "there is no such file. Give its path from the problem file."
        elif isinstance(error, UnicodeDecodeError):
            text = "is not UTF-8 text. Save it as such."
        elif isinstance(error, OSError) and error.strerror:
            text = f"cannot be read ({error.strerror}). Give another file."
        elif isinstance(error, (ValueError, OSError, EOFError, zipfile.BadZipFile)):
            reason = str(error).splitlines()[0].rstrip(".") if str(error) else "empty"
            text = f"is not a {path.suffix} file ({reason}). Save it again."
        else:
            return
        raise BadValue(text, ".file") from None
