"""Output files: checked before the work, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from eigenfit_serving.errors import InputError


def check_writable(option: str, path: Path, suffixes: Collection[str]) -> None:
    """Checks that a file can be written, before the work that fills it.

    Args:
        option: Option named in messages, e.g. "--output".
        path: Path of the file, which may exist.
        suffixes: Allowed suffixes in lower case, e.g. ".json".

    Raises:
        InputError: If it cannot be written, or its suffix is not allowed.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(
            f"{option} = {path}: the name must end in {' or '.join(suffixes)}, which "
            f"chooses the format."
        )
    try:
        is_folder = path.is_dir()
        if not is_folder:
            temporary = _temporary(path)
            temporary.touch(exist_ok=False)
            temporary.unlink()
    except (OSError, RuntimeError) as error:  # the latter: links in a circle
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{option} = {path}: cannot be written ({reason}). Give a file in a folder "
            f"that exists and that you may write to."
        ) from None
    if is_folder:
        raise InputError(f"{option} = {path}: is a folder. Give the name of a file.")


def check_folder(option: str, path: Path) -> None:
    """Checks that a folder exists or can be made, before the work that fills it.

    Raises:
        InputError: If it cannot be made or written to.
    """
    existing = path.absolute()
    try:
        while not existing.exists():
            existing = existing.parent
        is_folder = existing.is_dir()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{option} = {path}: cannot be written ({reason}). Give another folder."
        ) from None
    if not is_folder:
        raise InputError(
            f"{option} = {path}: {existing} is a file. Give the name of a folder."
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{option} = {path}: you may not write to {existing}. Give another folder."
        )


@contextlib.contextmanager
def replacing(option: str, path: Path) -> Iterator[Path]:
    """Yields a path to write to, and moves the file to `path` on success.

    Readers of `path` see the old file or the new one, never a part of it.

    Raises:
        InputError: If writing fails.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing("--output", target) as path:
        ...     _ = path.write_text("whole")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('whole', 1)
    """
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path.resolve())
    except OSError as error:
        raise InputError(
            f"{option} = {path}: cannot be written ({error.strerror or error}). Give "
            f"another file."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    # In the folder of the file itself, so that the move is a rename; with its suffix,
    # which tells writers the format.
    real = path.resolve()
    return real.with_name(f".{real.stem[:100]}.{os.getpid()}{real.suffix}")
