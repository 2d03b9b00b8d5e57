"""The gRPC server."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer

from eigenfit_serving.protocol import grpc_api
from eigenfit_serving.protocol.pool import POOL
from eigenfit_serving.protocol.status import invalid
from eigenfit_serving.server.grpc.calls import KeyInterceptor, refusals
from eigenfit_serving.server.grpc.health import HealthService
from eigenfit_serving.server.grpc.services import Services
from eigenfit_serving.server.interfaces import ModelSource
from eigenfit_serving.server.keys import Keys
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.tls import read_credentials
from eigenfit_serving.server.watching.gate import RequestGate

_PROFILER = "tensorflow.ProfilerService"
_REFLECTIONS = ("v1alpha", "v1")
_LARGEST_MESSAGE = 2**31 - 1
# For calls besides the admitted requests: refusals, the health check.
_MORE_THREADS = 40


class GrpcServer:
    """Serves models over TCP, unless told not to, and a UNIX socket, if it has a path.

    Raises:
        ServingError: If a file or an argument cannot be understood.
        OSError: If a file cannot be read.
    """

    def __init__(
        self,
        models: ModelSource,
        gate: RequestGate,
        options: Options,
        has_tcp: bool = True,
    ) -> None:
        self._options, self._has_tcp = options, has_tcp
        threads = options.grpc_max_threads or options.max_in_flight + _MORE_THREADS
        self._threads = ThreadPoolExecutor(threads, "grpc")
        self._health = HealthService(models, gate)
        keys, file = Keys(options.api_key_file), options.ssl_config_file
        self._credentials = read_credentials(file) if file else None
        self._server = grpc.server(
            self._threads,
            interceptors=[KeyInterceptor(keys, gate)] if options.api_key_file else [],
            options=_arguments(options),
        )
        services = Services(models, options).handlers(gate)
        if options.enable_grpc_healthcheck_service:
            services[grpc_api.HEALTH_SERVICE] = self._health.handlers()
        services |= _reflection(services)
        services[_PROFILER] = refusals("Profile", "Terminate", "Monitor")
        make = grpc.method_handlers_generic_handler
        self._server.add_generic_rpc_handlers([make(*x) for x in services.items()])

    def start(self) -> int:
        """Binds the addresses and starts to serve; returns the TCP port, if any, or 0.

        Raises:
            OSError: If an address cannot be bound.
        """
        options, port = self._options, 0
        if self._has_tcp:
            host = f"[{options.host}]" if ":" in options.host else options.host
            port = self._bind(f"{host}:{options.port}")
        if options.grpc_socket_path:
            self._bind(f"unix:{options.grpc_socket_path}")
        self._server.start()
        return port

    def stop(self, grace: float) -> None:
        """Refuses new calls; cancels those that still run after `grace` seconds."""
        self._health.stop()
        self._server.stop(grace).wait()
        self._threads.shutdown(wait=False)

    def _bind(self, address: str) -> int:
        try:
            if self._credentials is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise OSError(f"Cannot listen on {address}: {error}") from error


def _reflection(services: Iterable[str]) -> dict[str, Any]:
    """Makes the reflection services, for tools like grpcurl; versions are equal."""
    names = [f"grpc.reflection.{version}.ServerReflection" for version in _REFLECTIONS]
    servicer = ReflectionServicer([*services, *names], pool=POOL)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {name: {"ServerReflectionInfo": handler} for name in names}


def _arguments(options: Options) -> list[tuple[str, Any]]:
    """Collects the arguments of the channel; those of the caller come last."""
    largest = options.max_message_bytes or _LARGEST_MESSAGE
    arguments: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", _LARGEST_MESSAGE),
        # A port in use is an error, not shared.
        ("grpc.so_reuseport", 0),
    ]
    for text in filter(None, options.grpc_channel_arguments.split(",")):
        key, equals, value = text.partition("=")
        if not equals:
            raise invalid(f"--grpc_channel_arguments: {text} is not key=value.")
        number = value.lstrip("-").isdecimal()
        arguments.append((key.strip(), int(value) if number else value))
    return arguments
