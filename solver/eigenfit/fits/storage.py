"""Files of fits: one zip archive of arrays (.npy) and a text (JSON), without pickle.

Every array of the fit is kept bit for bit, so are its errors; the problem itself, which
may hold functions, is not. `numpy.load` opens such a file as well.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit.analysis.uncertainty import Uncertainty
from eigenfit.reports.record import Question

FORMAT = 1
"""Number of the format; files of a higher one are refused."""

_NAME = "eigenfit fit"
_TEXT = "fit"  # name of the array that holds the JSON text

Arrays = dict[str, np.ndarray]


def write(
    path: str | os.PathLike[str],
    arrays: Arrays,
    question: Question,
    errors: Uncertainty | None,
    text: dict[str, Any],
) -> None:
    """Writes a file, replacing one that exists only when it is complete.

    Args:
        path: File to write.
        arrays: Arrays by name.
        question: What was asked.
        errors: Errors of all members; None if they were not computed.
        text: Further JSON values by name.
    """
    path = Path(path)
    content: dict[str, Any] = {"name": _NAME, "format": FORMAT, **text}
    stored = dict(arrays)
    content["question"] = _taken_apart(question, "question", stored)
    if errors is not None:
        content["errors"] = _taken_apart(errors, "errors", stored)
    stored[_TEXT] = np.array(json.dumps(content))
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            np.savez_compressed(file, **stored)  # type: ignore[arg-type]
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read(
    path: str | os.PathLike[str],
) -> tuple[Arrays, Question, Uncertainty | None, dict[str, Any]]:
    """Reads what `write` wrote.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, of a later format, or damaged.
    """
    try:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        content = json.loads(str(arrays.pop(_TEXT)))
        if content["name"] != _NAME:
            raise KeyError("name")
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError, OSError):
        raise ValueError(
            f"{path} is not a fit that eigenfit saved, or it is damaged. Save one with "
            f"`fit.save(path)`."
        ) from None
    if content["format"] > FORMAT:
        raise ValueError(
            f"{path} is of format {content['format']}; this eigenfit reads up to "
            f"{FORMAT}. Install a newer one."
        )
    try:
        question = _put_together(Question, content["question"], "question", arrays)
        errors = None
        if "errors" in content:
            errors = _put_together(Uncertainty, content["errors"], "errors", arrays)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged. Save the fit again.") from None
    return arrays, question, errors, content


def _taken_apart(value: Any, prefix: str, arrays: Arrays) -> dict[str, Any]:
    # The fields of a dataclass as JSON values; arrays are stored beside them.
    content = {}
    for field in fields(value):
        own = getattr(value, field.name)
        if isinstance(own, (np.ndarray, np.generic)):
            arrays[f"{prefix}.{field.name}"] = np.asarray(own)
        elif field.name == "parts":
            content[field.name] = [[part.start, part.stop] for part in own]
        else:
            content[field.name] = own
    return content


def _put_together(
    kind: Any, content: dict[str, Any], prefix: str, arrays: Arrays
) -> Any:
    values = {}
    for field in fields(kind):
        key = f"{prefix}.{field.name}"
        if key not in arrays and field.name not in content:
            if field.default is MISSING:
                raise KeyError(field.name)
            continue  # an older file
        own = arrays.pop(key) if key in arrays else content[field.name]
        if field.name == "parts":
            own = tuple(slice(*ends) for ends in own)
        elif isinstance(own, list):
            own = tuple(own)
        values[field.name] = own
    return kind(**values)
