"""Dispatches HTTP requests to their handlers, and makes every reply."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import logging
import os
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from eigenfit_serving.protocol.messages import MonitoringConfig
from eigenfit_serving.protocol.status import (
    CODE_OF_HTTP,
    Code,
    RefusedError,
    ServingError,
)
from eigenfit_serving.server.budget import Held
from eigenfit_serving.server.config_files import read_message
from eigenfit_serving.server.interfaces import ModelSource, RequestContext
from eigenfit_serving.server.keys import Keys, missing_key
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest.handlers import RestHandlers
from eigenfit_serving.server.rest.messages import Reply, Request, failure, html_page
from eigenfit_serving.server.rest.page import PAGE_METRICS, load_page
from eigenfit_serving.server.rest.paths import Route, is_api, route
from eigenfit_serving.server.watching.gate import RequestGate

_log = logging.getLogger(__name__)

METRICS_PATH = "/monitoring/prometheus/metrics"

_METHODS = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}

_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type, Authorization, x-api-key"),
)

_SHOWN = 256
"""Most characters of a path that are logged."""

_CHUNK = 1 << 20


class RestApp:
    """The REST API, metrics, health and page; called in the thread of the loop.

    Attributes:
        patience: Seconds for a header or a body to arrive, and for a client to take
            some of its answer.
        max_body_bytes: Largest body; 0 for any size.
        budget: Memory budget of requests.
        threads: Pool of the threads that run models.
    """

    def __init__(
        self, models: ModelSource, gate: RequestGate, options: Options
    ) -> None:
        self.patience = options.body_timeout_seconds
        self.max_body_bytes = options.max_body_bytes
        self.budget = gate.budget
        workers = options.rest_api_num_threads or 4 * (os.cpu_count() or 1)
        self.threads = ThreadPoolExecutor(workers, "rest")
        self._gate, self._options = gate, options
        self._handlers = RestHandlers(models, options)
        self._keys = Keys(options.api_key_file)
        self._fixed = {"/healthz": Reply(200, b'{"healthy": true}\n')}
        self._metrics = {metrics_path(options)}
        if options.page:
            self._fixed |= load_page()
            self._metrics.add(PAGE_METRICS)
        # Polled every few seconds by machines.
        self._quiet = {"/healthz", "/readyz", *self._metrics}
        self._date = (0, "")

    def open(self, request: Request) -> Reply | Route:
        """Replies from the header alone, or finds what the body is needed for."""
        try:
            reply = self._beside(request)
            if reply is None:
                return self._look(request)
        except ServingError as error:
            return self.refuse(request, error)
        except Exception as error:
            return self._fault(error, request)
        if request.path not in self._quiet:
            self._gate.note(_context_of(request), CODE_OF_HTTP[reply.status])
        return reply

    async def run(
        self, request: Request, found: Route, body: bytes, held: Held
    ) -> Reply:
        """Runs a model as `open` has found; being cancelled stops the run.

        What is held for the request is released here if nobody waits for the reply.
        """
        context, loop = self._context(request, found), asyncio.get_running_loop()
        stack, answered = contextlib.ExitStack(), loop.create_future()
        is_gzip = "gzip" in request.headers.get("content-encoding", "")

        def answer() -> bytes:
            data = body
            with stack:
                if is_gzip:
                    data = inflate(data, self.max_body_bytes, held.grow)
                return self._handlers.predict(found, data, context, held)

        def finish(reply: Reply) -> None:
            if answered.done():
                held.release()
            else:
                answered.set_result(reply)

        def work() -> None:
            began = time.perf_counter()
            reply = self._replied(answer, request)
            took = 1000 * (time.perf_counter() - began)
            timing = ("server-timing", f"total;dur={took:.3f}")
            reply = replace(reply, headers=(*reply.headers, timing))
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(finish, reply)

        try:
            stack.enter_context(self._gate.admit(context))
        except ServingError as error:
            return failure(error)
        timer = None
        if (seconds := context.remaining()) is not None:
            # Timers may be early.
            timer = loop.call_later(seconds + 0.01, context.cancel)
        self.threads.submit(work)
        try:
            return await answered
        except asyncio.CancelledError:
            context.cancel()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def refuse(self, request: Request, error: ServingError) -> Reply:
        """Counts and logs a request that is refused; makes its reply."""
        self._gate.refuse(_context_of(request), error)
        return failure(error)

    def head(self, request: Request | None, reply: Reply) -> list[tuple[str, str]]:
        """Lists the headers of a reply."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = now, email.utils.formatdate(now, usegmt=True)
        headers = [("date", self._date[1]), ("content-length", str(len(reply.body)))]
        if reply.content_type:
            headers.append(("content-type", reply.content_type))
        headers += reply.headers
        if request is not None:
            headers.append(("x-request-id", request.request_id))
            if self._options.rest_api_enable_cors_support and is_api(request.target):
                headers += _CORS
        return headers

    def _beside(self, request: Request) -> Reply | None:
        """Replies to requests outside the protocol; None for others."""
        if request.method not in _METHODS:
            return html_page(501)
        if request.path in self._metrics:
            self._check_key(request)
            if request.path == request.target:
                return Reply(200, self._gate.render(), "text/plain")
            text = f"Unexpected path: {request.target}. Should be {request.path}"
            return Reply(400, text.encode(), "text/plain")
        if is_api(request.target):
            if request.method != "OPTIONS":
                return None
            origin = request.headers.get("origin", "")
            is_web = "http://" in origin or "https://" in origin
            return Reply(200 if is_web else 400, content_type="")
        if request.method in ("GET", "HEAD"):
            if request.path == "/readyz":
                is_known = self._keys.accept(request.headers.items())
                ready, text = self._handlers.readiness(self._gate.draining, is_known)
                return Reply(200 if ready else 503, text)
            if request.path in self._fixed:
                return self._fixed[request.path]
        return html_page(404)

    def _look(self, request: Request) -> Reply | Route:
        self._check_key(request)
        found = route(request.method, request.target)
        if found.action == "predict":
            return found
        context = self._context(request, found)

        def answer() -> bytes:
            with self._gate.admit(context):
                return self._handlers.look(found, context)

        return self._replied(answer, request)

    def _context(self, request: Request, found: Route) -> RequestContext:
        milliseconds = self._options.rest_api_timeout_in_ms
        deadline = time.monotonic() + milliseconds / 1000 if milliseconds else None
        name = found.spec.name
        return RequestContext(found.action, "REST", request.request_id, deadline, name)

    def _replied(self, answer: Callable[[], bytes], request: Request) -> Reply:
        try:
            return Reply(200, answer())
        except ServingError as error:
            return failure(error)
        except Exception as error:
            return self._fault(error, request)

    def _fault(self, error: Exception, request: Request) -> Reply:
        _log.error("request %s failed", request.request_id, exc_info=error)
        # Parts that are closed when the server stops may fail in any way.
        if self._gate.draining:
            return STOPPING
        text = f"Internal error; the log has more under {request.request_id}."
        return failure(ServingError(Code.INTERNAL, text))

    def _check_key(self, request: Request) -> None:
        if not self._keys.accept(request.headers.items()):
            raise missing_key()


