"""One line of JSON for each request, without what was asked or answered."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from datetime import datetime, timezone
from typing import Any, TextIO

from eigenfit_serving.protocol.status import Code
from eigenfit_serving.server.interfaces import RequestContext

_LONGEST = 256
"""Most characters of the name of a model, which a caller may have invented."""

_CAPACITY = 10_000
"""Most lines that wait to be written."""


class AccessLog:
    """Writes lines in a thread of its own, so that a slow reader stops no request.

    Lines that find no room are dropped; the next line says how many.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue(_CAPACITY)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def request(self, context: RequestContext, code: Code, seconds: float) -> None:
        """Writes the line of a request that has ended."""
        line = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "id": context.request_id,
            "api": context.api,
            "entrypoint": context.entrypoint,
            "model": context.model[:_LONGEST],
            "version": context.version,
            "signature": context.signature,
            "rows": context.rows,
            "status": code.name,
            "run_ms": round(context.run_seconds * 1e3, 3),
            "total_ms": round(seconds * 1e3, 3),
        }
        self.write(line | context.extra)

    def write(self, line: dict[str, Any]) -> None:
        """Queues a line to be written; drops it if too many wait."""
        if self._dropped:
            line = {**line, "dropped_lines": self._dropped}
        try:
            self._lines.put_nowait(line)
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def close(self, timeout: float = 2.0) -> None:
        """Waits until all is written, but not for long."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=timeout)
            self._thread.join(timeout)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            if line is None:
                return
            try:
                self._stream.write(json.dumps(line, default=str) + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                # Nobody reads any more; requests are answered all the same.
                self._dropped += 1
