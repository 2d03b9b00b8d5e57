"""Makes a version ready to serve: loads it, joins requests, measures, warms up."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from eigenfit_serving.server.batching import BatchedServable
from eigenfit_serving.server.batching_parameters import BatchingParameters
from eigenfit_serving.server.config_files import model_batching_parameters
from eigenfit_serving.server.measuring import (
    FitServable,
    MeasuredServable,
    is_ours,
    tensors_called,
)
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.shapes import compiled_outputs
from eigenfit_serving.server.status import ServingError

RawLoad = Callable[[str, str, int, Options], Any]
"""Loads a SavedModel: path, name, version, options."""


class Loader:
    """Loads versions; what a `Manager` is given.

    Args:
        options: Of the server.
        metrics: Of the server.
        parameters: How requests are joined; None if they are not.
        raw_load: Loads a SavedModel; `executor.load_servable` if not given.
        warm_up: Runs the requests that come with a model; `warmup.run_warmup` if not
            given.
    """

    def __init__(
        self,
        options: Options,
        metrics: Metrics,
        parameters: BatchingParameters | None = None,
        raw_load: RawLoad | None = None,
        warm_up: Callable[[Any, Options, Metrics], None] | None = None,
    ) -> None:
        self._options, self._metrics = options, metrics
        self._parameters = parameters
        self._raw_load, self._warm_up = raw_load, warm_up
        self._batched: weakref.WeakSet[BatchedServable] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def queue_depth(self) -> int:
        """Number of runs that wait for a batch, of all models."""
        with self._lock:
            batched = list(self._batched)
        return sum(servable.queue_depth for servable in batched)

    def __call__(self, path: str, name: str, version: int) -> Any:
        """Loads a version and warms it up.

        Raises:
            ServingError: If that is not possible.
        """
        servable = self._wrap(self._load(path, name, version))
        try:
            if self._options.enable_model_warmup:
                self._warm(servable)
        except BaseException:
            servable.close()
            raise
        return servable

    def _load(self, path: str, name: str, version: int) -> Any:
        load = self._raw_load
        if load is None:
            from eigenfit_serving.server.executor import load_servable as load
        start = time.monotonic()
        try:
            servable = load(path, name, version, self._options)
        except ServingError:
            self._metrics.loaded(path, "fail", time.monotonic() - start)
            raise
        self._metrics.loaded(path, "success", time.monotonic() - start)
        return servable

    def _wrap(self, raw: Any) -> Any:
        options, metrics = self._options, self._metrics
        try:
            parameters = model_batching_parameters(options, self._parameters, raw.path)
            compiled = compiled_outputs(raw.path, raw.signatures)
        except BaseException:
            raw.close()
            raise
        servable: Any = MeasuredServable(
            raw, metrics, compiled, options.max_compiled_shapes
        )
        ours = is_ours(raw.path)
        if parameters is not None:
            zeros = frozenset()
            if ours:
                zeros = tensors_called(raw.signatures, "max_steps", of="inputs")
            servable = BatchedServable(
                servable, parameters, metrics, options.max_queue, zeros
            )
            with self._lock:
                self._batched.add(servable)
        return FitServable(servable, metrics) if ours else servable

    def _warm(self, servable: Any) -> None:
        warm_up = self._warm_up
        if warm_up is None:
            from eigenfit_serving.server.warmup import run_warmup as warm_up
        warm_up(servable, self._options, self._metrics)
