"""A process that starts the server again when it has crashed."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from eigenfit_serving.module_command import module_command
from eigenfit_serving.server.flags import Command
from eigenfit_serving.server.signals import CONTROL, READY, STOP

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Patience:
    """When a crashed worker is started again.

    Attributes:
        first: Seconds before the first time.
        longest: Seconds at most; they double every time.
        forgotten: A worker that lived so long starts from the beginning.
        early: Crashes before it was ever ready that are borne.
        last: Seconds that a worker may take to end when it was told so twice.
    """

    first: float = 0.5
    longest: float = 30.0
    forgotten: float = 60.0
    early: int = 3
    last: float = 2.0


def fixed_ports(command: Command) -> list[str]:
    """Chooses free ports where 0 was asked for, so that every worker has the same.

    Returns:
        Flags to be added.
    """
    options, wanted = command.options, []
    if options.port == 0 and command.has_tcp:
        wanted.append("port")
    if command.has_rest and options.rest_api_port == 0:
        wanted.append("rest_api_port")
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with contextlib.ExitStack() as held:
        flags = []
        for name in wanted:
            probe = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            probe.bind((options.host, 0))
            flags.append(f"--{name}={probe.getsockname()[1]}")
        return flags


def worker_command(arguments: Sequence[str]) -> list[str]:
    """Lists what starts a worker."""
    return module_command("eigenfit_serving.server", *arguments, "--supervise=false")


class Supervisor:
    """Runs a worker, and another when it has crashed, until told to stop.

    SIGTERM and SIGINT are passed on; what the worker ends with is what this ends with.
    A worker that ends by itself with an error before it was ever ready is not started
    again.

    Args:
        command: What starts a worker.
        patience: When it is started again.
        clock: In seconds.
    """

    def __init__(
        self,
        command: Sequence[str],
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = list(command)
        self._patience = patience or Patience()
        self._clock = clock
        self._stops = 0
        self._told = 0
        self._was_ready = False

    def run(self) -> int:
        """Runs until the worker ends in an orderly manner.

        Returns:
            The exit code.
        """
        handlers = {
            number: signal.signal(number, self._stop)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            return self._run()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stops += 1

    def _run(self) -> int:
        delay, crashes = self._patience.first, 0
        while True:
            started = self._clock()
            code = self._run_worker()
            if code == 0 or self._stops:
                return code if code >= 0 else 128 - code
            if not self._was_ready:
                crashes += 1
                if code > 0 or crashes > self._patience.early:
                    return code if code > 0 else 128 - code
            if self._clock() - started > self._patience.forgotten:
                delay = self._patience.first
            logger.error(
                "The server has ended with %s; starting it again in %g s",
                f"signal {-code}" if code < 0 else f"code {code}",
                delay,
            )
            end = self._clock() + delay
            while self._clock() < end:
                if self._stops:
                    return 0
                time.sleep(_POLL_SECONDS)
            delay = min(2 * delay, self._patience.longest)

    def _run_worker(self) -> int:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process = subprocess.Popen(
                self._command,
                pass_fds=[theirs.fileno()],
                env={**os.environ, CONTROL: str(theirs.fileno())},
            )
            theirs.close()
            ours.setblocking(False)
            self._told = 0
            kill_at: float | None = None
            while True:
                try:
                    return process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    pass
                self._hear(ours)
                while self._told < self._stops:
                    self._told += 1
                    with contextlib.suppress(OSError):
                        ours.send(STOP)
                if self._told > 1 and kill_at is None:
                    kill_at = self._clock() + self._patience.last
                if kill_at is not None and self._clock() > kill_at:
                    process.kill()

    def _hear(self, ours: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            if READY in ours.recv(16):
                self._was_ready = True
