"""Makes a version ready to serve: loads it, measures it, warms it up.

XLA compiles a program for every shape of its inputs, which takes up to seconds and
memory that is not given back; callers must not be able to cause that without end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit_serving.server.interfaces import WARMUP, RequestContext
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import Code, ServingError
from eigenfit_serving.server.warmup import run_warmup

logger = logging.getLogger(__name__)

_MANIFEST = "assets.extra/eigenfit.json"
"""Comes with the models that eigenfit exports."""

RawLoad = Callable[[str, str, int, Options], Any]
"""Loads a SavedModel: path, name, version, options."""


def load_saved_model(path: str, name: str, version: int, options: Options) -> Any:
    """Loads a SavedModel by TensorFlow, which is imported with the first one."""
    from eigenfit_serving.server.executor import SavedModel

    return SavedModel(path, name, version, options)


class Loader:
    """Loads versions; what a `Manager` is given.

    Args:
        options: Of the server.
        metrics: Of the server.
        raw_load: Loads a SavedModel.
        warm_up: Runs the requests that come with a model.
    """

    def __init__(
        self,
        options: Options,
        metrics: Metrics,
        raw_load: RawLoad = load_saved_model,
        warm_up: Callable[[Any, Options], object] = run_warmup,
    ) -> None:
        self._options, self._metrics = options, metrics
        self._raw_load, self._warm_up = raw_load, warm_up

    def __call__(self, path: str, name: str, version: int) -> Any:
        """Loads a version and warms it up.

        Raises:
            ServingError: If that is not possible.
        """
        start = time.monotonic()
        raw = self._raw_load(path, name, version, self._options)
        loaded = time.monotonic()
        try:
            limit = self._options.max_compiled_shapes
            servable = MeasuredServable(raw, self._metrics, limit)
            if self._options.enable_model_warmup:
                self._warm_up(servable, self._options)
        except BaseException:
            raw.close()
            raise
        logger.info(
            "Version %d of model %s took %.1f s to load and %.1f s to warm up",
            version,
            name,
            loaded - start,
            time.monotonic() - loaded,
        )
        return servable


class MeasuredServable:
    """Times runs, counts results of fits, and the shapes of compiled signatures.

    Args:
        inner: What runs.
        metrics: Where all this goes.
        max_shapes: For which a model may be compiled.
    """

    def __init__(self, inner: Any, metrics: Metrics, max_shapes: int = 64) -> None:
        self.name, self.version, self.path = inner.name, inner.version, inner.path
        self.signatures = inner.signatures
        self._inner, self._metrics, self._limit = inner, metrics, max_shapes
        self._is_fit = (Path(inner.path) / _MANIFEST).is_file()
        self._shapes: set[tuple[Any, ...]] = set()
        self._lock = threading.Lock()

    def run(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs a signature; see `Servable`."""
        is_new = signature in self._inner.compiled and self._admit(signature, inputs)
        start = time.monotonic()
        try:
            arrays = self._inner.run(signature, inputs, outputs, context)
        finally:
            if is_new:
                self._metrics.compiled(self.name, time.monotonic() - start)
        if self._is_fit and context.entrypoint != WARMUP and "result" in outputs:
            self._metrics.fitted(self.name, arrays[list(outputs).index("result")])
        return arrays

    def close(self) -> None:
        """Closes what runs."""
        self._inner.close()

    def _admit(self, signature: str, inputs: Mapping[str, np.ndarray]) -> bool:
        """Notes the shapes of a run; tells whether they are new."""
        shapes = sorted((name, x.shape, x.dtype.str) for name, x in inputs.items())
        key = (signature, *shapes)
        with self._lock:
            if key in self._shapes:
                return False
            if len(self._shapes) >= self._limit:
                listed = ", ".join(f"{name} {list(shape)}" for name, shape, _ in shapes)
                raise ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"Model {self.name} would have to be compiled for the shapes "
                    f"{listed}, but was compiled for {len(self._shapes)} already, and "
                    f"at most {self._limit} are allowed (max_compiled_shapes). Use "
                    "shapes that were used before, or a signature that is not "
                    "compiled.",
                )
            self._shapes.add(key)
            return True
