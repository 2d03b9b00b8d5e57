"""Makes a version ready to serve: loads it, warms it up, measures its runs.

XLA compiles a program for every shape of its inputs, which takes up to seconds and
memory that is never freed; callers must not be able to cause that without end.

The requests that come with a model are in `assets.extra/tf_serving_warmup_requests`, a
TFRecord of `PredictionLog` messages. A model whose requests fail is not offered.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from eigenfit_serving.protocol.messages import PredictionLog
from eigenfit_serving.protocol.status import Code, ServingError, invalid, not_served
from eigenfit_serving.protocol.tensors import to_array
from eigenfit_serving.server.interfaces import WARMUP, RequestContext, Servable
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.running.predict import predict
from eigenfit_serving.server.watching.metrics import Metrics

logger = logging.getLogger(__name__)

_MANIFEST = "assets.extra/eigenfit.json"  # in models that eigenfit exports
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000

_NOT_SERVED = ("classify_log", "regress_log", "multi_inference_log")


def load_saved_model(path: str, name: str, version: int, options: Options) -> Any:
    """Loads a SavedModel with TensorFlow, which the first call imports."""
    from eigenfit_serving.server.running.executor import SavedModel

    return SavedModel(path, name, version, options)


def run_warmup(servable: Servable, options: Options) -> int:
    """Runs the requests that come with a model, if there are any, and counts them.

    Raises:
        ServingError: If a request fails, or the file is malformed.
    """
    path = Path(servable.path) / WARMUP_FILE
    if not path.is_file():
        logger.info("No warmup data file found at %s", path)
        return 0
    start, records = time.monotonic(), 0
    for log in read_logs(path):
        for _ in range(max(1, options.num_request_iterations_for_warmup)):
            execute_log(servable, log, options)
        records += 1
        if records > MAX_RECORDS:
            text = f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at "
            raise invalid(f"{text}{path}")
    logger.info(
        "Finished reading warmup data for model at %s. Number of warmup records read: "
        "%d. Elapsed time (microseconds): %d.",
        *(path, records, round((time.monotonic() - start) * 1e6)),
    )
    return records


def read_logs(path: Path) -> Iterator[Any]:
    """Reads `PredictionLog` messages from a TFRecord file.

    Raises:
        ServingError: DATA_LOSS or INVALID_ARGUMENT.
    """
    import tensorflow as tf

    record = b""
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield PredictionLog.FromString(record)
    except tf.errors.DataLossError as error:
        raise ServingError(
            Code.DATA_LOSS,
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
        ) from None
    except DecodeError:
        text = f"Failed to parse warmup record: {record[:256]!r} from {path}"
        raise invalid(text) from None


def execute_log(servable: Servable, log: Any, options: Options) -> None:
    """Runs the request of a `PredictionLog`."""
    kind = log.WhichOneof("log_type") or "nothing"
    if kind in _NOT_SERVED:
        logger.warning("A warm-up record is skipped: %s", not_served(kind))
        return
    if kind != "predict_log":
        text = f"Unsupported log_type for warmup: {kind}"
        raise ServingError(Code.UNIMPLEMENTED, text)
    request = log.predict_log.request
    context = RequestContext("predict", WARMUP, "warm-up")
    try:
        inputs = {name: to_array(tensor) for name, tensor in request.inputs.items()}
    except ValueError as error:
        raise invalid(f"tensor parsing error: {error}") from None
    name = request.model_spec.signature_name
    predict(servable, name, inputs, request.output_filter, context, options)


def load_version(
    options: Options, metrics: Metrics, path: str, name: str, version: int
) -> MeasuredServable:
    """Loads the version in a folder and warms it up.

    Raises:
        ServingError: If it cannot be loaded, or a warm-up request fails.
    """
    start = time.monotonic()
    raw = load_saved_model(path, name, version, options)
    loaded = time.monotonic()
    try:
        servable = MeasuredServable(raw, metrics, options.max_compiled_shapes)
        if options.enable_model_warmup:
            run_warmup(servable, options)
    except BaseException:
        raw.close()
        raise
    # Graphs live as long as their model: looking through them takes .3 s each time.
    for step in (gc.unfreeze, gc.collect, gc.freeze):
        step()
    took = loaded - start, time.monotonic() - loaded
    text = "Version %d of model %s took %.1f s to load and %.1f s to warm up"
    logger.info(text, version, name, *took)
    return servable


class MeasuredServable:
    """Times first runs, counts results of fits, and limits the shapes compiled."""

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
        """Closes the loaded version."""
        self._inner.close()

    def _admit(self, signature: str, inputs: Mapping[str, np.ndarray]) -> bool:
        """Records the shapes of a run; tells whether they are new."""
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
