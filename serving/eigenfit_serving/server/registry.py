"""The models that are served, as requests and operators see them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from eigenfit_serving.server.handles import Handle
from eigenfit_serving.server.interfaces import ModelSpec, Servable, VersionStatus
from eigenfit_serving.server.labels import Labels, assign_labels, find_label
from eigenfit_serving.server.lifecycle import describe_failures
from eigenfit_serving.server.manager import Clocks, Load, Manager
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import Code, ServingError
from eigenfit_serving.server.versions import (
    ModelSettings,
    check_platforms,
    check_platforms_kept,
    read_models,
)


class _Lease:
    """Holds a version for a request."""

    __slots__ = ("_find", "_handle")

    def __init__(self, find: Callable[[], Handle]) -> None:
        self._find = find
        self._handle: Handle | None = None

    def __enter__(self) -> Servable:
        self._handle = self._find()
        servable: Any = self._handle.servable
        return servable

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            self._handle.release()
            self._handle = None


class Registry:
    """A `ModelSource` over folders of SavedModels.

    Args:
        options: Of the server.
        load: Loads one version and warms it up.
        clocks: Where the time comes from.
        executor: Runs loads and unloads; a pool of threads if not given.

    Attributes:
        manager: Does the work.
    """

    def __init__(
        self,
        options: Options,
        load: Load,
        clocks: Clocks | None = None,
        executor: Any = None,
    ) -> None:
        self.manager = Manager(options, load, clocks, executor)
        self._options = options
        self._reload_lock = threading.Lock()
        self._config: Any = None
        self._labels: Labels = {}

    def acquire(self, spec: ModelSpec) -> _Lease:
        """Holds a version while the context lasts; see `ModelSource`."""
        return _Lease(lambda: self._find(spec))

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Lists states, highest version first; see `ModelSource`."""
        found = self.manager.statuses(name)
        if version is not None:
            found = [x for x in found if x.version == version]
            if not found:
                raise ServingError(
                    Code.NOT_FOUND,
                    f"Could not find version {version} of model {name}",
                )
        if not found:
            raise ServingError(
                Code.NOT_FOUND, f"Could not find any versions of model {name}"
            )
        return found

    def names(self) -> list[str]:
        """Lists the configured models."""
        return list(self.manager.models)

    def start(self, config: Any, runs_thread: bool = True) -> None:
        """Takes the first configuration; loading goes on in the background.

        Args:
            config: A `ModelServerConfig`.
            runs_thread: Whether a thread does the work.

        Raises:
            ServingError: If the configuration is wrong.
        """
        models = read_models(config)
        check_platforms(config)
        self._configure(config, models)
        if runs_thread:
            self.manager.start()

    def check_started(self) -> bool:
        """Tells whether the first load is over, so that the ports can open.

        All models must serve; unless `strict_startup` is set, one is enough if no other
        is just being loaded.

        Raises:
            ServingError: If models cannot be loaded.
        """
        manager, is_strict = self.manager, self._options.strict_startup
        with manager.changed:
            missing = [x for x in manager.models if not manager.serving.get(x)]
            failed = [(x, manager.failure(x)) for x in missing]
            given_up = [(name, record) for name, record in failed if record is not None]
            if given_up and (is_strict or len(given_up) == len(manager.models)):
                raise describe_failures(given_up, "servable")
            if not missing:
                is_over = True
            elif is_strict or len(missing) == len(manager.models):
                is_over = False
            else:
                is_over = not any(self._is_beginning(name) for name in missing)
            is_over &= all(map(self._are_labels_settled, manager.models))
            if is_over:
                self._assign_labels()
            return is_over

    def wait_changed(self, timeout: float) -> None:
        """Waits until a version changes its state."""
        with self.manager.changed:
            self.manager.changed.wait(timeout)

    def reload(self, config: Any) -> None:
        """Replaces the configuration, waits for new models; see `ModelSource`."""
        manager = self.manager
        with self._reload_lock:
            if config.WhichOneof("config") != "model_config_list":
                raise ServingError(
                    Code.INVALID_ARGUMENT,
                    "ServerModelConfig type not supported by "
                    "HandleReloadConfigRequest. Only ModelConfigList is currently "
                    "supported",
                )
            models = read_models(config)
            check_platforms_kept(self._config, config)
            check_platforms(config)
            self._check_labels(models)
            new = sorted({model.name for model in models} - set(manager.models))
            self._configure(config, models)
            manager.wait(lambda: self._is_settled(new))
            with manager.changed:
                failed = [(name, manager.failure(name)) for name in new]
                given_up = [(name, record) for name, record in failed if record]
                if given_up:
                    raise describe_failures(given_up, "model")
                for name in new:
                    self._check_found(name)
                self._assign_labels()

    def close(self) -> None:
        """Closes every version; one that is in use, when it no longer is."""
        self.manager.close()

    def _find(self, spec: ModelSpec) -> Handle:
        if not spec.name:
            raise ServingError(
                Code.INVALID_ARGUMENT, "ModelSpec has no name specified."
            )
        with self.manager.changed:
            version = spec.version
            if spec.label is not None:
                version = find_label(self._labels, spec.name, spec.label)
            handles = self.manager.serving.get(spec.name, {})
            found = max(handles, default=None) if version is None else version
            handle = handles.get(found) if found is not None else None
            if handle is not None and handle.retain():
                return handle
        asked = f"Latest({spec.name})"
        if version is not None:
            asked = f"Specific({spec.name}, {version})"
        raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {asked}")

    def _configure(self, config: Any, models: list[ModelSettings]) -> None:
        self._config = type(config)()
        self._config.CopyFrom(config)
        self.manager.configure(models)

    def _check_labels(self, models: list[ModelSettings]) -> None:
        """Refuses labels for versions that these settings will not load."""
        comes = {x.name: self.manager.foresee(x) for x in models if x.labels}
        assign_labels(
            models,
            self._labels,
            lambda name, version: version in comes[name],
            self._options.allow_version_labels_for_unavailable_models,
        )

    def _assign_labels(self) -> None:
        manager = self.manager
        self._labels = assign_labels(
            manager.models.values(),
            self._labels,
            lambda name, version: version in manager.serving.get(name, {}),
            self._options.allow_version_labels_for_unavailable_models,
        )

    def _is_beginning(self, name: str) -> bool:
        """Tells whether a model is being loaded for the first time."""
        manager = self.manager
        return manager.is_pending(name) or any(
            not record.failures for record in manager.wanted(name)
        )

    def _is_settled(self, new: list[str]) -> bool:
        """Tells whether new models and versions with labels are loaded, or failed."""
        manager = self.manager
        for name in manager.models:
            if manager.is_unseen(name) or (name in new and manager.is_pending(name)):
                return False
            wanted = manager.wanted(name)
            is_open = wanted and not manager.serving.get(name)
            if name in new and is_open and manager.failure(name) is None:
                return False
            if not self._are_labels_settled(name):
                return False
        return True

    def _are_labels_settled(self, name: str) -> bool:
        """Tells whether the versions with labels of a model are loaded, or failed."""
        labelled = self.manager.models[name].labels.values()
        wanted = [x for x in self.manager.wanted(name) if x.number in labelled]
        return all(x.state == "AVAILABLE" or x.has_failed for x in wanted)

    def _check_found(self, name: str) -> None:
        if not self.manager.serving.get(name):
            path = self.manager.models[name].base_path
            raise ServingError(
                Code.NOT_FOUND,
                f"No versions of servable {name} found under base path {path}",
            )