STOPPING = failure(ServingError(Code.UNAVAILABLE, "The server is shutting down."))
"""The reply to requests that are unanswered when the server stops."""


def metrics_path(options: Options) -> str | None:
    """Finds the path of the metrics; None unless they are configured."""
    if not options.monitoring_config_file:
        return None
    found = read_message(MonitoringConfig, options.monitoring_config_file)
    config = found.prometheus_config
    return (config.path or METRICS_PATH) if config.enable else None


def inflate(body: bytes, limit: int, grow: Callable[[int], None]) -> bytes:
    """Decompresses gzip; anything else becomes empty, as in TensorFlow Serving.

    Raises:
        RefusedError: If there are more bytes than the limit, unless that is 0, or if
            `grow` raises it, which is told the size of each piece before it is kept.
    """
    stream, parts, size = zlib.decompressobj(wbits=31), [], 0
    try:
        while body and not stream.eof:
            part = stream.decompress(body, _CHUNK)
            size += len(part)
            if limit and size > limit:
                raise RefusedError(
                    Code.INVALID_ARGUMENT,
                    f"The request body inflates to more than the limit of {limit} "
                    "bytes (--max_body_bytes).",
                    "inflated_size",
                    413,
                )
            grow(len(part))
            parts.append(part)
            body = stream.unconsumed_tail
    except zlib.error:
        return b""
    return b"".join(parts) if stream.eof and not stream.unused_data else b""


def _context_of(request: Request) -> RequestContext:
    context = RequestContext("", "REST", request.request_id)
    context.extra = {"method": request.method, "path": request.target[:_SHOWN]}
    return context
