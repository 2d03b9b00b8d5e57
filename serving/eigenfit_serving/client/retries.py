"""Decides whether a call is tried again, and how long to wait before."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from eigenfit_serving.client.errors import DeadlineExceeded, Unavailable
from eigenfit_serving.protocol.status import Code

_random = random.Random()


@dataclass(frozen=True)
class Retries:
    """How often to try again, and the pauses between tries.

    Only calls are repeated that the server did not carry out: UNAVAILABLE (503), and
    failed connections. A pause is drawn between 0 and `first * 2^k`, at most `longest`,
    so that many clients do not come back together.

    Attributes:
        number: Number of tries after the first.
        first: Limit of the first pause, in seconds.
        longest: Limit of any pause, in seconds.
    """

    number: int = 3
    first: float = 0.1
    longest: float = 5.0

    def __post_init__(self) -> None:
        if isinstance(self.number, bool) or not isinstance(self.number, int):
            raise TypeError(f"`retries` must be an integer, got {self.number!r}.")
        if self.number < 0:
            raise ValueError(f"`retries` must not be negative, got {self.number}.")


class Attempts:
    """The tries of one call within its timeout."""

    def __init__(self, retries: Retries, timeout: float | None) -> None:
        self._retries = retries
        self._end = None if timeout is None else time.monotonic() + timeout
        self._made = 0

    def remaining(self) -> float | None:
        """Computes the seconds left; None for no limit.

        Raises:
            DeadlineExceeded: If there are none left.
        """
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(Code.DEADLINE_EXCEEDED, "The timeout has ended.")
        return left

    def pause(self, error: Unavailable) -> float:
        """Computes the seconds to wait before the next try.

        Raises:
            Unavailable: The error itself if there is no other try.
        """
        self._made += 1
        if self._made > self._retries.number:
            raise error
        longest = self._retries.first * 2 ** (self._made - 1)
        seconds = _random.uniform(0.0, min(longest, self._retries.longest))
        if self._end is not None and time.monotonic() + seconds >= self._end:
            raise error
        return seconds
