"""JSON values as error messages name them."""

from __future__ import annotations

import json
from typing import Any

_LIMIT = 256

_ENCODER = json.JSONEncoder(indent=4, ensure_ascii=False)


def type_word(value: Any) -> str:
    """Names the JSON type of a parsed value.

    Example:
        >>> type_word(True), type_word(1.5), type_word([])
        ('True', 'Number', 'Array')
    """
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return "Object"
    if isinstance(value, list):
        return "Array"
    return "String" if isinstance(value, str) else "Number"


def describe(value: Any) -> str:
    """Writes at most 256 bytes of a value.

    Example:
        >>> print(describe([1, "a"]))
        [
            1,
            "a"
        ]
    """
    parts, size = [], 0
    for part in _ENCODER.iterencode(value):
        parts.append(part)
        size += len(part)
        if size >= _LIMIT:
            break
    encoded = "".join(parts).encode("utf-8", "replace")[:_LIMIT]
    return encoded.decode("utf-8", "ignore")
