"""The versions of one model: what state each is in, and what is to be done next.

A state machine without threads, clocks or files. Versions go through START, LOADING,
AVAILABLE, UNLOADING and END; one that cannot be loaded ends with an error. What is no
longer wanted goes only when something that is wanted serves, or nothing is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eigenfit_serving.server.handles import Handle
from eigenfit_serving.server.interfaces import VersionStatus
from eigenfit_serving.server.polling import Version
from eigenfit_serving.server.status import Code, ServingError

_MAX_ENDED = 100
"""Versions that have ended and are still listed."""


@dataclass(frozen=True)
class Retries:
    """How often a version that cannot be loaded is tried again.

    Attributes:
        count: After the first time.
        interval: Seconds between two.
    """

    count: int = 5
    interval: float = 60.0


@dataclass
class Record:
    """A version and its state.

    Attributes:
        source: Its folder.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: Why it ended; or why it could not be loaded so far.
        is_wanted: Whether the policy asks for it.
        is_busy: Whether it is being loaded at this moment.
        failures: How often it could not be loaded.
        retry_at: When to try again.
        handle: To the loaded version.
    """

    source: Version
    state: str = "START"
    error: ServingError | None = None
    is_wanted: bool = True
    is_busy: bool = False
    failures: int = 0
    retry_at: float = 0.0
    handle: Handle | None = None

    @property
    def number(self) -> int:
        """Number of the version."""
        return self.source.number

    @property
    def has_failed(self) -> bool:
        """Whether loading was given up."""
        return self.state == "END" and self.error is not None

    def end(self) -> None:
        """Ends the version for good."""
        self.state, self.handle, self.is_busy = "END", None, False

    def status(self) -> VersionStatus:
        """Tells the state as callers see it."""
        if self.state == "END" and self.error is not None:
            return VersionStatus(
                self.number, "END", self.error.code, self.error.message
            )
        return VersionStatus(self.number, self.state)


class ModelLife:
    """All versions of a model that there are or were.

    Attributes:
        name: Of the model.
        records: By number.
    """

    def __init__(self, name: str, retries: Retries) -> None:
        self.name = name
        self.records: dict[int, Record] = {}
        self._retries = retries

    def want(self, versions: Iterable[Version]) -> None:
        """Says which versions are to be served, and no others."""
        wanted = {version.number: version for version in versions}
        for number, record in self.records.items():
            record.is_wanted = number in wanted
            if record.is_wanted or record.is_busy:
                continue
            if record.state in ("START", "LOADING"):
                record.end()
        for number, version in wanted.items():
            record = self.records.get(number)
            if record is None or _begins_anew(record, version):
                self.records[number] = Record(version)
        self._forget_old()

    def retry_now(self, number: int) -> None:
        """Tries again what has failed, since its files have changed."""
        record = self.records[number]
        if record.has_failed:
            self.records[number] = Record(record.source)
        elif record.state == "LOADING" and not record.is_busy:
            record.failures, record.retry_at = 0, 0.0

    def begin_loads(self, now: float) -> list[Record]:
        """Marks as LOADING what is to be loaded now; highest version first."""
        due = [
            record
            for record in self.records.values()
            if record.is_wanted
            and not record.is_busy
            and (
                record.state == "START"
                or (record.state == "LOADING" and record.retry_at <= now)
            )
        ]
        for record in due:
            record.state, record.is_busy = "LOADING", True
        return sorted(due, key=lambda record: -record.number)

    def begin_unloads(self) -> list[tuple[Record, Handle]]:
        """Marks as UNLOADING what is to be unloaded now."""
        wanted = [record for record in self.records.values() if record.is_wanted]
        if wanted and not any(record.state == "AVAILABLE" for record in wanted):
            return []
        due = []
        for record in self.records.values():
            if record.state == "AVAILABLE" and not record.is_wanted:
                assert record.handle is not None
                record.state = "UNLOADING"
                due.append((record, record.handle))
        return due

    def finish_load(self, record: Record, handle: Handle) -> None:
        """Makes a version available."""
        record.is_busy, record.error = False, None
        record.state, record.handle = "AVAILABLE", handle

    def fail_load(self, record: Record, error: ServingError, now: float) -> None:
        """Notes that a version could not be loaded, and when to try again."""
        record.is_busy, record.error = False, error
        record.failures += 1
        if record.failures > self._retries.count or not record.is_wanted:
            record.end()
        else:
            record.retry_at = now + self._retries.interval

    def available(self) -> dict[int, Handle]:
        """Lists the versions that serve."""
        return {
            number: record.handle
            for number, record in self.records.items()
            if record.state == "AVAILABLE" and record.handle is not None
        }

    def failure(self) -> Record | None:
        """Finds the highest version that was given up; None while there is hope."""
        wanted = [record for record in self.records.values() if record.is_wanted]
        if not wanted or not all(record.has_failed for record in wanted):
            return None
        return max(wanted, key=lambda record: record.number)

    def next_retry(self) -> float | None:
        """Tells when something is to be tried again."""
        times = [
            record.retry_at
            for record in self.records.values()
            if record.state == "LOADING" and not record.is_busy and record.is_wanted
        ]
        return min(times, default=None)

    def statuses(self) -> list[VersionStatus]:
        """Lists all versions, highest first."""
        return [self.records[n].status() for n in sorted(self.records, reverse=True)]

    def _forget_old(self) -> None:
        ended = [
            number
            for number, record in sorted(self.records.items())
            if record.state == "END" and not record.is_wanted
        ]
        for number in ended[: max(0, len(ended) - _MAX_ENDED)]:
            del self.records[number]


def _begins_anew(record: Record, version: Version) -> bool:
    if record.state != "END":
        return False
    return record.error is None or record.source.path != version.path


def describe_failures(failed: Iterable[tuple[str, Record]], what: str) -> ServingError:
    """Makes the error of models that could not be loaded.

    Args:
        failed: Models and their versions.
        what: `servable` at the start, `model` later.

    Example:
        >>> from pathlib import Path
        >>> error = ServingError(Code.NOT_FOUND, "no graph")
        >>> record = Record(Version(1, Path("m/1")), "END", error)
        >>> print(describe_failures([("m", record)], "model").message)
        1 model(s) did not become available: {{{name: m version: 1} due to error: \
NOT_FOUND: no graph}, }
    """
    parts = []
    for name, record in failed:
        error = record.error or ServingError(Code.UNKNOWN, "")
        parts.append(
            f"{{{{name: {name} version: {record.number}}} due to error: "
            f"{error.code.name}: {error.message}}}, "
        )
    return ServingError(
        Code.UNKNOWN,
        f"{len(parts)} {what}(s) did not become available: {{{''.join(parts)}}}",
    )
