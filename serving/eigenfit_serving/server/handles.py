"""Counts who uses a version, so that it is closed when its last request has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Handle:
    """A loaded version and the number of its users.

    Attributes:
        servable: What is used; None once it is closed.
    """

    def __init__(self, servable: Any) -> None:
        self.servable = servable
        self._users = 0
        self._when_unused: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def retain(self) -> bool:
        """Adds a user.

        Returns:
            False if the version is on its way out.
        """
        with self._lock:
            if self._when_unused is not None:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """Takes a user away."""
        with self._lock:
            self._users -= 1
            callback = self._when_unused if not self._users else None
        if callback is not None:
            callback()

    def retire(self, when_unused: Callable[[], None]) -> None:
        """Lets no new users in.

        Args:
            when_unused: Called once, by the last user or at once.
        """
        with self._lock:
            self._when_unused = when_unused
            is_unused = not self._users
        if is_unused:
            when_unused()

    def close(self) -> None:
        """Closes the servable."""
        servable, self.servable = self.servable, None
        if servable is not None:
            servable.close()
