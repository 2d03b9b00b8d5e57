"""Refuses requests without an API key."""

from __future__ import annotations

from eigenfit_serving.server.keys import is_key, read_keys
from eigenfit_serving.server.rest_messages import RefusedError, Request


class ApiKeys:
    """Keys that are accepted; without any everyone is."""

    def __init__(self, path: str) -> None:
        """Reads a file of keys.

        Args:
            path: Of a file with one key a line, its first word; empty for none.

        Raises:
            ValueError: It holds none.
            OSError: It cannot be read.
        """
        self._keys = read_keys(path) if path else []

    def __repr__(self) -> str:
        return f"ApiKeys({len(self._keys)} keys)"

    def accepts(self, request: Request) -> bool:
        """Tells whether a request shows a key, or needs none; in constant time."""
        return not self._keys or is_key(_shown(request), self._keys)

    def check(self, request: Request) -> None:
        """Lets a request in.

        Raises:
            RefusedError: The request shows no key, or a wrong one.
        """
        if self.accepts(request):
            return
        message = (
            "The API key is wrong."
            if _shown(request)
            else "An API key is needed: header `x-api-key`, or `Authorization: Bearer`."
        )
        raise RefusedError(401, message, "api_key")


def _shown(request: Request) -> bytes:
    key = request.headers.get("x-api-key", "")
    if not key:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        key = rest if scheme.lower() == "bearer" else ""
    return key.strip().encode("latin-1")
