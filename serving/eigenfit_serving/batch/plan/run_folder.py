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
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eigenfit_export.versions import lock
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


class Places:
    """Where the files of a run are.

    The output that the user asked for is a single file if its name has a known suffix
    and is not that of a folder.

    Raises:
        InputError: If the suffix is that of another format, or the name is empty or too
            long.
    """

    def __init__(self, output: Path) -> None:
        suffix = output.suffix.lower()
        self.output = output.absolute()
        if not self.output.name:
            raise InputError(
                f"OUTPUT = {output}: has no name. Give a file or a folder."
            )
        self.report = self.output.with_name(f"{self.output.name}.report.json")
        with writable(output):
            is_folder = output.is_dir()
            # Fails early if the longest name that a run needs exceeds the limit.
            with contextlib.suppress(FileNotFoundError):
                self.report.lstat()
        self.is_file = suffix in SUFFIXES and not is_folder
        if suffix.strip(".0123456789") and not (self.is_file or is_folder):
            known = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
            raise InputError(
                f"OUTPUT = {output}: a file must end in {known}. Give such a name, or, "
                f"for a folder of Parquet files, one without an ending."
            )
        self.state, self.parts = self.output / _STATE, self.output
        if self.is_file:
            self.state = self.output.with_name(f"{self.output.name}.parts")
            self.parts = self.state
        self.agreement = self.state / "run.json"
        # The converted rows of an input that is not Parquet.
        self.rows = self.state / "input.parquet"
        # Files that are being written.
        self.drafts = self.state / "drafts"

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

    def remove_state(self) -> None:
        """Removes the folder of the run, with its parts.

        Its agreement is removed last: if this is interrupted, what is left can still be
        told to be of this run.
        """
        for path in self.state.glob("*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path != self.agreement:
                path.unlink(missing_ok=True)
        shutil.rmtree(self.state, ignore_errors=True)


@contextlib.contextmanager
def claimed(
    places: Places, agreement: dict[str, Any], *, resume: bool
) -> Iterator[None]:
    """Begins or resumes a run, and locks it against other processes.

    The agreement is model, input and settings, by names that messages show; a resumed
    run must share it.

    Raises:
        InputError: If there is an output or a run already and `resume` is not set; if
            the run was begun differently; or if another process works on it.
        OutputError: If the folder cannot be written.
    """
    with writable(places.output):
        if fault := _in_the_way(places, resume):
            raise InputError(f"OUTPUT = {places.output}: {fault}")
        places.drafts.mkdir(parents=True, exist_ok=True)
        file = (places.state / "lock").open("ab")
    with file:
        if not lock(file.fileno()):
            raise InputError(
                f"OUTPUT = {places.output}: another process works on it. Wait for it."
            )
        with writable(places.output):
            _agree(agreement, places)
            for draft in places.drafts.iterdir():
                draft.unlink(missing_ok=True)
        yield


def _in_the_way(places: Places, resume: bool) -> str | None:
    begun, output = places.agreement.exists(), places.output
    if places.is_file and output.exists() and not resume:
        return "is there already. Remove it, or give another name."
    if begun:
        if resume:
            return None
        return (
            f"holds a run that was begun ({places.state}). Go on with it by --resume, "
            f"or remove it."
        )
    # Its folder may be that of a run which was killed at its very beginning.
    if output.is_dir() and any(x.name != _STATE for x in output.iterdir()):
        return "is a folder with other files. Give an empty or a new one."
    # What a run makes before it writes its agreement.
    own = {"lock", places.drafts.name}
    others = {x.name for x in places.state.glob("*")} - own
    if others:
        return (
            f"the run would keep its files in {places.state}, which holds others "
            f"({min(others)}). Give another name, or move that folder."
        )
    return None


def _agree(agreement: dict[str, Any], places: Places) -> None:
    # Writes the agreement, or compares it with the one that is there.
    path = places.agreement
    # As JSON will return it: tuples become lists.
    content = json.loads(json.dumps({"format": FORMAT, **agreement}))
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
        verbs = ("is", "it was") if len(names) == 1 else ("are", "they were")
        raise InputError(
            f"OUTPUT = {places.output}: cannot go on with the run that is there: "
            f"{', '.join(names)} {verbs[0]} not what {verbs[1]} when it began. Give "
            f"the same again, or begin anew with another OUTPUT."
        )
