"""Finds processes of batches."""

import os
from pathlib import Path


def workers_of(parent: int | None = None) -> list[int]:
    """Lists local workers that a process has begun; this one by default."""
    return [k for k in processes("spawn_main") if _parent(k) == (parent or os.getpid())]


def processes(word: str) -> list[int]:
    """Lists processes whose command line has a word."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in command and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return sorted(found)


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None
