"""Finds processes of batches, among the children of their driver only."""

import os
from collections.abc import Iterator
from pathlib import Path


def workers_of(parent: int | None = None) -> list[int]:
    """Lists local workers that a process has begun; this one by default."""
    return [k for k in _children(parent or os.getpid()) if "spawn_main" in _command(k)]


def actors_of(driver: int) -> list[int]:
    """Lists the actors that do the parts of a run, by the process that began it."""
    # They title themselves, and are children of a process of Ray that the driver began.
    return [k for k in _descendants(driver) if "PartActor" in _command(k)]


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _children(pid: int) -> list[int]:
    return sorted(
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if _parent(entry) == pid
    )


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def _command(pid: int) -> str:
    # Empty if it has ended, even if nobody has taken note yet.
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
