"""Looks after the versions of all models: finds, loads, switches and unloads them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.models.lifecycle import Model, Record
from eigenfit_serving.server.models.polling import Version, Watcher
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.versions import ModelSettings

logger = logging.getLogger(__name__)

Load = Callable[[str, str, int], Any]
"""Takes path, name and version; returns a `Servable` with `close()`; blocks."""

_TICK_SECONDS = 0.1


class Manager:
    """Loads and unloads versions as configured, in the background.

    Args:
        options: Options of the server.
        load: Loads one version and warms it up.
        executor: Runs loads and unloads; a pool of threads if not given.
        clock: Returns the time for retries and polls, in seconds.
        file_clock: Returns the time for the age of files, in seconds of the epoch.

    Attributes:
        changed: Held while anything is read, notified when a version changes its state.
        models: Configured models by name.
    """

    def __init__(
        self,
        options: Options,
        load: Load,
        executor: Any = None,
        clock: Callable[[], float] = time.monotonic,
        file_clock: Callable[[], float] = time.time,
    ) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.models: dict[str, Model] = {}
        self._removed: dict[str, Model] = {}
        self._load, self._clock, self._file_clock = load, clock, file_clock
        self._poll_wait = float(options.file_system_poll_wait_seconds)
        self._max_retries = options.max_num_load_retries
        self._retry_seconds = options.load_retry_interval_micros / 1e6
        count = options.num_load_threads + options.num_unload_threads
        self._executor = executor or ThreadPoolExecutor(count or 4, "load")
        self._poll_lock = threading.Lock()
        self._next_poll = 0.0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread that does the work; without it, call `tick`."""
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._thread.start()

    def configure(self, settings: Iterable[ModelSettings]) -> None:
        """Sets which models are to be served; others are unloaded."""
        with self._poll_lock, self.changed:
            known = self._removed | self.models
            self.models = {}
            for new in settings:
                model = known.pop(new.name, None) or Model(new, self._watcher(new))
                if model.settings.base_path != new.base_path:
                    model.watcher = self._watcher(new)
                model.settings, model.is_seen = new, False
                self.models[new.name] = model
            for name in set(known) - set(self._removed):
                logger.info("Model %s is not configured any more", name)
                known[name].want([])
            self._removed = known
            self._next_poll = 0.0
            self.changed.notify_all()

    def foresee(self, settings: ModelSettings) -> list[int]:
        """Lists the versions that would be loaded with other settings."""
        watcher = self._watcher(settings)
        watcher.looks_once = True
        return settings.choose(watcher.look() or ())

    def find(self, name: str) -> Model | None:
        """Finds a model, also one that is not configured any more."""
        return self.models.get(name) or self._removed.get(name)

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
        """Looks for versions if it is time, and begins due loads and unloads."""
        now = self._clock()
        if now >= self._next_poll:
            self._poll()
        with self.changed:
            models = [*self.models.items(), *self._removed.items()]
            loads = [(n, record) for n, x in models for record in x.begin_loads(now)]
        for name, record in loads:
            self._later(self._load_version, name, record)
        for record in self._begin_unloads():
            self._later(self._close_version, record)

    def release(self, record: Record) -> None:
        """Ends one use of a version; the last one closes it if it is being unloaded."""
        with self.changed:
            record.users -= 1
            is_over = not record.users and record.state == "UNLOADING"
        if is_over:
            self._later(self._close_version, record)

    def close(self) -> None:
        """Unloads everything; waits for what is being loaded, not for requests."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._executor.shutdown(wait=True, cancel_futures=True)
        with self.changed:
            for model in [*self.models.values(), *self._removed.values()]:
                model.want([])
        for record in self._begin_unloads():
            self._close_version(record)

    def _begin_unloads(self) -> list[Record]:
        """Marks versions to unload; returns those that nobody uses."""
        with self.changed:
            models = [*self.models.values(), *self._removed.values()]
            unloads = [record for model in models for record in model.begin_unloads()]
            return [record for record in unloads if not record.users]

    def _watcher(self, settings: ModelSettings) -> Watcher:
        path, once = Path(settings.base_path), self._poll_wait <= 0
        return Watcher(settings.name, path, once, self._file_clock)

    def _poll(self) -> None:
        with self._poll_lock:
            seen: list[tuple[Model, dict[int, Version] | None]] = []
            for model in self.models.values():
                seen.append((model, model.watcher.look()))
                self._retry_changed(model)
            with self.changed:
                for model, found in seen:
                    model.is_seen = True
                    if found is not None:
                        chosen = model.settings.choose(found)
                        model.want(found[number] for number in chosen)
                wait = self._poll_wait if self._poll_wait > 0 else float("inf")
                if wait < float("inf") and any(x.watcher.is_waiting for x, _ in seen):
                    wait = min(wait, 1.0)
                self._next_poll = self._clock() + wait
                self.changed.notify_all()

    def _retry_changed(self, model: Model) -> None:
        """Makes new records of failed versions whose files have changed."""
        with self.changed:
            failed = [x.source for x in model.wanted if x.error and not x.is_busy]
        changed = [x for x in failed if model.watcher.has_changed(x)]
        with self.changed:
            model.records.update((x.number, Record(x)) for x in changed)

    def _load_version(self, name: str, record: Record) -> None:
        path = str(record.source.path)
        logger.info("Loading version %d of model %s: %s", record.number, name, path)
        try:
            servable = self._load(path, name, record.number)
        except Exception as error:
            if not isinstance(error, ServingError):
                logger.debug("Loading failed", exc_info=error)
                text = f"{type(error).__name__}: {error}"
                error = ServingError(Code.INTERNAL, text)
            what = f"{{name: {name} version: {record.number}}}"
            reason = f"{error.code.name}: {error.message}"
            logger.error("Servable %s cannot be loaded: %s", what, reason)
            with self.changed:
                again = self._clock() + self._retry_seconds
                record.fail_load(error, self._max_retries, again)
                self.changed.notify_all()
            return
        with self.changed:
            record.is_busy, record.error = False, None
            record.state, record.servable = "AVAILABLE", servable
            self.changed.notify_all()
        logger.info("Version %d of model %s is available", record.number, name)

    def _close_version(self, record: Record) -> None:
        try:
            record.servable.close()
        except Exception:
            logger.exception("Closing %s failed", record.source.path)
        logger.info("Version %d of %s is unloaded", record.number, record.source.path)
        with self.changed:
            record.state, record.servable = "END", None
            self.changed.notify_all()

    def _later(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            self._executor.submit(work, *arguments)
        except RuntimeError:  # the executor is shut down
            work(*arguments)

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
