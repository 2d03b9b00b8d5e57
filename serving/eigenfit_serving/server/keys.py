"""API keys: whoever shows one may use the server."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path


def read_keys(path: str) -> list[bytes]:
    """Reads a file of keys, the first word of each line: several can be in use.

    Raises:
        ValueError: It holds none.
        OSError: It cannot be read.
    """
    lines = map(bytes.split, Path(path).read_bytes().splitlines())
    keys = [words[0] for words in lines if words]
    if not keys:
        raise ValueError(f"{path}: no API key in this file; one a line")
    return keys


def is_key(shown: bytes, keys: Sequence[bytes]) -> bool:
    """Compares with every key, so that the time does not tell which one is close."""
    return any([hmac.compare_digest(key, shown) for key in keys])
