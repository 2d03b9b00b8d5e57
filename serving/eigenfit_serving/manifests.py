"""Manifests of exported models, read without TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MANIFEST = Path("assets.extra", "eigenfit.json")
"""In the folder of a version."""


def newest_version(path: Path) -> Path | None:
    """Finds the newest version of a model; None if there is none.

    Args:
        path: Of the model, or of a version, which is itself the answer.

    Example:
        >>> import tempfile
        >>> home = Path(tempfile.mkdtemp())
        >>> for name in ("2", "10"):
        ...     (home / name).mkdir()
        ...     (home / name / "saved_model.pb").touch()
        >>> newest_version(home).name, newest_version(home / "2").name
        ('10', '2')
    """
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        return None
    found = [x for x in path.iterdir() if x.name.isdecimal() and newest_version(x)]
    return max(found, key=lambda x: int(x.name), default=None)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a version.

    Raises:
        OSError: If it has none.
        ValueError: If it is no JSON.
    """
    return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
