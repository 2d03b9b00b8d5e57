"""The ASGI application: which handler a request gets, and what every reply carries."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from eigenfit_serving.server.interfaces import Gate, ModelSource, RequestContext
from eigenfit_serving.server.json_answers import error_body
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest_bodies import Body, Budget, ClientGoneError, Receive
from eigenfit_serving.server.rest_handlers import RestHandlers
from eigenfit_serving.server.rest_keys import ApiKeys
from eigenfit_serving.server.rest_messages import (
    RefusedError,
    Reply,
    Request,
    code_of,
    failure,
    html_page,
)
from eigenfit_serving.server.rest_paths import Action, is_api, route
from eigenfit_serving.server.rest_protocol import MAX_HEADER_BYTES
from eigenfit_serving.server.rest_status import readiness
from eigenfit_serving.server.status import Code, ServingError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)

_METHODS = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}

_CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, GET"),
    ("Access-Control-Allow-Headers", "Content-Type, Authorization, x-api-key"),
)

_STOPPING = ServingError(Code.UNAVAILABLE, "The server is shutting down.")


# What is read and thrown away of a refused body, before the reply and after it.
_SHOWN = 256
"""Characters of a path that are logged."""

_SMALL_BODY = 1 << 20
_LARGE_BODY = 64 << 20


@dataclass(frozen=True)
class Threads:
    """Where the work is done.

    Attributes:
        runs: Threads that run models.
        looks: Threads that look at states, so that these do not wait for runs.
    """

    runs: Executor
    looks: Executor


class RestApp:
    """The REST API, and what we serve beside it."""

    def __init__(
        self,
        models: ModelSource,
        gate: Gate,
        options: Options,
        handlers: RestHandlers,
        threads: Threads,
        keys: ApiKeys,
        page: Mapping[str, Reply],
        metrics_path: str | None,
    ) -> None:
        self._models = models
        self._gate = gate
        self._options = options
        self._budget = Budget(options.max_pending_body_bytes)
        self._handlers = handlers
        self._threads = threads
        self._keys = keys
        self._page = page
        self._metrics_path = metrics_path
        # Asked every few seconds, by machines.
        self._quiet = {"/healthz", "/readyz", metrics_path}

    async def __call__(
        self, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Answers one request."""
        request = Request.of(scope)
        body = Body(request, receive, self._budget)
        context = RequestContext("", "REST", request.request_id)
        context.extra = {"method": request.method, "path": request.target[:_SHOWN]}
        code = None
        try:
            reply = await self._reply(request, context, body, receive)
        except ClientGoneError:
            self._gate.note(context, Code.CANCELLED)
            return
        except RefusedError as error:
            self._gate.reject(error.reason)
            reply, code = Reply(error.status, error_body(error.message)), error.code
            if error.status == 401:
                challenge = ("www-authenticate", "Bearer")
                reply = Reply(reply.status, reply.body, headers=(challenge,))
        except ServingError as error:
            reply, code = failure(error), error.code
        except asyncio.CancelledError:
            # The server stops, and has waited long enough.
            reply = failure(_STOPPING)
        except Exception:
            _log.exception("request %s failed", request.request_id)
            text = f"Internal error; the log has more under {request.request_id}."
            # What is closed at the end may fail in any way.
            is_stopping = bool(getattr(self._gate, "draining", False))
            fault = ServingError(Code.INTERNAL, text)
            reply = failure(_STOPPING if is_stopping else fault)
        finally:
            body.release()
        if not context.is_logged and request.path not in self._quiet:
            self._gate.note(context, code or code_of(reply.status))
        await self._send(request, body, reply, send)

    async def _reply(
        self, request: Request, context: RequestContext, body: Body, receive: Receive
    ) -> Reply:
        if request.method not in _METHODS:
            return html_page(501)
        if request.header_bytes > MAX_HEADER_BYTES:
            text = f"The headers have more than {MAX_HEADER_BYTES} bytes."
            raise RefusedError(431, text, "headers")
        if request.path == self._metrics_path:
            self._keys.check(request)
            return self._metrics(request)
        if is_api(request.target):
            if request.method == "OPTIONS":
                return _preflight(request)
            self._keys.check(request)
            return await self._api(request, context, body, receive)
        if request.method in ("GET", "HEAD"):
            if request.path == "/healthz":
                return Reply(200, b'{"healthy": true}\n')
            if request.path == "/readyz":
                return await self._readyz(self._keys.accepts(request))
            if request.path in self._page:
                return self._page[request.path]
        return html_page(404)

    def _metrics(self, request: Request) -> Reply:
        if request.target != self._metrics_path:
            text = f"Unexpected path: {request.target}. Should be {self._metrics_path}"
            return Reply(400, text.encode(), "text/plain")
        return Reply(200, self._gate.render(), "text/plain")

    async def _readyz(self, names_models: bool) -> Reply:
        is_draining = bool(getattr(self._gate, "draining", False))
        loop = asyncio.get_running_loop()
        ready, text = await loop.run_in_executor(
            self._threads.looks, readiness, self._models, is_draining, names_models
        )
        return Reply(200 if ready else 503, text)

    async def _api(
        self, request: Request, context: RequestContext, body: Body, receive: Receive
    ) -> Reply:
        found = route(request.method, request.target)
        options = self._options
        data, is_gzip = b"", False
        if found.action is Action.PREDICT:
            data = await body.read(options.max_body_bytes, options.body_timeout_seconds)
            is_gzip = "gzip" in request.headers.get("content-encoding", "")
        milliseconds = options.rest_api_timeout_in_ms
        context.api, context.model = found.action.value, found.spec.name
        if milliseconds > 0:
            context.deadline = time.monotonic() + milliseconds / 1000
        context.extra = {}
        threads = self._threads
        pool = threads.runs if found.action is Action.PREDICT else threads.looks
        with self._gate.admit(context):
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(
                pool, self._handlers.handle, found, data, context, body, is_gzip
            )
            return Reply(200, await _finished(work, context, body, receive))

    async def _send(
        self, request: Request, body: Body, reply: Reply, send: Send
    ) -> None:
        length = request.declared_length
        is_small = length is not None and length <= _SMALL_BODY
        if not body.is_complete and is_small:
            await body.discard(_SMALL_BODY)
        headers = [("content-length", str(len(reply.body)))]
        if reply.content_type:
            headers.append(("content-type", reply.content_type))
        headers.append(("x-request-id", request.request_id))
        headers += reply.headers
        if self._options.rest_api_enable_cors_support and is_api(request.target):
            headers += _CORS
        if not body.is_complete:
            headers.append(("connection", "close"))
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [
                    (name.encode("latin-1"), value.encode("latin-1"))
                    for name, value in headers
                ],
            }
        )
        lingers = not body.is_complete
        await send(
            {"type": "http.response.body", "body": reply.body, "more_body": lingers}
        )
        if lingers:
            # To close at once would reset the connection, and lose the reply.
            await body.discard(_LARGE_BODY)
            await send({"type": "http.response.body", "body": b""})


def _preflight(request: Request) -> Reply:
    origin = request.headers.get("origin", "")
    is_web = "http://" in origin or "https://" in origin
    return Reply(200 if is_web else 400, content_type="")


async def _finished(
    work: asyncio.Future[bytes], context: RequestContext, body: Body, receive: Receive
) -> bytes:
    """Waits for the work; tells it to stop when the client goes away."""
    if not body.is_complete:
        # A body that nobody asked for: whether the client is there is not seen.
        return await work
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            context.cancel()
        return await work
    finally:
        gone.cancel()
        if not work.done():
            context.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
