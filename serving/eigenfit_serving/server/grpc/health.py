"""The service `grpc.health.v1.Health`, which tells the actual state."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc

from eigenfit_serving.protocol import grpc_api
from eigenfit_serving.protocol.messages import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListResponse,
)
from eigenfit_serving.server.interfaces import ModelSource
from eigenfit_serving.server.models.lifecycle import is_ready
from eigenfit_serving.server.watching.gate import RequestGate

# TensorFlow Serving's two short names, and the full ones.
SERVICES = (
    "",
    "ModelService",
    "PredictionService",
    grpc_api.MODEL_SERVICE,
    grpc_api.PREDICTION_SERVICE,
)

_WATCH_SECONDS = 0.25
# Each watcher occupies a thread.
_MAX_WATCHERS = 32


class HealthService:
    """Tells whether requests can be answered: all models must have a version."""

    def __init__(self, models: ModelSource, gate: RequestGate) -> None:
        self._models, self._gate = models, gate
        self._watchers = threading.BoundedSemaphore(_MAX_WATCHERS)
        self._stopped = threading.Event()

    def handlers(self) -> dict[str, Any]:
        """Lists the handlers by name of the method."""
        read = HealthCheckRequest.FromString
        write = HealthCheckResponse.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, read, write),
            "List": grpc.unary_unary_rpc_method_handler(self._list),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, read, write),
        }

    def stop(self) -> None:
        """Tells all watchers that the server stops."""
        self._stopped.set()

    def _state(self, service: str) -> int:
        if service not in SERVICES:
            return HealthCheckResponse.SERVICE_UNKNOWN
        is_ending = self._gate.draining or self._stopped.is_set()
        models = self._models
        ready = not is_ending and all(is_ready(models, x) for x in models.names())
        return HealthCheckResponse.SERVING if ready else HealthCheckResponse.NOT_SERVING

    def _check(self, request: Any, call: grpc.ServicerContext) -> Any:
        if request.service not in SERVICES:
            call.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return HealthCheckResponse(status=self._state(request.service))

    def _list(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        response = HealthListResponse()
        for service in SERVICES:
            response.statuses[service].status = self._state(service)
        return response.SerializeToString()

    def _watch(self, request: Any, call: grpc.ServicerContext) -> Iterator[Any]:
        if not self._watchers.acquire(blocking=False):
            text = f"{_MAX_WATCHERS} callers watch already."
            call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        try:
            gone, told, is_last = threading.Event(), None, False
            call.add_callback(gone.set)
            while call.is_active() and not gone.is_set() and not is_last:
                is_last = self._stopped.is_set()
                state = self._state(request.service)
                if state != told:
                    told = state
                    yield HealthCheckResponse(status=state)
                gone.wait(0.0 if is_last else _WATCH_SECONDS)
        finally:
            self._watchers.release()
