"""Servables that measure what others run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eigenfit_serving.server.batching import WARMUP
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.shapes import ShapeBudget

_MANIFEST = "assets.extra/eigenfit.json"


class MeasuredServable:
    """Times the runs, and holds compiled ones to a budget of shapes.

    Args:
        inner: What runs.
        metrics: Where the times go.
        compiled: Output tensors that XLA computes.
        max_shapes: For which it may be compiled.
    """

    def __init__(
        self,
        inner: Any,
        metrics: Metrics,
        compiled: Collection[str] = (),
        max_shapes: int = 64,
    ) -> None:
        self.name, self.version, self.path = inner.name, inner.version, inner.path
        self.signatures = inner.signatures
        self._inner, self._metrics = inner, metrics
        self._compiled = compiled
        self._budget = ShapeBudget(inner.name, max_shapes)

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs the graph; see `Servable`."""
        is_compiled = any(fetch in self._compiled for fetch in fetches)
        is_new = is_compiled and self._budget.admit(feeds, sorted(fetches))
        before, start = context.run_seconds, time.monotonic()
        try:
            return self._inner.run(feeds, fetches, context)
        finally:
            seconds = time.monotonic() - start
            context.run_seconds = before + seconds
            self._metrics.run(seconds)
            if is_new:
                self._metrics.compiled(self.name, seconds)

    def close(self) -> None:
        """Closes what runs."""
        self._inner.close()


class FitServable:
    """Counts the steps and the result codes of fits.

    Args:
        inner: A model that eigenfit exported.
        metrics: Where they are counted.
    """

    def __init__(self, inner: Any, metrics: Metrics) -> None:
        self.name, self.version, self.path = inner.name, inner.version, inner.path
        self.signatures = inner.signatures
        self._inner, self._metrics = inner, metrics
        self._steps = tensors_called(inner.signatures, "num_steps", of="outputs")
        self._results = tensors_called(inner.signatures, "result", of="outputs")

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        context: RequestContext,
    ) -> list[np.ndarray]:
        """Runs the graph; see `Servable`."""
        outputs = self._inner.run(feeds, fetches, context)
        if context.entrypoint == WARMUP:
            return outputs
        named = dict(zip(fetches, outputs, strict=True))
        steps = [x for name, x in named.items() if name in self._steps]
        results = [x for name, x in named.items() if name in self._results]
        if steps or results:
            self._metrics.fitted(
                self.name,
                steps[0] if steps else None,
                results[0] if results else None,
            )
        return outputs

    def close(self) -> None:
        """Closes what runs."""
        self._inner.close()


def is_ours(path: str) -> bool:
    """Tells whether eigenfit exported a SavedModel."""
    return (Path(path) / _MANIFEST).is_file()


def tensors_called(
    signatures: Mapping[str, Any], alias: str, of: str
) -> frozenset[str]:
    """Lists the tensors that signatures call by a name.

    Args:
        signatures: By name.
        alias: Of an input or output.
        of: `inputs` or `outputs`.
    """
    infos = (getattr(signature, of) for signature in signatures.values())
    return frozenset(info[alias].name for info in infos if alias in info)
