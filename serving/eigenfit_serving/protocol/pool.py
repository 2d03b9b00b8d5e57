"""The descriptor pool that holds the messages."""

from __future__ import annotations

from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool

from eigenfit_serving.protocol.schema import read_schema
from eigenfit_serving.protocol.schema_serving import APIS, CONFIG, HEALTH
from eigenfit_serving.protocol.schema_tensorflow import ERRORS, TENSORFLOW

_WELL_KNOWN = (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR)

# Name of the file, package, text; each may use those before it.
_FILES = (
    ("tensorflow/messages.proto", "tensorflow", TENSORFLOW),
    ("tensorflow/error_codes.proto", "tensorflow.error", ERRORS),
    ("tensorflow_serving/config.proto", "tensorflow.serving", CONFIG),
    ("tensorflow_serving/apis.proto", "tensorflow.serving", APIS),
    ("grpc/health/v1/health.proto", "grpc.health.v1", HEALTH),
)


def _make_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for known in _WELL_KNOWN:
        pool.AddSerializedFile(known.serialized_pb)
    files = [known.name for known in _WELL_KNOWN]
    for name, package, text in _FILES:
        needed = [] if text is HEALTH else files
        file = read_schema(name, package, text, needed)
        pool.AddSerializedFile(file.SerializeToString())
        files.append(name)
    return pool


POOL = _make_pool()
"""All messages; separate from the default pool, which TensorFlow fills."""
