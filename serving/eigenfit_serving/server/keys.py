"""API keys: whoever shows one may use the server."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from pathlib import Path

from eigenfit_serving.protocol.status import Code, RefusedError, invalid

_BEARER = "bearer "


class Keys:
    """The keys that are accepted; without any, every caller is.

    Args:
        path: Path of a file of keys, the first word of each line: several can be in
            use. Empty for none.

    Raises:
        ServingError: If the file holds none.
        OSError: If it cannot be read.
    """

    def __init__(self, path: str) -> None:
        lines = Path(path).read_bytes().splitlines() if path else []
        self._keys = [words[0] for words in map(bytes.split, lines) if words]
        if path and not self._keys:
            raise invalid(f"{path}: no API key in this file; one a line")

    def __repr__(self) -> str:
        return f"Keys({len(self._keys)})"

    def accept(self, headers: Iterable[tuple[str, str | bytes]]) -> bool:
        """Tells whether headers, with names in lower case, hold a key if one is needed.

        All keys are compared, so that the time taken does not tell which one is close.
        """
        if not self._keys:
            return True
        for name, value in headers:
            text = value if isinstance(value, str) else value.decode("latin-1")
            if name == "authorization" and text[: len(_BEARER)].lower() == _BEARER:
                text = text[len(_BEARER) :]
            elif name != "x-api-key":
                continue
            shown = text.strip().encode()
            if any([hmac.compare_digest(key, shown) for key in self._keys]):
                return True
        return False


def missing_key() -> RefusedError:
    """Makes the error of a caller that shows none of the keys."""
    text = (
        "The API key is missing or wrong: send it as `x-api-key`, or as "
        "`Authorization: Bearer`."
    )
    return RefusedError(Code.UNAUTHENTICATED, text, "api_key")
