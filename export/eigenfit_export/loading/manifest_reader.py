"""Reads the manifests of exports; needs no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import Any

from eigenfit_export.versions import is_version

MANIFEST = PurePath("assets.extra", "eigenfit.json")
"""Path of the manifest in the folder of a version."""

FORMAT = 2
"""Format of the manifest; readers refuse a higher one, and `verify` a lower one."""


def newest_version(path: Path) -> Path | None:
    """Finds the newest version of a model; None if there is none.

    Args:
        path: Folder of the model, or of a version, which is then the answer.

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
    versions = [x for x in path.iterdir() if is_version(x)]
    found = [x for x in versions if (x / "saved_model.pb").is_file()]
    return max(found, key=lambda x: int(x.name), default=None)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a version.

    Raises:
        FileNotFoundError: If the folder has none.
        ValueError: If the manifest is damaged, or of a later format.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        number = content["format"]
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Export again.") from None
    if number > FORMAT:
        raise ValueError(
            f"{path} is of format {number}; this eigenfit reads up to {FORMAT}. "
            f"Install a newer one."
        )
    return content
