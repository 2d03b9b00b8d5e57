"""Reflection, by which tools like grpcurl learn the services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer

from eigenfit_serving.protocol.pool import POOL

# The two have the same messages.
NAMES = (
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.reflection.v1.ServerReflection",
)


def reflection_handlers(services: Sequence[str]) -> dict[str, Any]:
    """Makes the handlers of both versions, by name of the service.

    Args:
        services: Full names of what is served.
    """
    servicer = ReflectionServicer([*services, *NAMES], pool=POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {name: {"ServerReflectionInfo": handler} for name in NAMES}
