"""Reports as files: text, a page for browsers, a table, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from eigenfit.reports import html
from eigenfit.reports.documents import data_rows, document, parameter_rows
from eigenfit.reports.record import Record
from eigenfit.reports.text import report_text


def _csv(record: Record) -> str:
    """Lists parameters and data below each other, with all digits."""
    rows = [
        {
            "kind": "parameter",
            "name": row["name"],
            "unit": "",
            "value": row["value"],
            "error": row["standard_error"],
            "start_or_target": row["start"],
            "note": row["note"],
        }
        for row in parameter_rows(record)
    ]
    rows += [
        {
            "kind": "datum",
            "name": row["name"],
            "unit": row["unit"],
            "value": row["calculated"],
            "error": row["sigma"],
            "start_or_target": row["target"],
            "note": row["flag"],
        }
        for row in data_rows(record)
    ]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def _json(record: Record) -> str:
    text = json.dumps(document(record), allow_nan=False, ensure_ascii=False, indent=1)
    return text + "\n"


WRITERS: dict[str, Callable[[Record], str]] = {
    ".txt": lambda record: report_text(record) + "\n",
    ".html": html.page,
    ".csv": _csv,
    ".json": _json,
}
"""What makes the text of a file, by its suffix."""


def write(record: Record, path: Path) -> None:
    """Writes the report of a fit; the suffix of the file sets its form.

    Args:
        record: The fit.
        path: File to write: .txt, .html, .csv or .json.

    Raises:
        ValueError: If the suffix is another one.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"`path` must end in {', '.join(WRITERS)}, got {path.name!r}.")
    path.write_text(WRITERS[suffix](record), encoding="utf-8")
