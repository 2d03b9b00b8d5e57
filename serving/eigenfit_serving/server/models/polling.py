"""Finds the versions in a folder, and waits for those that are still being copied."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eigenfit_serving.server.running.saved_graph import MODEL_FILES, needs_variables
from eigenfit_serving.server.versions import parse_version

logger = logging.getLogger(__name__)

SETTLED_SECONDS = 2.0
"""Seconds without a change after which files count as completely written."""

ABANDONED_SECONDS = 30.0
"""Seconds without a change after which a version counts as never to be completed."""

Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass
class Version:
    """A version folder.

    Attributes:
        number: Number that the folder is named by.
        path: Path of the folder.
        fingerprint: Names, sizes and times of its files.
        is_settled: Whether it can be loaded; stays so until the folder is gone.
    """

    number: int
    path: Path
    fingerprint: Fingerprint = ()
    is_settled: bool = False


@dataclass
class Watcher:
    """Looks at the base path of one model repeatedly.

    A version counts once it is complete and its files rest: they are old, or have not
    changed since the last look.

    Attributes:
        name: Name of the model.
        base_path: Folder of its versions.
        looks_once: Whether there is only one look; what is complete counts then.
        clock: Returns the time for the age of files, in seconds of the epoch.
    """

    name: str
    base_path: Path
    looks_once: bool = False
    clock: Callable[[], float] = time.time
    _seen: dict[int, Version] = field(default_factory=dict)
    _said: str = ""

    def look(self) -> dict[int, Version] | None:
        """Lists the versions that can be loaded, by number; None if it cannot tell."""
        try:
            with os.scandir(self.base_path) as entries:
                folders = {x.name: Path(x.path) for x in entries if _is_folder(x)}
        except OSError as error:
            self._say(
                f"Could not find base path {self.base_path} for servable {self.name} "
                f"with error {error.strerror or error}"
            )
            return None
        numbered = {
            number: path
            for name, path in sorted(folders.items())
            if (number := parse_version(name)) is not None
        }
        if numbered:
            self._said = ""
        else:
            self._say(no_versions(self.name, self.base_path))
        self._seen = {
            number: self._examine(number, path) for number, path in numbered.items()
        }
        return {n: version for n, version in self._seen.items() if version.is_settled}

    @property
    def is_waiting(self) -> bool:
        """Whether a version is there that cannot be loaded yet."""
        return any(not version.is_settled for version in self._seen.values())

    def has_changed(self, version: Version) -> bool:
        """Tells whether a complete version differs from when it was examined."""
        found = fingerprint(version.path)
        if found == version.fingerprint or not is_complete(version.path):
            return False
        version.fingerprint = found
        return True

    def _examine(self, number: int, path: Path) -> Version:
        known = self._seen.get(number)
        if known is not None and known.is_settled and known.path == path:
            return known
        found = fingerprint(path)
        version = Version(number, path, found)
        age = self.clock() - max((x[3] / 1e9 for x in found), default=0.0)
        if is_complete(path):
            rests = known is not None and known.fingerprint == found
            version.is_settled = rests or age > SETTLED_SECONDS or self.looks_once
        else:
            version.is_settled = age > ABANDONED_SECONDS
        return version

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            logger.warning("%s", text)


def no_versions(name: str, base_path: object) -> str:
    """Writes the message that a folder holds no versions of a model."""
    return f"No versions of servable {name} found under base path {base_path}"


def is_complete(path: Path) -> bool:
    """Tells whether a folder holds a SavedModel with all of its variables."""
    sizes = {name: size for name, size, *_ in fingerprint(path)}
    if not any(sizes.get(name) for name in MODEL_FILES):
        return False
    names = {file.name for file in path.glob("variables/*")}
    if not names:
        return not needs_variables(str(path))
    shards = [name for name in names if name.startswith("variables.data-")]
    totals = {name.rpartition("-of-")[2] for name in shards}
    return "variables.index" in names and totals == {f"{len(shards):05}"}


def fingerprint(path: Path) -> Fingerprint:
    """Describes the files of a folder so that any change shows."""
    found = []
    for folder, _, names in os.walk(path):
        for name in [".", *names]:
            file = os.path.join(folder, name)
            try:
                stat = os.stat(file)
            except OSError:
                continue
            size = 0 if name == "." else stat.st_size
            times = stat.st_mtime_ns, stat.st_ctime_ns
            found.append((os.path.relpath(file, path), size, *times))
    return tuple(sorted(found))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False
