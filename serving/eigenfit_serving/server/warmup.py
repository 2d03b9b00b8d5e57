"""Runs the requests that come with a model before anybody else's.

They are in `assets.extra/tf_serving_warmup_requests`, a TFRecord of `PredictionLog`
messages. A model whose requests fail is not offered.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from eigenfit_serving.protocol.messages import PredictionLog
from eigenfit_serving.protocol.tensors import to_array
from eigenfit_serving.server.interfaces import WARMUP, RequestContext, Servable
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import predict
from eigenfit_serving.server.status import Code, ServingError, invalid, not_served

logger = logging.getLogger(__name__)

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

MAX_RECORDS = 1000

_NOT_SERVED = ("classify_log", "regress_log", "multi_inference_log")


def run_warmup(servable: Servable, options: Options) -> int:
    """Runs the requests that come with a model, if there are any.

    Args:
        servable: That was just loaded.
        options: How often each is run.

    Returns:
        The number of requests.

    Raises:
        ServingError: If a request fails, or the file is not what it should be.
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
            raise invalid(
                f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at "
                f"{path}"
            )
    logger.info(
        "Finished reading warmup data for model at %s. Number of warmup records read: "
        "%d. Elapsed time (microseconds): %d.",
        path,
        records,
        round((time.monotonic() - start) * 1e6),
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
    """Runs the request of a `PredictionLog`.

    Raises:
        ServingError: If it fails, or is of a kind that is not run.
    """
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
