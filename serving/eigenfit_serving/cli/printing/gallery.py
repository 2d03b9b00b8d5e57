"""The table of the gallery, which is printed without loading TensorFlow.

`gallery.json` beside this file holds it; `table_text` regenerates its content.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    from eigenfit.gallery import GalleryProblem

TABLE_FILE = Path(__file__).with_name("gallery.json")


def table() -> list[dict[str, Any]]:
    """Reads the table: for each entry what `describe` returns.

    Example:
        >>> table()[0]["title"]
        'The identity matrix from its eigenvalues'
    """
    listed = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    return [{k: v for k, v in entry.items() if k != "aliases"} for entry in listed]


def describe(entry: GalleryProblem) -> dict[str, Any]:
    """Describes an entry for programs: JSON values only.

    Returns:
        `name`, `title`, `order` (of the largest matrix), `unknowns` and `targets` (how
        many) and `source`.
    """
    return {
        "name": entry.name,
        "title": entry.title,
        "order": entry.problem.order,
        "unknowns": entry.problem.num_parameters,
        "targets": len(entry.targets),
        "source": entry.source,
    }


def table_text() -> str:
    """Writes the table from the entries; imports TensorFlow."""
    from eigenfit import gallery

    entries = [
        {**describe(gallery.load(name)), "aliases": gallery.aliases(name)}
        for name in gallery.names()
    ]
    return json.dumps(entries, ensure_ascii=False, indent=1) + "\n"


def canonical(name: str) -> str:
    """Finds the name of an entry as `eigenfit.gallery.canonical` does.

    Raises:
        InputError: If there is no such entry; near names are listed.

    Example:
        >>> canonical("t3")
        'rotational-h2coh+'
    """
    listed = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    known = {entry["name"].lower(): entry["name"] for entry in listed}
    for entry in listed:
        known |= {alias.lower(): entry["name"] for alias in entry["aliases"]}
    wanted = name.strip().lower()
    if wanted in known:
        return known[wanted]
    close = [key for key in known if wanted and wanted in key]
    close += difflib.get_close_matches(wanted, known, n=4, cutoff=0.5)
    near = list(dict.fromkeys(known[key] for key in close))[:4]
    hint = (
        f"Did you mean {' or '.join(near)}?"
        if near
        else f"Known are {', '.join(entry['name'] for entry in listed)}."
    )
    raise InputError(f"NAME = {name[:48]!r} is not in the gallery. {hint}")
