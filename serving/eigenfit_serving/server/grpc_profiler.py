"""`tensorflow.ProfilerService`, forwarded to the profiler of this process.

TensorFlow has a server for it, on a port of its own; it is started by the first call.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import grpc

SERVICE = "tensorflow.ProfilerService"
_METHODS = ("Profile", "Terminate", "Monitor")

_lock = threading.Lock()
_port: int | None = None


def profiler_handlers() -> dict[str, Any]:
    """Makes the handlers by name of the method."""
    return {
        name: grpc.unary_unary_rpc_method_handler(_forwarder(name)) for name in _METHODS
    }


def profiler_port() -> int:
    """Starts the profiler's server if it does not run; it cannot be stopped."""
    global _port
    with _lock:
        if _port is not None:
            return _port

        import tensorflow as tf

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        tf.profiler.experimental.server.start(port)
        _port = port
        return port


def _forwarder(name: str) -> Any:
    def forward(data: bytes, call: grpc.ServicerContext) -> bytes:
        with grpc.insecure_channel(f"127.0.0.1:{profiler_port()}") as channel:
            method = channel.unary_unary(f"/{SERVICE}/{name}")
            try:
                return method(data, timeout=call.time_remaining(), wait_for_ready=True)
            except grpc.RpcError as error:
                answer: Any = error
                call.abort(answer.code(), answer.details())
                raise

    return forward
