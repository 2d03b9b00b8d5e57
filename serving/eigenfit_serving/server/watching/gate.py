"""The gate that every request goes through: counts, limits, logs, and closes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from eigenfit_serving.protocol.status import Code, RefusedError, ServingError
from eigenfit_serving.server.budget import Budget
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.watching.access_log import AccessLog
from eigenfit_serving.server.watching.metrics import Metrics


class RequestGate:
    """Admits, counts and logs requests, until it is closed.

    Attributes:
        budget: Memory budget of requests.
        draining: Whether the server is about to stop: it is no longer ready, but may
            still admit requests.
        in_flight: Number of requests in progress.
    """

    def __init__(
        self, metrics: Metrics, log: AccessLog | None, options: Options
    ) -> None:
        self.draining, self.in_flight = False, 0
        self.render = metrics.render
        self.budget = Budget(options.max_pending_body_bytes)
        self._metrics, self._log, self._limit = metrics, log, options.max_in_flight
        self._is_closed = False
        self._changed = threading.Condition()

    @contextmanager
    def admit(self, context: RequestContext) -> Iterator[None]:
        """Surrounds the work for a request.

        Raises:
            ServingError: UNAVAILABLE once it is closed, RESOURCE_EXHAUSTED if too many
                are in flight.
        """
        with self._changed:
            refusal = self._refusal()
            self.in_flight += refusal is None
        if refusal is not None:
            self.refuse(context, refusal)
            raise refusal
        self._metrics.begin()
        start, code = time.monotonic(), Code.OK
        try:
            yield
        except BaseException as error:
            code = error.code if isinstance(error, ServingError) else Code.INTERNAL
            if isinstance(error, RefusedError):
                self._metrics.reject(error.reason)
            raise
        finally:
            seconds = time.monotonic() - start
            with self._changed:
                self.in_flight -= 1
                self._changed.notify_all()
            self._metrics.end(context, code, seconds)
            self.note(context, code, seconds)

    def refuse(self, context: RequestContext, error: ServingError) -> None:
        """Counts and logs a request that is not admitted."""
        if isinstance(error, RefusedError):
            self._metrics.reject(error.reason)
        self.note(context, error.code)

    def note(self, context: RequestContext, code: Code, seconds: float = 0.0) -> None:
        """Writes a request's line to the access log."""
        if self._log is not None:
            self._log.request(context, code, seconds)

    def close(self) -> None:
        """Refuses all further requests."""
        with self._changed:
            self.draining = self._is_closed = True

    def wait_empty(self, timeout: float) -> bool:
        """Waits, but no longer than `timeout`, and tells whether all requests ended."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.in_flight, timeout)

    def _refusal(self) -> RefusedError | None:
        if self._is_closed:
            text = "The server is shutting down."
            return RefusedError(Code.UNAVAILABLE, text, "draining")
        if self.in_flight >= self._limit:
            text = (
                f"{self.in_flight} requests are being worked on; at most "
                f"{self._limit} may (max_in_flight)."
            )
            return RefusedError(Code.RESOURCE_EXHAUSTED, text, "in_flight")
        return None
