"""The REST server: uvicorn in a thread of its own."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from eigenfit_serving.server.interfaces import Gate, ModelSource
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.predict import predict
from eigenfit_serving.server.rest_app import RestApp, Threads
from eigenfit_serving.server.rest_config import metrics_path, read_message, tls_context
from eigenfit_serving.server.rest_handlers import RestHandlers, Run
from eigenfit_serving.server.rest_keys import ApiKeys
from eigenfit_serving.server.rest_page import load_page
from eigenfit_serving.server.rest_protocol import protocol_class

_KEEP_ALIVE_SECONDS = 75

_BACKLOG = 2048


class RestServer:
    """Serves models over HTTP until it is stopped.

    Example:
        A server on a free port, of models that a registry holds::

            server = RestServer(registry, gate, options)
            port = server.start()
            ...
            server.stop(grace=5.0)
    """

    def __init__(
        self,
        models: ModelSource,
        gate: Gate,
        options: Options,
        run: Run = predict,
    ) -> None:
        """Reads the files that the options name.

        Args:
            models: Where requests find models.
            gate: Lets requests in.
            options: Of the server; `rest_api_port` 0 takes any free port.
            run: Runs a signature.

        Raises:
            ValueError: A file does not hold what it should.
            OSError: A file cannot be read.
        """
        from eigenfit_serving.protocol.messages import MonitoringConfig, SSLConfig

        path = None
        if options.monitoring_config_file:
            config = read_message(MonitoringConfig, options.monitoring_config_file)
            path = metrics_path(config)
        self._tls: ssl.SSLContext | None = None
        if options.rest_ssl_config_file:
            file = options.rest_ssl_config_file
            try:
                self._tls = tls_context(read_message(SSLConfig, file))
            except ssl.SSLError as error:
                raise ValueError(f"{file}: {error}") from error
        self._options = options
        workers = options.rest_api_num_threads or 4 * (os.cpu_count() or 1)
        self._threads = Threads(
            ThreadPoolExecutor(workers, "rest"), ThreadPoolExecutor(2, "rest-look")
        )
        self._app = RestApp(
            models=models,
            gate=gate,
            options=options,
            handlers=RestHandlers(models, run, options),
            threads=self._threads,
            keys=ApiKeys(options.api_key_file),
            page=load_page() if options.page else {},
            metrics_path=path,
        )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listens, and returns once requests are answered.

        Returns:
            The port.

        Raises:
            OSError: The port cannot be had.
        """
        listener = _listen(self._options.host, self._options.rest_api_port)
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,  # type: ignore[arg-type]
            http=protocol_class(self._options.body_timeout_seconds),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        config.load()
        config.ssl = self._tls
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=_run, args=(self._server, listener), name="rest-loop", daemon=True
        )
        self._thread.start()
        self._server.ready.wait()
        return port

    def stop(self, grace: float) -> None:
        """Stops listening, and waits for requests that are being answered.

        Args:
            grace: Seconds after which they are broken off.
        """
        if self._server is not None and self._thread is not None:
            self._server.config.timeout_graceful_shutdown = math.ceil(grace)
            self._server.should_exit = True
            self._thread.join()
        self._threads.runs.shutdown(wait=False, cancel_futures=True)
        self._threads.looks.shutdown(wait=False, cancel_futures=True)


class _Server(uvicorn.Server):
    """Tells when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}"
        ) from error
    listener.setblocking(False)
    return listener


def _run(server: _Server, listener: socket.socket) -> None:
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(server.serve(sockets=[listener]))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        server.ready.set()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
