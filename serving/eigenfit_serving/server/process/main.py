"""Runs the server from the command line."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from eigenfit_serving.protocol.status import ServingError
from eigenfit_serving.server.process.flags import (
    FlagError,
    help_text,
    parse_flags,
    version_text,
)

FAILED = 255
"""Exit code of tensorflow_model_server when it cannot start."""


def main(arguments: Sequence[str]) -> int:
    """Runs the server with the arguments after the name of the program.

    Returns:
        The exit code: 0 after SIGTERM or SIGINT, 255 if it cannot start.
    """
    try:
        command = parse_flags(arguments)
    except FlagError as error:
        print(error, file=sys.stderr)
        return FAILED
    if command.action:
        print(help_text() if command.action == "help" else version_text())
        return 0
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(name)s] %(message)s",
    )
    for noisy in ("tensorflow", "h5py", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Imported late, since `--help` and `--version` need none of it.
    from eigenfit_serving.server.process.application import Application, say

    for warning in command.warnings():
        say(warning, sys.stderr)
    try:
        return Application(command, _stop_at_signals()).run()
    except ServingError as error:
        text = f"Failed to start server. Error: {error.code.name}: {error.message}"
        say(text, sys.stderr)
        return FAILED


def _stop_at_signals() -> threading.Event:
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
