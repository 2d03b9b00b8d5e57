"""What the server counts: TensorFlow Serving's metrics, and ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import prometheus_client as prometheus

from eigenfit_serving.results import SUCCESSES
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.status import Code
from eigenfit_serving.server.tf_metrics import Counter, Histogram, exponential

_LATENCY = exponential(10, 1.8, 33)
_SIZES = exponential(1, 2, 14)

_GRPC_NAMES = {
    "predict": "Predict",
}


class Metrics:
    """All metrics of a server; safe to use from many threads."""

    def __init__(self) -> None:
        serving = "/tensorflow/serving"
        batching = f"{serving}/batching_session"
        core, saved = "/tensorflow/core", "/tensorflow/cc/saved_model"
        self._requests = Counter(f"{serving}/request_count", "model_name", "status")
        self._latency = Histogram(
            f"{serving}/request_latency", _LATENCY, "model_name", "API", "entrypoint"
        )
        self._runtime = Histogram(
            f"{serving}/runtime_latency", _LATENCY, "model_name", "API", "runtime"
        )
        self._examples = Histogram(
            f"{serving}/request_example_counts", exponential(1, 2, 15), "model"
        )
        self._all_examples = Counter(f"{serving}/request_example_count_total", "model")
        self._warmup = Histogram(
            f"{serving}/model_warmup_latency", _LATENCY, "model_path", "status"
        )
        self._warmup_records = Counter(
            f"{serving}/model_warmup_records_read", "model_path"
        )
        self._waits = Histogram(
            f"{batching}/queuing_latency", exponential(100, 1.2, 52), "thread_pool_name"
        )
        self._batches = Counter(f"{batching}/wrapped_run_count")
        self._padding = Histogram(
            f"{batching}/padding_size", _SIZES, "execution_batch_size"
        )
        self._inputs = Histogram(f"{batching}/input_batch_size", _SIZES)
        self._processed = Histogram(f"{batching}/processed_batch_size", _SIZES)
        self._runs = Counter(f"{core}/graph_runs")
        self._run_time = Counter(f"{core}/graph_run_time_usecs")
        self._loads = Counter(f"{saved}/load_attempt_count", "model_path", "status")
        self._load_time = Counter(f"{saved}/load_latency", "model_path")
        # Of many rows at a time, which prometheus_client cannot take.
        self._steps = Histogram(
            "eigenfit_steps", exponential(1, 2, 17), "model_name", is_inclusive=True
        )
        found = vars(self).values()
        self._texts = [x for x in found if isinstance(x, (Counter, Histogram))]
        self._ours = prometheus.CollectorRegistry()
        self._make_ours(self._ours)

    def _make_ours(self, registry: prometheus.CollectorRegistry) -> None:
        model = ["model_name"]
        self._in_flight = prometheus.Gauge(
            "eigenfit_in_flight",
            "Requests that are being worked on.",
            registry=registry,
        )
        self._depth = prometheus.Gauge(
            "eigenfit_queue_depth",
            "Requests that wait for a batch.",
            registry=registry,
        )
        self._rejected = prometheus.Counter(
            "eigenfit_rejected", "Requests refused.", ["reason"], registry=registry
        )
        self._batch_rows = prometheus.Histogram(
            "eigenfit_batch_rows",
            "Rows of a batch, without padding.",
            model,
            buckets=exponential(1, 2, 14),
            registry=registry,
        )
        self._padded_rows = prometheus.Counter(
            "eigenfit_padding_rows", "Rows that fill up.", model, registry=registry
        )
        self._signatures = prometheus.Counter(
            "eigenfit_requests",
            "Requests by signature.",
            ["model_name", "signature", "api", "entrypoint", "status"],
            registry=registry,
        )
        self._unsuccessful = prometheus.Counter(
            "eigenfit_nonconverged_rows",
            "Rows whose fit is no success: neither converged nor a minimum.",
            ["model_name", "result"],
            registry=registry,
        )
        self._rows = prometheus.Counter(
            "eigenfit_rows", "Rows that were fitted.", model, registry=registry
        )
        self._compiles = prometheus.Counter(
            "eigenfit_compilations",
            "First runs of a shape that XLA compiles.",
            model,
            registry=registry,
        )
        self._compile_time = prometheus.Counter(
            "eigenfit_compilation_seconds",
            "Time of the first runs of shapes that XLA compiles.",
            model,
            registry=registry,
        )

    # Requests.

    def begin(self) -> None:
        """Notes that a request is let in."""
        self._in_flight.inc()

    def end(self, context: RequestContext, code: Code, seconds: float) -> None:
        """Notes that a request is over."""
        self._in_flight.dec()
        if context.api not in _GRPC_NAMES:
            return
        # Names that callers invent become no labels.
        model = context.model if context.version is not None else ""
        self._requests.add(model, code.name)
        signature = context.signature if code is Code.OK else ""
        self._signatures.labels(
            model,
            signature,
            context.api,
            context.entrypoint,
            code.name,
        ).inc()
        if code is not Code.OK:
            return
        is_grpc = context.entrypoint == "GRPC"
        api = _GRPC_NAMES[context.api] if is_grpc else context.api
        self._latency.add(seconds * 1e6, model, api, context.entrypoint)
        if context.run_seconds:
            self._runtime.add(context.run_seconds * 1e6, model, api, "TF1")
        if context.api != "predict" and context.rows is not None:
            self._examples.add(context.rows, model)
            self._all_examples.add(model, by=context.rows)

    def reject(self, reason: str) -> None:
        """Notes that a request is refused."""
        self._rejected.labels(reason).inc()

    # Batches and runs.

    def batch_input(self, rows: int) -> None:
        """Notes the rows of a request."""
        self._inputs.add(rows)

    def batch_wait(self, pool: str, seconds: float) -> None:
        """Notes how long a request waited for its batch."""
        self._waits.add(seconds * 1e6, pool)

    def batch_run(self, model: str, rows: int, size: int) -> None:
        """Notes the rows of a batch, and with the padding."""
        self._batches.add()
        self._padding.add(size - rows, str(size))
        self._processed.add(size)
        self._batch_rows.labels(model).observe(rows)
        self._padded_rows.labels(model).inc(size - rows)

    def run(self, seconds: float) -> None:
        """Notes a run of TensorFlow."""
        self._runs.add()
        self._run_time.add(by=round(seconds * 1e6))

    def compiled(self, model: str, seconds: float) -> None:
        """Notes the first run of a shape that XLA compiles."""
        self._compiles.labels(model).inc()
        self._compile_time.labels(model).inc(seconds)

    def fitted(
        self, model: str, steps: np.ndarray | None, results: np.ndarray | None
    ) -> None:
        """Notes how fits ended."""
        if steps is not None:
            self._steps.add_all(steps, model)
        if results is not None:
            codes, counts = np.unique(np.ravel(results), return_counts=True)
            self._rows.labels(model).inc(int(counts.sum()))
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                if code not in SUCCESSES:
                    self._unsuccessful.labels(model, str(code)).inc(count)

    def watch_depth(self, depth: Callable[[], float]) -> None:
        """Says where the number of waiting requests is to be asked for."""
        self._depth.set_function(depth)

    # Models.

    def loaded(self, path: str, status: str, seconds: float) -> None:
        """Notes an attempt to load a SavedModel: `success` or `fail`."""
        self._loads.add(path, status)
        if status == "success":
            self._load_time.add(path, by=round(seconds * 1e6))

    def warmed_up(self, path: str, status: str, seconds: float, records: int) -> None:
        """Notes a warm-up."""
        self._warmup.add(seconds * 1e6, path, status)
        if records:
            self._warmup_records.add(path, by=records)

    def render(self) -> bytes:
        """Writes all metrics in the text format of Prometheus."""
        lines = [line for metric in _by_name(self._texts) for line in metric.lines()]
        text = "".join(f"{line}\n" for line in lines)
        return text.encode() + prometheus.generate_latest(self._ours)


def _by_name(
    metrics: Iterable[Counter | Histogram],
) -> list[Counter | Histogram]:
    return sorted(metrics, key=lambda metric: metric.name)
