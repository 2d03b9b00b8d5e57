"""The methods of the services: paths and messages, for server and client."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.protobuf.message_factory import GetMessageClass

from eigenfit_serving.protocol.pool import POOL

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
HEALTH_SERVICE = "grpc.health.v1.Health"


class Method(NamedTuple):
    """A method of a service.

    Attributes:
        service: Full name of the service.
        name: Name of the method.
        request: Message class of the request.
        response: Message class of the response.
        streams: Whether the server streams several responses.
    """

    service: str
    name: str
    request: Any
    response: Any
    streams: bool = False

    @property
    def path(self) -> str:
        """Path on the wire, such as `/tensorflow.serving.ModelService/...`."""
        return f"/{self.service}/{self.name}"


def methods_of(service: str) -> dict[str, Method]:
    """Lists the methods of a service by name."""
    described = POOL.FindServiceByName(service)
    return {
        method.name: Method(
            service,
            method.name,
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
            method.server_streaming,
        )
        for method in described.methods
    }


PREDICTION = methods_of(PREDICTION_SERVICE)
MODEL = methods_of(MODEL_SERVICE)
HEALTH = methods_of(HEALTH_SERVICE)
