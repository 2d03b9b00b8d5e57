"""The gate that every request goes through: counts, limits, logs, and closes."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from eigenfit_serving.server.access_log import AccessLog
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.metrics import Metrics
from eigenfit_serving.server.status import Code, ServingError


class _Passage:
    """Surrounds the work for one request."""

    __slots__ = ("_context", "_gate", "_start")

    def __init__(self, gate: RequestGate, context: RequestContext) -> None:
        self._gate, self._context = gate, context
        self._start = 0.0

    def __enter__(self) -> None:
        self._start = time.monotonic()
        self._gate.enter(self._context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = time.monotonic() - self._start
        self._gate.leave(self._context, _code_of(error), seconds)


class RequestGate:
    """A `RequestGate` that can be closed.

    Args:
        metrics: Where requests are counted.
        log: Where requests are logged, if they are.
        max_in_flight: Requests that are worked on at the same time.

    Attributes:
        draining: Whether the server is about to stop: it is not ready any more, but
            may still let requests in.
    """

    def __init__(
        self,
        metrics: Metrics,
        log: AccessLog | None = None,
        max_in_flight: int = 256,
    ) -> None:
        self.draining = False
        self._metrics, self._log = metrics, log
        self._limit = max_in_flight
        self._is_closed = False
        self._count = 0
        self._changed = threading.Condition()

    def admit(self, context: RequestContext) -> _Passage:
        """Surrounds the work for a request; see `RequestGate`."""
        return _Passage(self, context)

    def reject(self, reason: str) -> None:
        """Counts a request that is refused; see `RequestGate`."""
        self._metrics.reject(reason)

    def note(self, context: RequestContext, code: Code) -> None:
        """Logs a request that never came to `admit`; see `RequestGate`."""
        context.is_logged = True
        if self._log is not None:
            self._log.request(context, code, 0.0)

    def render(self) -> bytes:
        """Writes all metrics in the text format of Prometheus."""
        return self._metrics.render()

    @property
    def in_flight(self) -> int:
        """Number of requests that are being worked on."""
        return self._count

    def announce_drain(self) -> None:
        """Says that the server will stop; requests are let in until `close`."""
        self.draining = True

    def close(self) -> None:
        """Lets no more requests in."""
        with self._changed:
            self.draining = True
            self._is_closed = True

    def wait_empty(self, timeout: float) -> bool:
        """Waits until no request is being worked on.

        Returns:
            Whether that is so.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, timeout)

    def enter(self, context: RequestContext) -> None:
        """Lets a request in, or raises."""
        refusal = None
        context.is_logged = True
        with self._changed:
            if self._is_closed:
                refusal = ServingError(Code.UNAVAILABLE, "The server is shutting down.")
                reason = "draining"
            elif self._count >= self._limit:
                refusal = ServingError(
                    Code.RESOURCE_EXHAUSTED,
                    f"{self._count} requests are being worked on; at most "
                    f"{self._limit} may (max_in_flight).",
                )
                reason = "in_flight"
            else:
                self._count += 1
                reason = ""
        if refusal is not None:
            self._metrics.reject(reason)
            if self._log is not None:
                self._log.request(context, refusal.code, 0.0)
            raise refusal
        self._metrics.begin()

    def leave(self, context: RequestContext, code: Code, seconds: float) -> None:
        """Notes that a request is over."""
        with self._changed:
            self._count -= 1
            if not self._count:
                self._changed.notify_all()
        self._metrics.end(context, code, seconds)
        if self._log is not None:
            self._log.request(context, code, seconds)


def _code_of(error: BaseException | None) -> Code:
    if error is None:
        return Code.OK
    return error.code if isinstance(error, ServingError) else Code.INTERNAL
