"""The service `grpc.health.v1.Health`, which tells the real state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from eigenfit_serving.protocol import grpc_api, messages
from eigenfit_serving.server.grpc_calls import parse
from eigenfit_serving.server.interfaces import ModelSource, is_ready
from eigenfit_serving.server.status import ServingError

# TensorFlow Serving's two names, and the full ones.
SERVICES = (
    "",
    "ModelService",
    "PredictionService",
    grpc_api.MODEL_SERVICE,
    grpc_api.PREDICTION_SERVICE,
)

_STATUS = messages.HealthCheckResponse.ServingStatus
_WATCH_SECONDS = 0.25
# Each occupies a thread.
_MAX_WATCHERS = 32


class HealthService:
    """Tells whether requests can be answered.

    Args:
        models: They can, if each of these has a version that is available.
        is_draining: Says whether the server is about to stop.
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

    def is_ready(self) -> bool:
        """Tells whether each configured model has a version that is available."""
        if self._is_draining() or self._stopped.is_set():
            return False
        return all(is_ready(self._models, name) for name in self._models.names())

    def stop(self) -> None:
        """Tells everybody that the server stops."""
        self._stopped.set()

    def _state(self, service: str) -> int | None:
        if service not in SERVICES:
            return None
        ready = self.is_ready()
        return _STATUS.Value("SERVING" if ready else "NOT_SERVING")

    def _check(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        state = self._state(_service(data, call))
        if state is None:
            call.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return messages.HealthCheckResponse(status=state).SerializeToString()

    def _list(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        response = messages.HealthListResponse()
        for service in SERVICES:
            response.statuses[service].status = self._state(service)
        return response.SerializeToString()

    def _watch(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        service = _service(data, call)
        if not self._watchers.acquire(blocking=False):
            call.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{_MAX_WATCHERS} callers watch already.",
            )
        try:
            gone = threading.Event()
            call.add_callback(gone.set)
            unknown = _STATUS.Value("SERVICE_UNKNOWN")
            told = None
            while call.is_active() and not gone.is_set():
                last = self._stopped.is_set()
                state = self._state(service)
                state = unknown if state is None else state
                if state != told:
                    told = state
                    yield messages.HealthCheckResponse(status=state).SerializeToString()
                if last:
                    return
                gone.wait(_WATCH_SECONDS)
        finally:
            self._watchers.release()


def _service(data: bytes, call: grpc.ServicerContext) -> str:
    try:
        return parse(messages.HealthCheckRequest, data).service
    except ServingError as error:
        call.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        raise
