"""Puts the server together, runs it until it is told to stop, and takes it apart."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from eigenfit_serving.protocol.status import Code, ServingError, invalid
from eigenfit_serving.server.config_files import ConfigPoller, model_config, read_kept
from eigenfit_serving.server.grpc.server import GrpcServer
from eigenfit_serving.server.models.loading import load_version
from eigenfit_serving.server.models.manager import Manager
from eigenfit_serving.server.models.registry import Registry
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.process.flags import Command
from eigenfit_serving.server.rest.app import metrics_path
from eigenfit_serving.server.rest.server import RestServer
from eigenfit_serving.server.watching.access_log import AccessLog
from eigenfit_serving.server.watching.gate import RequestGate
from eigenfit_serving.server.watching.metrics import Metrics

logger = logging.getLogger(__name__)

_STOP_SECONDS = 5.0
"""Time for connections to close once no request is in progress."""


def make_servers(models: Any, gate: Any, command: Command) -> dict[str, Any]:
    """Makes the servers asked for, by kind: `grpc`, `rest`."""
    options = command.options
    servers: dict[str, Any] = {}
    if command.has_tcp or options.grpc_socket_path:
        servers["grpc"] = GrpcServer(models, gate, options, command.has_tcp)
    if options.rest_api_port and options.rest_api_port == options.port:
        logger.error(
            "server_options.http_port cannot be same as grpc_port. Please use a "
            "different port for HTTP/REST API. Skipped exporting HTTP/REST API."
        )
    elif command.has_rest:
        servers["rest"] = RestServer(models, gate, options)
    return servers


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints a line; a full disk behind the log stops no server."""
    with contextlib.suppress(OSError):
        print(text, file=stream, flush=True)


class Application:
    """The parts of a server, in the order in which they start.

    Args:
        command: Parsed command line.
        stop: Event that is set when the server is to stop.
        servers: Makes the servers for gRPC and REST.
        say: Prints the line with the URLs of the server.
    """

    def __init__(
        self,
        command: Command,
        stop: threading.Event,
        servers: Callable[..., dict[str, Any]] = make_servers,
        say: Callable[[str], None] = say,
    ) -> None:
        options = command.options
        self._command, self._options, self._stop = command, options, stop
        self._make_servers, self._say = servers, say
        metrics_path(options)  # Reports wrong files even if REST is not offered.
        self._configured = model_config(options)
        self._config = read_kept(options.model_config_state) or self._configured
        metrics = Metrics()
        self._log = AccessLog() if options.access_log else None
        self.gate = RequestGate(metrics, self._log, options)
        load = partial(load_version, options, metrics)
        self.registry = Registry(options, Manager(options, load))
        metrics.watch(self.registry.states)

    def run(self) -> int:
        """Runs until `stop` is set; returns the exit code.

        Raises:
            ServingError: If it cannot start.
        """
        servers: dict[str, Any] = {}
        with contextlib.ExitStack() as stack:
            if self._log is not None:
                stack.callback(self._log.close)
            stack.callback(_in_time, self.registry.manager.close)
            stack.callback(_stop_servers, servers)
            stack.callback(self.gate.close)
            # First, since the files that they read are wrong more often than models.
            made = self._make()
            self.registry.start(self._config)
            while not self.registry.check_started():
                if self._stop.is_set():
                    return 0
                self.registry.wait_changed(0.1)
            urls: dict[str, str | None] = {"grpc": None, "rest": None}
            for kind, server in made.items():
                try:
                    urls[kind] = url_of(kind, server.start(), self._options)
                except OSError as error:
                    raise invalid(str(error)) from None
                servers[kind] = server
            self._poll_configuration(stack)
            self._say(json.dumps({"event": "ready", **urls}))
            self._stop.wait()
            self._drain()
        return 0

    def _make(self) -> dict[str, Any]:
        try:
            made = self._make_servers(self.registry, self.gate, self._command)
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError)
            code = Code.NOT_FOUND if is_missing else Code.INVALID_ARGUMENT
            raise ServingError(code, f"{error.filename}; {error.strerror}") from None
        if not made:
            raise invalid(
                "There is nothing to listen on: give --port, --grpc_socket_path or "
                "--rest_api_port, or --free_ports.",
            )
        return made

    def _poll_configuration(self, stack: contextlib.ExitStack) -> None:
        file = self._options.model_config_file
        seconds = self._options.model_config_file_poll_wait_seconds
        if file and seconds > 0:
            poller = ConfigPoller(file, seconds, self.registry.apply)
            # A file that has not changed replaces nothing that requests have set.
            poller.start(self._configured)
            stack.callback(poller.stop)

    def _drain(self) -> None:
        gate, seconds = self.gate, self._options.drain_timeout_seconds
        logger.info("Stopping: %d requests are being worked on", gate.in_flight)
        gate.draining = True
        time.sleep(self._options.drain_delay_seconds)
        gate.close()
        if not gate.wait_empty(seconds):
            text = "%d requests have not ended after %g s and are given up"
            logger.warning(text, gate.in_flight, seconds)


def url_of(kind: str, port: int, options: Options) -> str:
    """Writes the URL of a server.

    Example:
        >>> url_of("rest", 8501, Options(host="0.0.0.0"))
        'http://127.0.0.1:8501'
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    if ":" in host:
        host = f"[{host}]"
    if kind == "grpc" and not port:
        return f"unix:{options.grpc_socket_path}"
    if kind == "grpc":
        return f"grpc{'s' * bool(options.ssl_config_file)}://{host}:{port}"
    return f"http{'s' * bool(options.rest_ssl_config_file)}://{host}:{port}"


def _stop_servers(servers: dict[str, Any]) -> None:
    _in_time(*(partial(server.stop, _STOP_SECONDS) for server in servers.values()))


def _in_time(*works: Callable[[], object]) -> None:
    """Calls functions in threads, and waits for them, but not for ever."""
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * _STOP_SECONDS)
