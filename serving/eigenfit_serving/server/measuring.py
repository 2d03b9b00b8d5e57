"""A servable that measures another, and keeps XLA within limits.

XLA compiles a program for every shape of its inputs, which takes up to seconds and
memory that is not given back; callers must not be able to cause that without end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit_serving.server.interfaces import WARMUP, RequestContext
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.status import Code, ServingError

_MANIFEST = "assets.extra/eigenfit.json"
"""Comes with the models that eigenfit exports."""


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
