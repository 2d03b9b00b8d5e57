"""uvicorn's protocol with limits for clients that send or read too slowly."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER_BYTES = 64 << 10

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


def protocol_class(seconds: float) -> type:
    """Makes the class of protocols for connections.

    On h11: httptools stops at the `Upgrade` header of clients that offer HTTP/2, such
    as Java's, and takes their body for another request.

    Args:
        seconds: In which the header of a request has to be complete, and in which a
            client that does not read has to take some of its answer.
    """
    return type("PatientProtocol", (_Guards, H11Protocol), {"patience": seconds})


class _Guards:
    """Timers around a protocol of uvicorn."""

    patience: float
    loop: asyncio.AbstractEventLoop
    transport: Any
    cycle: Any

    _header_timer: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _write_timer: asyncio.TimerHandle | None = None
    _unsent = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._stop_write_timer()
        super().connection_lost(exc)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_header_timer()
            self._header_bytes = 0
            return
        # Part of a header.
        self._header_bytes += len(data)
        if self._header_timer is None and not self.transport.is_closing():
            self._start_header_timer()
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LONG)
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._unsent = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(self.patience, self._check_writing)

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()  # type: ignore[misc]

    def _check_writing(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.transport.abort()
            return
        self._unsent = unsent
        self._write_timer = self.loop.call_later(self.patience, self._check_writing)

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(self.patience, self._give_up)

    def _give_up(self) -> None:
        self._header_timer = None
        self.transport.abort()

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
