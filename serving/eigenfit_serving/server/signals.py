"""The wish to stop, from signals and the supervisor; the second one is an order."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from types import FrameType

CONTROL = "EIGENFIT_SERVER_CONTROL"
"""Environment variable with the number of the socket to the supervisor."""

STOP, READY = b"S", b"R"


class StopRequest:
    """Is set by the first signal; the second one from the same side ends the process.

    Attributes:
        event: Set when the server is to stop.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._sources: set[str] = set()

    def make(self, source: str) -> None:
        """Asks to stop."""
        if source in self._sources:
            os._exit(1)
        self._sources.add(source)
        self.event.set()

    def listen_to_signals(self, is_supervised: bool) -> None:
        """Takes SIGTERM and SIGINT; a supervised one leaves the latter to its parent.

        Ctrl-C at a terminal reaches both.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            self.make("signal")

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN if is_supervised else stop)


class Control:
    """The worker's end of the socket to its supervisor, if it has one."""

    def __init__(self, stop: StopRequest) -> None:
        number = os.environ.pop(CONTROL, "")
        self._stop = stop
        self._socket = socket.socket(fileno=int(number)) if number else None
        if self._socket is not None:
            self._socket.set_inheritable(False)
            threading.Thread(target=self._read, name="control", daemon=True).start()

    @property
    def is_supervised(self) -> bool:
        """Whether there is a supervisor."""
        return self._socket is not None

    def say_ready(self) -> None:
        """Tells the supervisor that requests are answered."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(READY)

    def _read(self) -> None:
        assert self._socket is not None
        while True:
            try:
                data = self._socket.recv(1)
            except OSError:
                data = b""
            if not data:
                # Nobody would stop or restart this process any more.
                self._stop.make("end of the supervisor")
                return
            self._stop.make("supervisor")
