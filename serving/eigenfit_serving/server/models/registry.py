"""The models that are served, as requests and operators see them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from eigenfit_serving.protocol.status import Code, ServingError, invalid, not_found
from eigenfit_serving.server.config_files import write_kept
from eigenfit_serving.server.interfaces import (
    ModelSpec,
    Servable,
    unknown_label,
    unknown_version,
)
from eigenfit_serving.server.models.lifecycle import Record, describe_failures
from eigenfit_serving.server.models.manager import Manager
from eigenfit_serving.server.models.polling import no_versions
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.versions import ModelSettings, read_models


class Registry:
    """A `ModelSource` over folders of SavedModels."""

    def __init__(self, options: Options, manager: Manager) -> None:
        self._options, self.manager = options, manager
        self._reload_lock = threading.Lock()
        self._labels: dict[str, dict[str, int]] = {}

    @contextmanager
    def acquire(self, spec: ModelSpec) -> Iterator[Servable]:
        """Holds a version while the context lasts; see `ModelSource`."""
        record = self._find(spec)
        try:
            yield record.servable
        finally:
            self.manager.release(record)

    def status(self, name: str, version: int | None = None) -> list[Any]:
        """Lists states, highest version first; see `ModelSource`."""
        with self.manager.changed:
            model = self.manager.find(name)
            records = sorted(model.records.items(), reverse=True) if model else []
            found = [x.status() for number, x in records if version in (None, number)]
        if not found:
            which = "any versions" if version is None else f"version {version}"
            raise not_found(f"Could not find {which} of model {name}")
        return found

    def names(self) -> list[str]:
        """Lists the configured models."""
        return list(self.manager.models)

    def states(self) -> list[tuple[str, int, str]]:
        """Lists model, version and state of all versions, for the metrics."""
        with self.manager.changed:
            return [
                (name, number, record.state)
                for name, model in self.manager.models.items()
                for number, record in sorted(model.records.items(), reverse=True)
            ]

    def start(self, config: Any, runs_thread: bool = True) -> None:
        """Applies the first configuration; a thread loads, or who calls `manager.tick`.

        Raises:
            ServingError: If the configuration is wrong.
        """
        self.manager.configure(read_models(config))
        if runs_thread:
            self.manager.start()

    def check_started(self) -> bool:
        """Tells whether the first load is over, so that the ports can open.

        All models must serve; unless `strict_startup` is set, one is enough if no other
        is just being loaded.

        Raises:
            ServingError: If models cannot be loaded.
        """
        is_strict = self._options.strict_startup
        with self.manager.changed:
            models = self.manager.models
            missing = {name: x for name, x in models.items() if not x.serving}
            failed = self._failed(missing)
            if failed and (is_strict or len(failed) == len(models)):
                raise describe_failures(failed, "servable")
            awaited = list(missing.values())
            if not is_strict and len(missing) < len(models):
                awaited = [x for x in awaited if x.is_first_try]
            if awaited or not all(x.are_labels_settled for x in models.values()):
                return False
            self._assign_labels()
            return True

    def wait_changed(self, timeout: float) -> None:
        """Waits until a version changes its state, at most `timeout` seconds."""
        with self.manager.changed:
            self.manager.changed.wait(timeout)

    def reload(self, config: Any) -> None:
        """Applies a configuration and keeps it in a file; see `ModelSource`."""
        self.apply(config)
        if self._options.model_config_state:
            write_kept(self._options.model_config_state, config)

    def apply(self, config: Any) -> None:
        """Applies a configuration, as `reload` does, but does not keep it."""
        manager = self.manager
        with self._reload_lock:
            if config.WhichOneof("config") != "model_config_list":
                raise invalid(
                    "ServerModelConfig type not supported by "
                    "HandleReloadConfigRequest. Only ModelConfigList is currently "
                    "supported"
                )
            models = read_models(config, manager.models)
            # Labels for versions that these settings will not load are refused.
            comes = {x.name: manager.foresee(x) for x in models if x.labels}
            self._check_labels(models, lambda name, x: x in comes[name])
            new = sorted({model.name for model in models} - set(manager.models))
            manager.configure(models)
            manager.wait(lambda: self._is_settled(new))
            with manager.changed:
                if failed := self._failed(new):
                    raise describe_failures(failed, "model")
                for name in new:
                    if not manager.models[name].serving:
                        path = manager.models[name].settings.base_path
                        raise not_found(no_versions(name, path))
                self._assign_labels()

    def _find(self, spec: ModelSpec) -> Record:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        with self.manager.changed:
            version = spec.version
            if spec.label is not None:
                version = self._labels.get(spec.name, {}).get(spec.label)
                if version is None:
                    raise unknown_label(spec.label)
            model = self.manager.find(spec.name)
            serving = model.serving if model is not None else {}
            found = max(serving, default=None) if version is None else version
            if found is not None and found in serving:
                serving[found].users += 1
                return serving[found]
        raise unknown_version(spec.name, version)

    def _failed(self, names: Iterable[str]) -> list[tuple[str, Record]]:
        found = [(name, self.manager.models[name].failure()) for name in names]
        return [(name, record) for name, record in found if record is not None]

    def _check_labels(
        self, models: Iterable[ModelSettings], is_there: Callable[[str, int], bool]
    ) -> None:
        """Checks the labels of a configuration.

        Raises:
            ServingError: FAILED_PRECONDITION, if a version does not serve; unless
                labels that are new, or stay where they are, may wait for it.
        """
        may_wait = self._options.allow_version_labels_for_unavailable_models
        for model in models:
            for label, version in model.labels.items():
                was = self._labels.get(model.name, {}).get(label, version)
                is_excused = may_wait and was == version
                if not is_excused and not is_there(model.name, version):
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model "
                        f"{model.name}, which is not currently available for inference",
                    )

    def _assign_labels(self) -> None:
        models = self.manager.models
        settings = [model.settings for model in models.values()]
        self._check_labels(settings, lambda name, x: x in models[name].serving)
        self._labels = {model.name: model.labels for model in settings}

    def _is_settled(self, new: list[str]) -> bool:
        """Tells whether new models and versions with labels are loaded, or failed."""
        for name, model in self.manager.models.items():
            if not model.is_seen or not model.are_labels_settled:
                return False
            is_open = model.wanted and not model.serving and model.failure() is None
            if name in new and (model.is_pending or is_open):
                return False
        return True
