"""Looks after the versions of all models: finds, loads, switches and unloads them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eigenfit_serving.server.handles import Handle
from eigenfit_serving.server.interfaces import VersionStatus
from eigenfit_serving.server.lifecycle import ModelLife, Record, Retries
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.polling import Version, Watcher
from eigenfit_serving.server.status import Code, ServingError
from eigenfit_serving.server.versions import ModelSettings

logger = logging.getLogger(__name__)

Load = Callable[[str, str, int], Any]
"""Takes path, name and version; gives a `Servable` with `close()`; blocks."""

_TICK_SECONDS = 0.1


@dataclass(frozen=True)
class Clocks:
    """Where the time comes from.

    Attributes:
        monotonic: For retries and polls.
        files: For the age of files.
    """

    monotonic: Callable[[], float] = time.monotonic
    files: Callable[[], float] = time.time


class Manager:
    """Brings about what is configured, in the background.

    Args:
        options: Of the server.
        load: Loads one version and warms it up.
        clocks: Where the time comes from.
        executor: Runs loads and unloads; a pool of threads if not given.

    Attributes:
        changed: Held while anything is read, notified when a version changes its state.
        models: What is configured, by name.
        serving: The versions that can be used, by model and number. Never changed, but
            replaced.
    """

    def __init__(
        self,
        options: Options,
        load: Load,
        clocks: Clocks | None = None,
        executor: Any = None,
    ) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.models: dict[str, ModelSettings] = {}
        self.serving: dict[str, dict[int, Handle]] = {}
        self._load, self._clocks = load, clocks or Clocks()
        self._poll_wait = float(options.file_system_poll_wait_seconds)
        self._retries = Retries(
            options.max_num_load_retries, options.load_retry_interval_micros / 1e6
        )
        count = options.num_load_threads + options.num_unload_threads
        self._executor = executor or ThreadPoolExecutor(count or 4, "load")
        self._poll_lock = threading.Lock()
        self._watchers: dict[str, Watcher] = {}
        self._unseen: set[str] = set()
        self._lives: dict[str, ModelLife] = {}
        self._next_poll: float | None = 0.0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread that does the work; without it, call `tick`."""
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def configure(self, models: Iterable[ModelSettings]) -> None:
        """Says which models there are to be."""
        with self._poll_lock, self.changed:
            self.models = {model.name: model for model in models}
            watchers = {}
            for name, model in self.models.items():
                old, path = self._watchers.get(name), Path(model.base_path)
                is_kept = old is not None and old.base_path == path
                watchers[name] = old if is_kept and old else self._watcher(model)
                self._lives.setdefault(name, ModelLife(name, self._retries))
            for name in set(self._watchers) - set(watchers):
                logger.info("Model %s is not configured any more", name)
                self._lives[name].want([])
            self._watchers = watchers
            self._unseen = set(watchers)
            self._next_poll = 0.0
            self.changed.notify_all()

    def foresee(self, model: ModelSettings) -> list[int]:
        """Lists the versions that would be loaded with other settings."""
        watcher = Watcher(model.name, Path(model.base_path), True, self._clocks.files)
        return model.policy.choose(watcher.look() or ())

    def statuses(self, name: str) -> list[VersionStatus]:
        """Lists the versions of a model, highest first; none of an unknown model."""
        with self.changed:
            life = self._lives.get(name)
            return life.statuses() if life is not None else []

    def failure(self, name: str) -> Record | None:
        """Finds the version of a model that cannot be loaded, if no other can."""
        return self._lives[name].failure()

    def is_unseen(self, name: str) -> bool:
        """Tells whether nobody has looked for versions since the last change."""
        return name in self._unseen

    def is_pending(self, name: str) -> bool:
        """Tells whether it is not known yet if a model has versions to be loaded."""
        if self.is_unseen(name):
            return True
        return not self.wanted(name) and self._watchers[name].is_waiting

    def wanted(self, name: str) -> list[Record]:
        """Lists the versions of a model that are to be served."""
        records = self._lives[name].records.values()
        return [record for record in records if record.is_wanted]

    def wait(self, is_over: Callable[[], bool]) -> None:
        """Waits for a condition, which is evaluated with `changed` held.

        Raises:
            ServingError: UNAVAILABLE, if the server is closed meanwhile.
        """
        while True:
            with self.changed:
                if self._is_closed:
                    raise ServingError(Code.UNAVAILABLE, "The server is shutting down.")
                if is_over():
                    return
                if self._thread is not None:
                    self.changed.wait(_TICK_SECONDS)
                    continue
            self.tick()

    def tick(self) -> None:
        """Looks for versions if it is time, and begins what is due."""
        now = self._clocks.monotonic()
        if self._next_poll is not None and now >= self._next_poll:
            self._poll()
        with self.changed:
            lives = list(self._lives.items())
            loads = [
                (n, record) for n, life in lives for record in life.begin_loads(now)
            ]
            unloads = [(n, *pair) for n, life in lives for pair in life.begin_unloads()]
            self._publish()
        for name, record in loads:
            self._later(lambda n=name, r=record: self._load_version(n, r))
        for name, record, handle in unloads:
            self._unload(name, record, handle)

    def close(self) -> None:
        """Unloads everything; waits for what is being loaded, not for requests."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._executor.shutdown(wait=True, cancel_futures=True)
        with self.changed:
            handles = [x for served in self.serving.values() for x in served.values()]
            self.serving = {}
        for handle in handles:
            handle.retire(handle.close)

    def _watcher(self, model: ModelSettings) -> Watcher:
        path = Path(model.base_path)
        return Watcher(model.name, path, self._poll_wait <= 0, self._clocks.files)

    def _poll(self) -> None:
        with self._poll_lock:
            seen: dict[str, dict[int, Version] | None] = {}
            for name, watcher in self._watchers.items():
                seen[name] = watcher.look()
                self._retry_changed(name, watcher)
            with self.changed:
                for name, found in seen.items():
                    if found is not None:
                        chosen = self.models[name].policy.choose(found)
                        self._lives[name].want(found[number] for number in chosen)
                self._unseen -= set(seen)
                wait = self._poll_wait
                if any(watcher.is_waiting for watcher in self._watchers.values()):
                    wait = min(wait, 1.0)
                self._next_poll = self._clocks.monotonic() + wait if wait > 0 else None
                self.changed.notify_all()

    def _retry_changed(self, name: str, watcher: Watcher) -> None:
        with self.changed:
            failed = [x for x in self.wanted(name) if x.failures and not x.is_busy]
        for record in failed:
            if watcher.has_changed(record.source):
                with self.changed:
                    self._lives[name].retry_now(record.number)

    def _load_version(self, name: str, record: Record) -> None:
        path = str(record.source.path)
        logger.info("Loading version %d of model %s: %s", record.number, name, path)
        try:
            handle = Handle(self._load(path, name, record.number))
        except Exception as error:
            failure = _as_serving_error(error)
            logger.error(
                "Servable {name: %s version: %d} cannot be loaded: %s: %s",
                name,
                record.number,
                failure.code.name,
                failure.message,
            )
            with self.changed:
                self._lives[name].fail_load(record, failure, self._clocks.monotonic())
                self.changed.notify_all()
            return
        logger.info("Version %d of model %s is available", record.number, name)
        with self.changed:
            self._lives[name].finish_load(record, handle)
            self._publish()
            self.changed.notify_all()

    def _unload(self, name: str, record: Record, handle: Handle) -> None:
        def close() -> None:
            try:
                handle.close()
            except Exception:
                logger.exception("Closing version %d of %s", record.number, name)
            logger.info("Version %d of model %s is unloaded", record.number, name)
            with self.changed:
                record.end()
                self.changed.notify_all()

        handle.retire(lambda: self._later(close))

    def _later(self, work: Callable[[], None]) -> None:
        try:
            self._executor.submit(work)
        except RuntimeError:  # of an executor that is shut down
            work()

    def _publish(self) -> None:
        self.serving = {
            name: available
            for name, life in self._lives.items()
            if (available := life.available())
        }

    def _run(self) -> None:
        while True:
            with self.changed:
                if self._is_closed:
                    return
                self.changed.wait(_TICK_SECONDS)
            try:
                self.tick()
            except Exception:
                logger.exception("Looking after the models failed; going on")


def _as_serving_error(error: Exception) -> ServingError:
    if isinstance(error, ServingError):
        return error
    logger.debug("Loading failed", exc_info=error)
    return ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
