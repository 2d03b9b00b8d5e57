"""Requests that TensorFlow Serving runs before it offers a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from eigenfit_export.probes.stored import Probe
from eigenfit_export.signatures import Signature

WARMUP = PurePath("assets.extra", "tf_serving_warmup_requests")

BATCHES = (1, 8, 64)
"""Default batch sizes of the warm-up requests."""

_TENSOR = type(tf.make_tensor_proto(0.0))

MAX_RECORDS = 1000
"""Most warm-up requests with which TensorFlow Serving loads a model."""


def write_warmup(
    folder: Path,
    signatures: Iterable[Signature],
    probes: Mapping[str, Probe],
    batches: Sequence[int] = BATCHES,
) -> int:
    """Writes a warm-up request for each function and batch size.

    Functions compiled by XLA get none: a server that refuses them would refuse the
    whole model. Every member repeats the first one of the probe, which is valid.

    Args:
        folder: Folder of the SavedModel.
        signatures: Functions of the model.
        probes: Inputs of each function, by its name.
        batches: Batch sizes.

    Returns:
        The number of requests.

    Raises:
        ValueError: If there are more than `MAX_RECORDS`.
    """
    wanted = [x for x in signatures if not x.is_compiled]
    if len(wanted) * len(batches) > MAX_RECORDS:
        raise ValueError(
            f"`warmup_batches` give {len(wanted) * len(batches)} requests; TensorFlow "
            f"Serving takes {MAX_RECORDS}. Give fewer sizes."
        )
    records = [
        _record(signature.name, probes[signature.name].inputs, batch)
        for signature in wanted
        for batch in batches
    ]
    path = folder / WARMUP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return len(records)


def read_warmup(path: Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Reads the requests back: the name of the function and its inputs."""
    requests = []
    for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        request = _message("PredictionLog").FromString(raw).predict_log.request
        inputs = {
            name: tf.make_ndarray(_TENSOR.FromString(tensor))
            for name, tensor in request.inputs.items()
        }
        requests.append((request.model_spec.signature_name, inputs))
    return requests


def _record(name: str, inputs: Mapping[str, np.ndarray], batch: int) -> bytes:
    log = _message("PredictionLog")()
    request = log.predict_log.request
    request.model_spec.signature_name = name
    for key, array in inputs.items():
        members = np.repeat(array[:1], batch, axis=0)
        proto = tf.make_tensor_proto(members)
        request.inputs[key] = proto.SerializeToString()
    return log.SerializeToString()


# A message and its serialised bytes look the same on the wire, so these few fields of
# tensorflow/serving's apis/*.proto suffice: the map of `inputs` holds serialised
# TensorProtos. A pool of our own cannot clash with another package's.

_FIELDS = {
    "ModelSpec": [("name", 1, None), ("signature_name", 3, None)],
    "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "InputsEntry")],
    "PredictLog": [("request", 1, "PredictRequest")],
    "PredictionLog": [("predict_log", 6, "PredictLog")],
}


@cache
def _message(name: str) -> Any:
    Field = descriptor_pb2.FieldDescriptorProto
    package = "eigenfit.serving"
    file = descriptor_pb2.FileDescriptorProto(
        name="eigenfit/prediction_log.proto", package=package, syntax="proto3"
    )
    for owner, fields in _FIELDS.items():
        message = file.message_type.add(name=owner)
        for field, number, kind in fields:
            own = message.field.add(
                name=field,
                number=number,
                label=Field.LABEL_OPTIONAL,
                type=Field.TYPE_MESSAGE if kind else Field.TYPE_STRING,
            )
            if kind == "InputsEntry":
                own.label = Field.LABEL_REPEATED
                own.type_name = f".{package}.{owner}.{kind}"
                entry = message.nested_type.add(name=kind)
                entry.options.map_entry = True
                for key, place, dtype in (
                    ("key", 1, Field.TYPE_STRING),
                    ("value", 2, Field.TYPE_BYTES),
                ):
                    entry.field.add(
                        name=key,
                        number=place,
                        label=Field.LABEL_OPTIONAL,
                        type=dtype,
                    )
            elif kind:
                own.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{package}.{name}")
    )
