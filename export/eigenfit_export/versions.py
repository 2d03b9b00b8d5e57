"""Files and versions that appear whole or not at all, even if the writer is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

STAGING = ".eigenfit-"
"""Prefix of the names of folders that are being written."""


@dataclass
class Draft:
    """A version that is being written.

    Attributes:
        folder: Folder to write to; empty at first.
        version: Folder of the published version; None until then.
    """

    folder: Path
    version: Path | None = None


@contextlib.contextmanager
def new_version(base: Path) -> Iterator[Draft]:
    """Yields an empty folder that becomes the next version if the block succeeds.

    It is filled under a temporary name, synced to disk and renamed, so that whoever
    watches `base` never sees half of it. The next writer removes what a killed one
    left behind.

    Args:
        base: Folder of the versions `1`, `2`, ...; created if missing.

    Yields:
        The draft, whose folder is to be filled.

    Raises:
        OSError: If the folder cannot be written; the reason is in `strerror`.

    Example:
        >>> with tempfile.TemporaryDirectory() as name:
        ...     for text in ("old", "new"):
        ...         with new_version(Path(name)) as draft:
        ...             _ = (draft.folder / "a.txt").write_text(text)
        ...     sorted(os.listdir(name)), (draft.version / "a.txt").read_text()
        (['1', '2'], 'new')
    """
    base.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(base)
    staging, lock = _staging(base)
    try:
        draft = Draft(staging / "model")
        draft.folder.mkdir()
        yield draft
        _write_through(draft.folder)
        draft.version = _publish(draft.folder, base)
        sync(base)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def is_version(path: Path) -> bool:
    """Returns whether TensorFlow Serving would read the name as a version."""
    return path.name.isascii() and path.name.isdigit()


def version_numbers(base: Path) -> list[int]:
    """Lists the numbers that are taken, even by a file or an unfinished folder."""
    return [int(child.name) for child in base.iterdir() if is_version(child)]


def _publish(folder: Path, base: Path) -> Path:
    while True:
        version = base / str(max(version_numbers(base), default=0) + 1)
        try:
            # Fails if another process has taken this number in the meantime.
            os.rename(folder, version)
        except OSError:
            if not version.exists():
                raise
            continue
        return version


def _write_through(folder: Path) -> None:
    for parent, _, files in os.walk(folder, topdown=False):
        for name in files:
            sync(Path(parent, name))
        sync(Path(parent))


@contextlib.contextmanager
def whole_file(path: Path, drafts: Path | None = None) -> Iterator[BinaryIO]:
    """Opens a file that replaces `path` once it is complete and synced to disk.

    Args:
        path: Path of the file, which may exist.
        drafts: Folder on the same disk where it is until then, under another name; by
            default that of `path`.

    Raises:
        OSError: If the file cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as name:
        ...     with whole_file(Path(name, "a.txt")) as file:
        ...         before = file.write(b"whole"), os.path.exists(Path(name, "a.txt"))
        ...     before, Path(name, "a.txt").read_text(), len(os.listdir(name))
        ((5, False), 'whole', 1)
    """
    draft = (drafts or path.parent) / f".{path.name[:40]}.{os.getpid()}"
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a power failure."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders.
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(handle: int, *, wait: bool = False) -> bool:
    """Locks an open file or folder against other processes.

    The system releases the lock when this process ends, in whatever way. Windows has no
    such locks.

    Returns:
        Whether no other process holds it.
    """
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except ImportError:
        pass
    except OSError:
        return False
    return True


def _staging(base: Path) -> tuple[Path, int | None]:
    while True:
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=base))
        with contextlib.suppress(FileNotFoundError):
            lock = _locked(staging, wait=True)
            # Before the lock, another writer may have removed it as abandoned.
            if staging.exists():
                return staging, lock
            if lock is not None:
                os.close(lock)


def _locked(folder: Path, wait: bool = False) -> int | None:
    if os.name == "nt":
        return None  # Windows cannot open folders.
    handle = os.open(folder, os.O_RDONLY)
    if lock(handle, wait=wait):
        return handle
    os.close(handle)
    return None


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(STAGING + "*"):
        with contextlib.suppress(OSError):
            lock = _locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
