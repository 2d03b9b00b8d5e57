"""What has been done of a run, kept so that it can go on after any end.

A run keeps a folder: beside a single output file (`solutions.parquet.parts`) or, for an
output folder, in it (`solutions/_run`; readers of tables leave such names out). It
holds `run.json`, what the run agreed to do, and `ledger.jsonl`, a line for each part
whose file has been written through to the disk under its name. A part without a line
is done again: it gets the same rows, in the same place.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfit_serving.batch.parts import Part
from eigenfit_serving.batch.writing import SUFFIXES, sync_folder, unwritable
from eigenfit_serving.errors import InputError

FORMAT = 1

_STATE, _LOCK = "_run", "lock"


@dataclass(frozen=True)
class Places:
    """Where the files of a run are.

    Attributes:
        output: That was asked for.
        is_file: Whether it is one file.
    """

    output: Path
    is_file: bool

    @staticmethod
    def of(output: Path) -> Places:
        """Finds out by the name: one with a known suffix is that of a file.

        Raises:
            InputError: If it looks like the name of a file of another format, or is one
                that files cannot have.
        """
        suffix = output.suffix.lower()
        if not output.absolute().name:
            raise InputError(
                f"OUTPUT = {output}: has no name. Give a file or a folder."
            )
        try:
            is_folder = output.is_dir()
            places = Places(output.absolute(), suffix in SUFFIXES and not is_folder)
            # The longest of the names that a run needs, but for a file system's limit.
            with contextlib.suppress(FileNotFoundError):
                places.draft_of_report.lstat()
        except OSError as error:
            raise unwritable(output, error) from error
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
    def parts(self) -> Path:
        """The folder of output parts."""
        return self.state if self.is_file else self.output

    @property
    def drafts(self) -> Path:
        """The folder of what is being written."""
        return self.state / "drafts"

    @property
    def draft_of_report(self) -> Path:
        """The report until it is whole."""
        return self.output.with_name(f".{self.report.name}")

    @property
    def report(self) -> Path:
        """The report, beside the output."""
        return self.output.with_name(f"{self.output.name}.report.json")


class Ledger:
    """The ledger of a run; made by `open_ledger`.

    Attributes:
        places: Where its files are.
        done: What is kept of each part, by its first row.
    """

    def __init__(self, places: Places, done: dict[int, dict[str, Any]]) -> None:
        self.places = places
        self.done = done
        # Without a buffer: what could not be written is not tried again at the end.
        self._file = (places.state / "ledger.jsonl").open("ab", buffering=0)

    def add(self, entry: dict[str, Any]) -> None:
        """Notes that a part is done, once its file is there.

        Args:
            entry: Its `first` row, number of `rows`, `bytes` of its file, `counts`.

        Raises:
            OutputError: If it cannot be written.
        """
        line = json.dumps(entry).encode() + b"\n"
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            raise unwritable(self.places.output, error) from error
        self.done[entry["first"]] = entry

    def files(self) -> list[Path]:
        """Lists the files of all parts, in the order of their rows."""
        return [_file_of(self.places, self.done[k]) for k in sorted(self.done)]

    def remove_others(self) -> None:
        """Removes files of parts that have no line.

        A worker may have been killed between the file and the line; the rows may have
        been done again in parts of other sizes.

        Raises:
            OutputError: If one cannot be removed.
        """
        known = set(self.files())
        try:
            for path in self.places.parts.glob("part-*.parquet"):
                if path not in known:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(self.places.output, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


@contextlib.contextmanager
def open_ledger(
    places: Places, agreement: dict[str, Any], *, resume: bool
) -> Iterator[Ledger]:
    """Begins a run or goes on with one; no other process may do so meanwhile.

    Args:
        places: Where its files are.
        agreement: What must be the same when it goes on, by name; each name is one
            that messages can use.
        resume: Whether to go on with what is there.

    Yields:
        The ledger.

    Raises:
        InputError: If there is an output or a run already and `resume` is not set; if
            what is there was begun differently; or if another process works on it.
        OutputError: If it cannot be written.
    """
    state = places.state
    try:
        _check_free(places, resume)
        places.drafts.mkdir(parents=True, exist_ok=True)
        lock = _locked(state)
    except OSError as error:
        raise unwritable(places.output, error) from error
    if lock is None:
        raise InputError(
            f"OUTPUT = {places.output}: another process works on it. Wait for it."
        )
    try:
        try:
            _agree(agreement, places)
            done = _read(places)
            for draft in places.drafts.iterdir():
                draft.unlink(missing_ok=True)
            ledger = Ledger(places, done)
        except OSError as error:
            raise unwritable(places.output, error) from error
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        os.close(lock)


def remove_state(places: Places) -> None:
    """Removes the folder of a run that is complete, with its parts."""
    shutil.rmtree(places.state, ignore_errors=True)


def covered(done: dict[int, dict[str, Any]]) -> dict[int, int]:
    """Gives the number of rows of what is done, by its first row."""
    return {first: entry["rows"] for first, entry in done.items()}


def _file_of(places: Places, entry: dict[str, Any]) -> Path:
    return places.parts / Part("", entry["first"], entry["rows"], 0, 0).name


def _check_free(places: Places, resume: bool) -> None:
    path = places.state / "run.json"
    if places.is_file and places.output.exists() and not resume:
        raise InputError(
            f"OUTPUT = {places.output}: is there already. Remove it, or give another "
            f"name."
        )
    if path.exists() and not resume:
        raise InputError(
            f"OUTPUT = {places.output}: holds a run that was begun ({places.state}). "
            f"Go on with it by --resume, or remove it."
        )
    if not places.is_file and not path.exists() and _has_files(places.output):
        raise InputError(
            f"OUTPUT = {places.output}: is a folder with other files. Give an empty or "
            f"a new one."
        )
    if not path.exists() and places.state.is_dir():
        others = sorted(x.name for x in places.state.iterdir() if not _is_ours(x.name))
        if others:
            raise InputError(
                f"OUTPUT = {places.output}: the run would keep its files in "
                f"{places.state}, which holds others ({others[0]}). Give another name, "
                f"or move that folder."
            )


def _is_ours(name: str) -> bool:
    # Of what is in the folder of a run.
    own = (_LOCK, "drafts", "model", "ledger.jsonl", "run.*", "part-*.parquet")
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in own)


def _agree(agreement: dict[str, Any], places: Places) -> None:
    # Writes what the run will do, or compares with what was written.
    path = places.state / "run.json"
    content = {"format": FORMAT, **agreement}
    # As it will be read.
    content = json.loads(json.dumps(content))
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        _remove_leavings(places)
        draft = path.with_suffix(f".{os.getpid()}")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        sync_folder(path.parent)
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


def _remove_leavings(places: Places) -> None:
    # Of a run whose folder was being removed when its process was killed; nothing else
    # is there.
    for path in places.state.iterdir():
        if path.is_dir() and path != places.drafts:
            shutil.rmtree(path)
        elif path.is_file() and path.name != _LOCK:
            path.unlink()


def _read(places: Places) -> dict[int, dict[str, Any]]:
    # A line that was cut off, or whose file is not there, counts for nothing, nor does
    # one with rows that another has as well.
    done: dict[int, dict[str, Any]] = {}
    path = places.state / "ledger.jsonl"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return done
    for line in data.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
            entry = json.loads(line)
            if _file_of(places, entry).stat().st_size == entry["bytes"]:
                done[entry["first"]] = entry
    if data and not data.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
    end = 0
    for first in sorted(done):
        if first < end:
            del done[first]
        else:
            end = first + done[first]["rows"]
    return done


def _has_files(folder: Path) -> bool:
    # But for the folder of a run, which may have been killed at its very beginning.
    return folder.is_dir() and any(x.name != _STATE for x in folder.iterdir())


def _locked(folder: Path) -> int | None:
    # The lock ends with the process that holds it, however that ends.
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except OSError:
        os.close(handle)
        return None
    return handle
