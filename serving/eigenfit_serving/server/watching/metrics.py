"""The metrics of the server, in the text format of Prometheus.

Two metrics have the names and labels that they have in TensorFlow Serving; the others
are eigenfit's own. No label holds what callers invent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from eigenfit_serving.protocol.status import Code
from eigenfit_serving.server.interfaces import RequestContext

_SERVING = ":tensorflow:serving"

_MICROSECONDS = tuple(float(f"{10 * 1.8**i:g}") for i in range(33))
"""Bounds of the buckets, as TensorFlow Serving writes them."""

_SECONDS = tuple(5e-4 * 2**i for i in range(18))

States = Callable[[], Iterable[tuple[str, int, str]]]
"""Lists model, version and state."""

prometheus.disable_created_metrics()


class Metrics(Collector):
    """All metrics of a server; safe to use from many threads."""

    def __init__(self) -> None:
        self._states: States = list
        self._registry = registry = prometheus.CollectorRegistry()
        registry.register(self)
        prometheus.ProcessCollector(registry=registry)
        counter = partial(prometheus.Counter, registry=registry)
        histogram = partial(prometheus.Histogram, registry=registry)
        self._requests = counter(
            f"{_SERVING}:request_count", "Requests by result.", ["model_name", "status"]
        )
        self._latency = histogram(
            f"{_SERVING}:request_latency",
            "Microseconds of the requests that succeeded.",
            ["model_name", "API", "entrypoint"],
            buckets=_MICROSECONDS,
        )
        self._seconds = histogram(
            "eigenfit_request_seconds",
            "Time of the requests that succeeded, by signature.",
            ["model_name", "signature"],
            buckets=_SECONDS,
        )
        self._rows = counter(
            "eigenfit_rows",
            "Rows that were fitted, by result code.",
            ["model_name", "result"],
        )
        self._in_flight = prometheus.Gauge(
            "eigenfit_in_flight", "Requests being worked on.", registry=registry
        )
        self._rejected = counter("eigenfit_rejected", "Requests refused.", ["reason"])
        self._compiled = prometheus.Summary(
            "eigenfit_compilation_seconds",
            "First runs of shapes that XLA compiles.",
            ["model_name"],
            registry=registry,
        )

    def begin(self) -> None:
        """Counts a request that is admitted."""
        self._in_flight.inc()

    def end(self, context: RequestContext, code: Code, seconds: float) -> None:
        """Counts and times a request that has ended."""
        self._in_flight.dec()
        if context.api != "predict":
            return
        # Names that callers invent become no labels.
        model = context.model if context.version is not None else ""
        self._requests.labels(model, code.name).inc()
        if code is Code.OK:
            entrypoint = context.entrypoint
            api = "Predict" if entrypoint == "GRPC" else "predict"
            self._latency.labels(model, api, entrypoint).observe(seconds * 1e6)
            self._seconds.labels(model, context.signature).observe(seconds)

    def reject(self, reason: str) -> None:
        """Counts a request that is refused."""
        self._rejected.labels(reason).inc()

    def compiled(self, model: str, seconds: float) -> None:
        """Times the first run of a shape that XLA compiles."""
        self._compiled.labels(model).observe(seconds)

    def fitted(self, model: str, results: np.ndarray) -> None:
        """Counts fits by their result codes."""
        codes, counts = np.unique(np.ravel(results), return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            self._rows.labels(model, str(code)).inc(count)

    def watch(self, states: States) -> None:
        """Sets the function that lists the states of models."""
        self._states = states

    def render(self) -> bytes:
        """Writes all metrics."""
        text = prometheus.generate_latest(self._registry)
        # TensorFlow Serving's counter has no suffix.
        name = f"{_SERVING}:request_count".encode()
        return text.replace(name + b"_total", name)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Lists the states of models for the registry."""
        family = GaugeMetricFamily(
            "eigenfit_model_state",
            "1 for the state in which a version is.",
            labels=["model_name", "version", "state"],
        )
        for model, version, state in self._states():
            family.add_metric([model, str(version), state], 1)
        yield family
