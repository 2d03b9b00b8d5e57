"""The REST server: an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading

from eigenfit_serving.server.interfaces import ModelSource
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest.app import STOPPING, RestApp
from eigenfit_serving.server.rest.connection import Connection
from eigenfit_serving.server.tls import read_context
from eigenfit_serving.server.watching.gate import RequestGate

_BACKLOG = 2048

_FLUSH_SECONDS = 1.0
"""Time for the last replies, after requests were given up."""


class RestServer:
    """Serves models over HTTP until it is stopped; port 0 is any free one.

    Raises:
        ServingError: If a file that the options name cannot be read or parsed.
    """

    def __init__(
        self, models: ModelSource, gate: RequestGate, options: Options
    ) -> None:
        file = options.rest_ssl_config_file
        self._tls = read_context(file) if file else None
        self._options, self._loop = options, _new_loop()
        self._app = RestApp(models, gate, options)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="rest-loop", daemon=True
        )

    def start(self) -> int:
        """Listens, and returns the port once requests are answered.

        Raises:
            OSError: If the port cannot be bound.
        """
        listener = _listen(self._options.host, self._options.rest_api_port)
        self._server = self._loop.run_until_complete(
            self._loop.create_server(
                lambda: Connection(self._app, self._connections),
                sock=listener,
                backlog=_BACKLOG,
                ssl=self._tls,
            )
        )
        port = listener.getsockname()[1]
        self._thread.start()
        return port

    def stop(self, grace: float) -> None:
        """Stops listening; gives up requests that still run after `grace` seconds."""
        if self._server is not None:
            ended = asyncio.run_coroutine_threadsafe(self._end(grace), self._loop)
            ended.result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._server = None
        self._app.threads.shutdown(wait=False, cancel_futures=True)
        self._loop.close()

    async def _end(self, grace: float) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.drain()
        await self._wait_closed(grace)
        for connection in list(self._connections):
            connection.give_up(STOPPING)
        await self._wait_closed(_FLUSH_SECONDS)

    async def _wait_closed(self, seconds: float) -> None:
        end = self._loop.time() + seconds
        while self._connections and self._loop.time() < end:
            await asyncio.sleep(0.01)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = family is socket.AF_INET6 and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        raise OSError(f"Cannot listen on {host}:{port}: {error.strerror}") from error


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
