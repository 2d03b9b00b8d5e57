"""JSON values as error messages name them: RapidJSON's pretty text, cut short."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

_LIMIT = 256

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)

_INDENT = "    "


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
    if isinstance(value, float):
        return _decimal(value)
    parts, size = [], 0
    for part in _pretty(value, ""):
        parts.append(part)
        size += len(part)
        if size >= _LIMIT:
            break
    encoded = "".join(parts).encode("utf-8", "replace")[:_LIMIT]
    return encoded.decode("utf-8", "ignore")


def _pretty(value: Any, indent: str) -> Iterator[str]:
    inner = indent + _INDENT
    if isinstance(value, dict):
        if not value:
            yield "{}"
            return
        yield "{"
        for index, (name, member) in enumerate(value.items()):
            yield ",\n" if index else "\n"
            yield f"{inner}{_scalar(name)}: "
            yield from _pretty(member, inner)
        yield f"\n{indent}}}"
    elif isinstance(value, list):
        if not value:
            yield "[]"
            return
        yield "["
        for index, element in enumerate(value):
            yield ",\n" if index else "\n"
            yield inner
            yield from _pretty(element, inner)
        yield f"\n{indent}]"
    else:
        yield _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return _shortest(value)
    if isinstance(value, str):
        return json.dumps(value[: 2 * _LIMIT], ensure_ascii=False)
    return json.dumps(value)


def _decimal(value: float) -> str:
    """Writes six digits, or as many as round-trip, in single precision if it fits."""
    if not math.isfinite(value):
        return json.dumps(value)
    number: Any = value
    digits = 17
    if abs(value) <= _LARGEST_FLOAT32:
        number, digits = np.float32(value), 9
    text = f"{float(number):.6g}"
    if type(number)(text) != number:
        text = f"{float(number):.{digits}g}"
    return text if "." in text or "e" in text else text + ".0"


def _shortest(value: float) -> str:
    if not math.isfinite(value):
        return json.dumps(value)
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    power = int(exponent)
    if 0 < power < 21:
        return f"{value:.1f}"
    return f"{mantissa}e{power}"
