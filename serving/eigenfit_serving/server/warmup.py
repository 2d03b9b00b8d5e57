"""Runs the requests that come with a model before anybody else's.

They are in `assets.extra/tf_serving_warmup_requests`, a TFRecord of `PredictionLog`
messages. A model whose requests fail is not offered.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from eigenfit_serving.server.batching import WARMUP
from eigenfit_serving.server.interfaces import RequestContext, Servable
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import Code, ServingError, not_served

logger = logging.getLogger(__name__)

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

MAX_RECORDS = 1000

_NOT_SERVED = ("classify_log", "regress_log", "multi_inference_log")

Execute = Callable[[Servable, Any, Options], None]
"""Runs the request of a `PredictionLog`."""


def run_warmup(
    servable: Servable,
    options: Options,
    metrics: Metrics,
    execute: Execute | None = None,
) -> None:
    """Runs the requests that come with a model, if there are any.

    Args:
        servable: That was just loaded.
        options: How often each is run.
        metrics: Where the time goes.
        execute: Runs one; `execute_log` if not given.

    Raises:
        ServingError: If a request fails, or the file is not what it should be.
    """
    path = Path(servable.path) / WARMUP_FILE
    if not path.is_file():
        logger.info("No warmup data file found at %s", path)
        return
    start, records, status = time.monotonic(), 0, Code.OK
    try:
        for log in read_logs(path):
            for _ in range(max(1, options.num_request_iterations_for_warmup)):
                (execute or execute_log)(servable, log, options)
            records += 1
            if records > MAX_RECORDS:
                raise ServingError(
                    Code.INVALID_ARGUMENT,
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at "
                    f"{path}",
                )
    except ServingError as error:
        status = error.code
        raise
    finally:
        seconds = time.monotonic() - start
        metrics.warmed_up(servable.path, status.name, seconds, records)
    logger.info(
        "Finished reading warmup data for model at %s. Number of warmup records read: "
        "%d. Elapsed time (microseconds): %d.",
        path,
        records,
        round(seconds * 1e6),
    )


def read_logs(path: Path) -> Iterator[Any]:
    """Reads `PredictionLog` messages from a TFRecord file.

    Raises:
        ServingError: DATA_LOSS or INVALID_ARGUMENT.
    """
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    from eigenfit_serving.protocol.messages import PredictionLog

    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except tf.errors.DataLossError as error:
            raise ServingError(
                Code.DATA_LOSS,
                f"{error.message}. Please verify your warmup data is in TFRecord "
                f"format.",
            ) from None
        try:
            yield PredictionLog.FromString(record)
        except DecodeError:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Failed to parse warmup record: {record[:256]!r} from {path}",
            ) from None


def execute_log(servable: Servable, log: Any, options: Options) -> None:
    """Runs the request of a `PredictionLog`.

    Raises:
        ServingError: If it fails, or is of a kind that is not run.
    """
    kind = log.WhichOneof("log_type") or "nothing"
    if kind == "predict_log":
        context = RequestContext("predict", WARMUP, "warm-up")
        _predict(servable, log.predict_log.request, context, options)
    elif kind in _NOT_SERVED:
        logger.warning("A warm-up record is skipped: %s", not_served(kind))
    else:
        raise ServingError(
            Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {kind}"
        )


def _predict(
    servable: Servable, request: Any, context: RequestContext, options: Options
) -> None:
    from eigenfit_serving.protocol.tensors import to_array
    from eigenfit_serving.server.predict import predict

    try:
        inputs = {name: to_array(tensor) for name, tensor in request.inputs.items()}
    except ValueError as error:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"tensor parsing error: {error}"
        ) from None
    name = request.model_spec.signature_name
    predict(servable, name, inputs, request.output_filter, context, options)
