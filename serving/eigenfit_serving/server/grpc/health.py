"""The service `grpc.health.v1.Health`, which tells the actual state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from eigenfit_serving.protocol import grpc_api, messages
from eigenfit_serving.server.interfaces import ModelSource, is_ready

# TensorFlow Serving's two short names, and the full ones.
SERVICES = (
    "",
    "ModelService",
    "PredictionService",
    grpc_api.MODEL_SERVICE,
    grpc_api.PREDICTION_SERVICE,
)

_STATUS = messages.HealthCheckResponse.ServingStatus
_WATCH_SECONDS = 0.25
# Each watcher occupies a thread.
_MAX_WATCHERS = 32


class HealthService:
    """Tells whether requests can be answered.

    Args:
        models: Where models are found; all of them need an available version.
        is_draining: Tells whether the server is about to stop.
    """

    def __init__(self, models: ModelSource, is_draining: Callable[[], bool]) -> None:
        self._models, self._is_draining = models, is_draining
        self._watchers = threading.BoundedSemaphore(_MAX_WATCHERS)
        self._stopped = threading.Event()

    def handlers(self) -> dict[str, Any]:
        """Lists the handlers by name of the method."""
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "List": grpc.unary_unary_rpc_method_handler(self._list),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }

    def stop(self) -> None:
        """Tells all watchers that the server stops."""
        self._stopped.set()

    def _state(self, service: str) -> int:
        if service not in SERVICES:
            return _STATUS.Value("SERVICE_UNKNOWN")
        is_ending = self._is_draining() or self._stopped.is_set()
        models = self._models
        ready = not is_ending and all(is_ready(models, x) for x in models.names())
        return _STATUS.Value("SERVING" if ready else "NOT_SERVING")

    def _check(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        service = _service(data, call)
        if service not in SERVICES:
            call.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return _response(self._state(service))

    def _list(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        response = messages.HealthListResponse()
        for service in SERVICES:
            response.statuses[service].status = self._state(service)
        return response.SerializeToString()

    def _watch(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        service = _service(data, call)
        if not self._watchers.acquire(blocking=False):
            text = f"{_MAX_WATCHERS} callers watch already."
            call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        try:
            gone, told, is_last = threading.Event(), None, False
            call.add_callback(gone.set)
            while call.is_active() and not gone.is_set() and not is_last:
                is_last = self._stopped.is_set()
                state = self._state(service)
                if state != told:
                    told = state
                    yield _response(state)
                gone.wait(0.0 if is_last else _WATCH_SECONDS)
        finally:
            self._watchers.release()


def _response(state: int) -> bytes:
    return messages.HealthCheckResponse(status=state).SerializeToString()


def _service(data: bytes, call: grpc.ServicerContext) -> str:
    try:
        return messages.HealthCheckRequest.FromString(data).service
    except DecodeError:
        call.abort(grpc.StatusCode.INVALID_ARGUMENT, "It is no HealthCheckRequest.")
        raise
