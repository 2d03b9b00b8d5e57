"""Where the files of a run are, and which of its parts are done.

A run keeps a folder: beside a single output file (`solutions.parquet.parts`) or, for an
output folder, in it (`solutions/_run`; readers of tables skip such names). It holds
`run.json`, the run's model, input and settings. A part is done when its file exists:
the file is synced to disk before it gets its name, which tells its rows. A part without
a file is done again: it gets the same rows, in the same place.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfit_serving.batch.plan.parts import Part
from eigenfit_serving.batch.tables.writing import (
    SUFFIXES,
    read_counts,
    whole_file,
    writable,
)
from eigenfit_serving.errors import InputError

FORMAT = 3

_STATE = "_run"


@dataclass(frozen=True)
class Places:
    """Where the files of a run are.

    Attributes:
        output: Output file or folder that the user asked for.
        is_file: Whether it is a single file.
    """

    output: Path
    is_file: bool

    @staticmethod
    def of(output: Path) -> Places:
        """Decides by the name: one with a known suffix, and not a folder, is a file.

        Raises:
            InputError: If the suffix is that of another format, or the name is empty
                or too long.
        """
        suffix = output.suffix.lower()
        if not output.absolute().name:
            raise InputError(
                f"OUTPUT = {output}: has no name. Give a file or a folder."
            )
        with writable(output):
            is_folder = output.is_dir()
            places = Places(output.absolute(), suffix in SUFFIXES and not is_folder)
            # Fails early if the longest name that a run needs exceeds the limit.
            with contextlib.suppress(FileNotFoundError):
                places.report.lstat()
        if suffix.strip(".0123456789") and not (places.is_file or is_folder):
            known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
            raise InputError(
                f"OUTPUT = {output}: a file must end in {known}. Give such a name, or, "
                f"for a folder of Parquet files, one without an ending."
            )
        return places

    @property
    def state(self) -> Path:
        """The folder of the run."""
        if self.is_file:
            return self.output.with_name(f"{self.output.name}.parts")
        return self.output / _STATE

    @property
    def agreement(self) -> Path:
        """The file that holds the run's agreement."""
        return self.state / "run.json"

    @property
    def parts(self) -> Path:
        """The folder of output parts."""
        return self.state if self.is_file else self.output

    @property
    def rows(self) -> Path:
        """The converted rows of an input that is not Parquet."""
        return self.state / "input.parquet"

    @property
    def drafts(self) -> Path:
        """The folder of files that are being written."""
        return self.state / "drafts"

    @property
    def report(self) -> Path:
        """The report, beside the output."""
        return self.output.with_name(f"{self.output.name}.report.json")

    def done(self) -> dict[Part, list[int]]:
        """Lists the parts that are done, in order, with their rows by code.

        Incomplete files are removed, and those of parts that overlap an earlier one.

        Raises:
            OutputError: If one cannot be removed.
        """
        found: dict[Part, list[int]] = {}
        end = 0
        with writable(self.output):
            for path in sorted(self.parts.glob("part-*.parquet")):
                part, counts = Part.named(path.name), read_counts(path)
                if part is None or part.first < end or sum(counts) != part.rows:
                    path.unlink()
                else:
                    found[part] = counts
                    end = part.first + part.rows
        return found


@contextlib.contextmanager
def claimed(
    places: Places, agreement: dict[str, Any], *, resume: bool
) -> Iterator[None]:
    """Begins or resumes a run, and locks it against other processes.

    Args:
        places: Where its files are.
        agreement: Model, input and settings, which a resumed run must share; messages
            show the names.
        resume: Whether to continue a run that is there.

    Raises:
        InputError: If there is an output or a run already and `resume` is not set; if
            the run was begun differently; or if another process works on it.
        OutputError: If the folder cannot be written.
    """
    with writable(places.output):
        _check_free(places, resume)
        places.drafts.mkdir(parents=True, exist_ok=True)
        lock = _locked(places.state)
    if lock is None:
        raise InputError(
            f"OUTPUT = {places.output}: another process works on it. Wait for it."
        )
    try:
        with writable(places.output):
            _agree(agreement, places)
            for draft in places.drafts.iterdir():
                draft.unlink(missing_ok=True)
        yield
    finally:
        os.close(lock)


def remove_state(places: Places) -> None:
    """Removes the folder of a run, with its parts.

    Its agreement is removed last: if this is interrupted, what is left can still be
    told to be of this run.
    """
    for path in places.state.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != places.agreement:
            path.unlink(missing_ok=True)
    shutil.rmtree(places.state, ignore_errors=True)


def _check_free(places: Places, resume: bool) -> None:
    begun = places.agreement.exists()
    if places.is_file and places.output.exists() and not resume:
        raise InputError(
            f"OUTPUT = {places.output}: is there already. Remove it, or give another "
            f"name."
        )
    if begun and not resume:
        raise InputError(
            f"OUTPUT = {places.output}: holds a run that was begun ({places.state}). "
            f"Go on with it by --resume, or remove it."
        )
    if not places.is_file and not begun and _has_files(places.output):
        raise InputError(
            f"OUTPUT = {places.output}: is a folder with other files. Give an empty or "
            f"a new one."
        )
    if not begun and places.state.is_dir():
        # What a run makes before it writes its agreement.
        own = {"lock", places.drafts.name}
        if others := sorted({x.name for x in places.state.iterdir()} - own):
            raise InputError(
                f"OUTPUT = {places.output}: the run would keep its files in "
                f"{places.state}, which holds others ({others[0]}). Give another name, "
                f"or move that folder."
            )


def _agree(agreement: dict[str, Any], places: Places) -> None:
    # Writes the agreement, or compares it with the one that is there.
    path = places.agreement
    content = {"format": FORMAT, **agreement}
    # As JSON will return it: tuples become lists.
    content = json.loads(json.dumps(content))
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        with whole_file(path, places.drafts) as file:
            file.write(json.dumps(content, indent=1).encode())
        return
    except ValueError:
        before = {}
    names = [name for name in content if before.get(name) != content[name]]
    if names:
        raise InputError(
            f"OUTPUT = {places.output}: cannot go on with the run that is there: "
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not what "
            f"{'it was' if len(names) == 1 else 'they were'} when it began. Give the "
            f"same again, or begin anew with another OUTPUT."
        )


def _has_files(folder: Path) -> bool:
    # Ignores the folder of a run, which may have been killed at its very beginning.
    return folder.is_dir() and any(x.name != _STATE for x in folder.iterdir())


def _locked(folder: Path) -> int | None:
    # The system releases the lock when its process ends, in whatever way.
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        os.close(handle)
        return None
    return handle
