"""A transport without a network: the server's own code, called directly."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eigenfit_serving.client.calls import (
    Call,
    GetMetadata,
    GetStatus,
    ListModels,
    Metadata,
    Outputs,
    Predict,
    Target,
)
from eigenfit_serving.client.errors import error_of
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.interfaces import (
    ModelSource,
    ModelSpec,
    RequestContext,
    Servable,
    unknown_label,
    unknown_version,
)
from eigenfit_serving.server.options import Options


class InProcess:
    """Answers calls in this process, with the checks and errors of the server.

    Args:
        models: The models of a server (a `ModelSource`), or a folder as `serve` takes
            it, from which the newest version of each model is loaded.
        options: Options of the server, such as limits; its defaults if None.

    Example:
        >>> client = Client(InProcess("models"), model="chain")  # doctest: +SKIP
        >>> client.eigenvalues([1.0, 2.0, 3.0, 4.0, 5.0])  # doctest: +SKIP
    """

    def __init__(
        self,
        models: ModelSource | str | os.PathLike[str],
        options: Options | None = None,
    ) -> None:
        self._options = options or Options()
        self._own: _Loaded | None = None
        if isinstance(models, (str, os.PathLike)):
            models = self._own = _Loaded(Path(models), self._options)
        self._models: ModelSource = models

    def __repr__(self) -> str:
        return f"InProcess({', '.join(self._models.names())})"

    def send(self, call: Call, timeout: float | None) -> Any:
        """Answers one call; see `Transport.send`."""
        try:
            return self._answer(call, timeout)
        except ServingError as error:
            raise error_of(error.code, error.message) from error

    def close(self) -> None:
        """Unloads the models, if they were loaded from a folder."""
        if self._own is not None:
            self._own.close()

    def _answer(self, call: Call, timeout: float | None) -> Any:
        match call:
            case ListModels():
                return sorted(self._models.names())
            case GetStatus(target):
                from eigenfit_serving.client.transports.grpc_wire import versions_of

                return versions_of(self._models.status(target.name, target.version))
            case GetMetadata(target):
                from eigenfit_serving.client.transports.grpc_wire import signature_of

                with self._models.acquire(_spec(target)) as servable:
                    signatures = {
                        name: signature_of(entry)
                        for name, entry in servable.signatures.items()
                    }
                    return Metadata(target.name, servable.version, signatures)
            case Predict():
                return self._predict(call, timeout)

    def _predict(self, call: Predict, timeout: float | None) -> Outputs:
        from eigenfit_serving.server.running.predict import predict

        deadline = None if timeout is None else time.monotonic() + timeout
        context = RequestContext("predict", "GRPC", uuid.uuid4().hex, deadline)
        timer = threading.Timer(timeout or 0.0, context.cancel)
        if timeout is not None:
            timer.start()
        try:
            with self._models.acquire(_spec(call.target)) as servable:
                name, inputs = call.signature, dict(call.inputs)
                arrays = predict(servable, name, inputs, (), context, self._options)
                return Outputs(arrays, servable.version)
        finally:
            timer.cancel()


class _Loaded:
    """The newest version of each model in a folder."""

    def __init__(self, path: Path, options: Options) -> None:
        from eigenfit_serving.model_folders import find_models
        from eigenfit_serving.server.running.executor import SavedModel

        self._servables: dict[str, Any] = {}
        try:
            for model in find_models(path).models:
                folder, version = model.newest()
                self._servables[model.name] = SavedModel(
                    str(folder), model.name, version, options
                )
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def acquire(self, spec: ModelSpec) -> Iterator[Servable]:
        own = self._servables.get(spec.name)
        if own is None or spec.version not in (None, own.version):
            raise unknown_version(spec.name, spec.version)
        if spec.label is not None:
            raise unknown_label(spec.label)
        yield own

    def status(self, name: str, version: int | None = None) -> list[Any]:
        from eigenfit_serving.protocol.messages import ModelVersionStatus

        with self.acquire(ModelSpec(name, version)) as servable:
            return [ModelVersionStatus(version=servable.version, state="AVAILABLE")]

    def names(self) -> list[str]:
        return list(self._servables)

    def reload(self, config: Any) -> None:
        raise ServingError(Code.UNIMPLEMENTED, "These models are fixed.")

    def close(self) -> None:
        servables: Mapping[str, Any] = self._servables
        self._servables = {}
        for servable in servables.values():
            servable.close()


def _spec(target: Target) -> ModelSpec:
    return ModelSpec(target.name, target.version, target.label)
