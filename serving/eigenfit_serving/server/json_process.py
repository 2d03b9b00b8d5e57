"""Large bodies are read in a process of their own, so that others are served meanwhile.

A parser of JSON holds the lock of Python for as long as it reads: a second or more for
60 MB, in which nobody else would be answered. The process is started for the first
large body and kept; it is ended after one that may have left it large, when the caller
goes away or has no more time, and when it wants too much memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection, Pipe
from typing import Any

from eigenfit_serving.module_command import module_command
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.json_document import Document, Here
from eigenfit_serving.server.json_tensors import PredictInputs
from eigenfit_serving.server.status import Code, ServingError

LARGE = 1 << 20
"""Bytes from which a body is read apart."""

_KEPT = 16 << 20
"""Bytes up to which the process that read a body is kept."""

_MODULE = "eigenfit_serving.server.json_process"

_log = logging.getLogger(__name__)


class Reader:
    """Reads bodies: small ones here, large ones in another process.

    Args:
        waiting: Large bodies that may wait while one is read.
        memory: Bytes of data that the other process may have.
    """

    def __init__(self, waiting: int = 4, memory: int = 4 << 30) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._places = threading.Semaphore(1 + waiting)
        self._process: _Process | None = None
        self._is_closed = False

    @contextlib.contextmanager
    def read(self, body: bytes, context: RequestContext) -> Iterator[Document]:
        """Reads a body.

        Raises:
            ServingError: INVALID_ARGUMENT with TensorFlow Serving's texts; DEADLINE_
                EXCEEDED; RESOURCE_EXHAUSTED, if too many wait or it needs too much
                memory.
        """
        if len(body) < LARGE:
            yield Here(body)
            return
        with self._turn(context):
            process = self._process = self._process or _Process(self._memory)
            forget = context.on_cancel(process.kill)
            try:
                name = process.ask(context, "read", body=body)
                yield _There(process, context, name)
            finally:
                forget()
                if not process.is_idle or len(body) > _KEPT:
                    self._process = None
                    process.close()

    def close(self) -> None:
        """Ends the process, also while it reads; no large body is read any more."""
        self._is_closed = True
        process = self._process
        if process is not None:
            process.kill()
        with self._lock:
            if self._process is not None:
                self._process.close()
                self._process = None

    @contextlib.contextmanager
    def _turn(self, context: RequestContext) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"Too many requests of {LARGE} bytes or more at a time; try again "
                "later, or use gRPC.",
            )
        try:
            remaining = context.remaining()
            if not self._lock.acquire(timeout=-1 if remaining is None else remaining):
                raise ServingError(
                    Code.DEADLINE_EXCEEDED, "Timed out behind other large requests."
                )
            try:
                context.check()
                if self._is_closed:
                    raise ServingError(Code.UNAVAILABLE, "The server is shutting down.")
                yield
            finally:
                self._lock.release()
        finally:
            self._places.release()


class _There:
    """A document that is read in the other process; see `Document`."""

    def __init__(self, process: _Process, context: RequestContext, name: str) -> None:
        self.signature_name = name
        self._process, self._context = process, context

    def inputs(self, kinds: Mapping[str, int], max_rows: int) -> PredictInputs:
        return self._process.ask(self._context, "inputs", dict(kinds), max_rows)


class _Process:
    """The other process, and the pipe to it.

    Attributes:
        is_idle: Whether it waits for the next question.
    """

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._pipe, theirs = Pipe()
        with theirs:
            handle = theirs.fileno()
            self._process = subprocess.Popen(
                module_command(_MODULE, str(handle), str(memory)),
                stdin=subprocess.DEVNULL,
                pass_fds=[handle],
                # One Ctrl-C is for the server alone.
                start_new_session=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self.is_idle = True

    def ask(
        self, context: RequestContext, method: str, *arguments: Any, body: bytes = b""
    ) -> Any:
        """Has a method called there.

        Args:
            context: Says how long to wait.
            method: Of `Here`, or `read`.
            arguments: Of the method.
            body: To be read.

        Raises:
            ServingError: What the method raises; or the caller is gone, has no more
                time, or the process died.
        """
        self.is_idle = False
        try:
            self._pipe.send((method, arguments))
            if method == "read":
                self._pipe.send_bytes(body)
            if not self._pipe.poll(context.remaining()):
                raise ServingError(
                    Code.DEADLINE_EXCEEDED, "Timed out reading the request."
                )
            code, answer = self._pipe.recv()
        except (EOFError, OSError):
            context.check()
            code, answer = Code.RESOURCE_EXHAUSTED, ""
        if code == Code.RESOURCE_EXHAUSTED:
            raise ServingError(
                code,
                f"Reading the request body needs more than {self._memory} bytes of "
                "memory. Send fewer rows at a time, or use gRPC.",
            )
        self.is_idle = True
        if code == Code.OK:
            return answer
        raise ServingError(Code(code), answer)

    def kill(self) -> None:
        """Ends the process, whatever it does; may be called by any thread."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process and lets go of it."""
        self.kill()
        self._process.wait()
        self._pipe.close()


def main(handle: int, memory: int) -> None:
    """Reads bodies for another process until that goes away."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    document: Any = None
    with Connection(handle) as pipe, contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            method, arguments = pipe.recv()
            try:
                if method == "read":
                    document = None
                    document = Here(pipe.recv_bytes())
                    answer = document.signature_name
                else:
                    answer = getattr(document, method)(*arguments)
                    document = None
                pipe.send((Code.OK, answer))
            except ServingError as error:
                pipe.send((error.code, error.message))
            except (MemoryError, SystemError):  # orjson hides the one in the other.
                pipe.send((Code.RESOURCE_EXHAUSTED, ""))
            except Exception:
                _log.exception("a body could not be read")
                pipe.send((Code.INTERNAL, "Internal error; the log has more."))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
