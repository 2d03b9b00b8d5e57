"""The versions of one model: what state each is in, and what is to be done next.

A state machine without threads, clocks or files. Versions go through START, LOADING,
AVAILABLE, UNLOADING and END; one that cannot be loaded ends with an error. Versions no
longer wanted are unloaded only when a wanted one serves, or none is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from eigenfit_serving.protocol.messages import ModelVersionStatus
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import ModelSource
from eigenfit_serving.server.models.polling import Version, Watcher
from eigenfit_serving.server.versions import ModelSettings

_MAX_ENDED = 100
"""Most versions that have ended and are still listed."""


@dataclass(eq=False)
class Record:
    """A version and its state.

    Attributes:
        source: Version folder.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: Why it ended, or could not be loaded so far; None for no error.
        is_wanted: Whether the policy asks for it.
        is_busy: Whether it is being loaded at this moment.
        failures: Number of failed loads.
        retry_at: When to try again, in seconds of the manager's clock.
        servable: Loaded version, until it is closed; otherwise None.
        users: Number of requests that use it.
    """

    source: Version
    state: str = "START"
    error: ServingError | None = None
    is_wanted: bool = True
    is_busy: bool = False
    failures: int = 0
    retry_at: float = 0.0
    servable: Any = None
    users: int = 0

    @property
    def number(self) -> int:
        """Number of the version."""
        return self.source.number

    @property
    def has_failed(self) -> bool:
        """Whether loading was given up."""
        return self.state == "END" and self.error is not None

    def fail_load(self, error: ServingError, max_retries: int, retry_at: float) -> None:
        """Records that the version could not be loaded, and when to try again."""
        self.is_busy, self.error, self.retry_at = False, error, retry_at
        self.failures += 1
        if self.failures > max_retries or not self.is_wanted:
            self.state = "END"

    def status(self) -> Any:
        """Returns the state as callers see it: a `ModelVersionStatus`."""
        status: dict[str, Any] = {"error_code": Code.OK}
        if self.has_failed and self.error is not None:
            code, text = self.error.code, self.error.message
            status = {"error_code": code, "error_message": text}
        return ModelVersionStatus(version=self.number, state=self.state, status=status)


@dataclass
class Model:
    """A model, and all its versions, present and past.

    Attributes:
        settings: Configuration of the model.
        watcher: Watcher of the folder.
        is_seen: Whether the folder was polled since the last change of `settings`.
        records: Records of versions by number.
    """

    settings: ModelSettings
    watcher: Watcher
    is_seen: bool = False
    records: dict[int, Record] = field(default_factory=dict)

    def want(self, versions: Iterable[Version]) -> None:
        """Sets which versions are to be served, and no others."""
        wanted = {version.number: version for version in versions}
        for number, record in self.records.items():
            record.is_wanted = number in wanted
            is_waiting = record.state in ("START", "LOADING") and not record.is_busy
            if is_waiting and not record.is_wanted:
                record.state = "END"
        for number, version in wanted.items():
            old = self.records.get(number)
            if old is None or (
                # A failed version is not tried again in the same folder.
                old.state == "END"
                and (not old.error or old.source.path != version.path)
            ):
                self.records[number] = Record(version)
        ended = [x for x in self.records.values() if x.state == "END"]
        for number in sorted(x.number for x in ended if not x.is_wanted)[:-_MAX_ENDED]:
            del self.records[number]

    @property
    def wanted(self) -> list[Record]:
        """The versions that are to be served, highest first."""
        found = [record for record in self.records.values() if record.is_wanted]
        return sorted(found, key=lambda record: -record.number)

    @property
    def serving(self) -> dict[int, Record]:
        """The versions that can be used, by number."""
        return {n: x for n, x in self.records.items() if x.state == "AVAILABLE"}

    @property
    def is_pending(self) -> bool:
        """Whether it is not yet known if there are versions to load."""
        return not self.is_seen or (not self.wanted and self.watcher.is_waiting)

    @property
    def is_first_try(self) -> bool:
        """Whether a version may still be loaded at the first try."""
        return self.is_pending or not all(record.failures for record in self.wanted)

    @property
    def are_labels_settled(self) -> bool:
        """Whether the versions with labels are loaded, or failed."""
        labelled = self.settings.labels.values()
        wanted = [x for x in self.wanted if x.number in labelled]
        return all(x.state == "AVAILABLE" or x.has_failed for x in wanted)

    def begin_loads(self, now: float) -> list[Record]:
        """Marks as LOADING the versions to load now; returns them, highest first."""
        due = []
        for record in self.wanted:
            is_waiting = record.state in ("START", "LOADING") and not record.is_busy
            if is_waiting and record.retry_at <= now:
                record.state, record.is_busy = "LOADING", True
                due.append(record)
        return due

    def begin_unloads(self) -> list[Record]:
        """Marks as UNLOADING the versions to unload now; returns them."""
        wanted = self.wanted
        if wanted and not any(record.state == "AVAILABLE" for record in wanted):
            return []
        due = [record for record in self.serving.values() if not record.is_wanted]
        for record in due:
            record.state = "UNLOADING"
        return due

    def failure(self) -> Record | None:
        """Finds the highest version that was given up; None while there is hope."""
        wanted = self.wanted
        is_over = wanted and all(record.has_failed for record in wanted)
        return wanted[0] if is_over else None


def is_ready(models: ModelSource, name: str) -> bool:
    """Tells whether a model has a version that is available."""
    try:
        states = [x.state for x in models.status(name)]
    except ServingError:  # Configured, but no version has been seen.
        return False
    return ModelVersionStatus.AVAILABLE in states


def describe_failures(failed: Iterable[tuple[str, Record]], what: str) -> ServingError:
    """Makes the error of models, by name, that could not be loaded.

    They are called `servable` at the start, `model` later, as in TensorFlow Serving.
    """
    parts = [
        f"{{{{name: {name} version: {record.number}}} due to error: "
        f"{record.error.code.name}: {record.error.message}}}, "
        for name, record in failed
        if record.error is not None
    ]
    text = f"{len(parts)} {what}(s) did not become available: {{{''.join(parts)}}}"
    return ServingError(Code.UNKNOWN, text)
