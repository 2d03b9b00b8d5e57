"""Waits for what a test needs, not for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float = 60.0, every=0.01) -> T:
    """Waits until a condition holds and returns its value; fails if it never does."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"it did not come within {seconds:g} s"
        time.sleep(every)
    return value
