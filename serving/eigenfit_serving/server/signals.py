"""The wish to stop; the second one is an order."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


def stop_at_signals() -> threading.Event:
    """Makes an event that the first SIGTERM or SIGINT sets.

    The second one ends the process.
    """
    event = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            os._exit(1)
        event.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return event
