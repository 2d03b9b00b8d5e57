"""Makes a version ready to serve: loads it, measures it, warms it up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from eigenfit_serving.server.measuring import MeasuredServable
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.warmup import run_warmup

logger = logging.getLogger(__name__)

RawLoad = Callable[[str, str, int, Options], Any]
"""Loads a SavedModel: path, name, version, options."""


class Loader:
    """Loads versions; what a `Manager` is given.

    Args:
        options: Of the server.
        metrics: Of the server.
        raw_load: Loads a SavedModel; `executor.SavedModel` if not given.
        warm_up: Runs the requests that come with a model.
    """

    def __init__(
        self,
        options: Options,
        metrics: Metrics,
        raw_load: RawLoad | None = None,
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
        raw = (self._raw_load or _load)(path, name, version, self._options)
        loaded = time.monotonic()
        try:
            servable = MeasuredServable(
                raw, self._metrics, self._options.max_compiled_shapes
            )
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


def _load(path: str, name: str, version: int, options: Options) -> Any:
    # TensorFlow is imported with the first model.
    from eigenfit_serving.server.executor import SavedModel

    return SavedModel(path, name, version, options)
