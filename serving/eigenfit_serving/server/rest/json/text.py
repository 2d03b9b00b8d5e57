"""Reads JSON as TensorFlow Serving does: bare NaN and Infinity, text after the value.

orjson parses almost every request. Where it refuses, the parser of the standard library
reads the bare tokens, or says what is wrong and where.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from eigenfit_serving.protocol.status import ServingError, invalid
from eigenfit_serving.server.rest.json.values import describe

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")

# A string, which is left alone, or a token, which the standard library may not know.
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"?'
_TOKENS = re.compile(rf"{_STRING}|-?(?:NaN|Inf(?:inity)?)", re.DOTALL)

_LARGE = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{309}")
_NUMBERS = re.compile(rf"{_STRING}|-?[0-9][-+.0-9eE]*", re.DOTALL)
_DECODER = json.JSONDecoder()
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_object(body: bytes) -> dict[str, Any]:
    """Reads the object at the start of a body; what follows it is ignored.

    Bytes that are not UTF-8 become surrogates, as `errors="surrogateescape"` makes
    them.

    Raises:
        ServingError: INVALID_ARGUMENT, with the reason and the offset in bytes.

    Example:
        >>> parse_object(b'{"inputs": [1, NaN, -Inf]} and more')
        {'inputs': [1, nan, -inf]}
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_leniently(body)
    if not isinstance(value, dict):
        raise invalid(f"JSON Value: {describe(value)} Is not object")
    return value


def _parse_leniently(body: bytes) -> Any:
    start = len(_BOM) if body.startswith(_BOM) else 0
    text = body[start:].decode("utf-8", "surrogateescape")
    tokens: list[str] = []

    def known(match: re.Match[str]) -> str:
        if match[0][0] == '"':
            return match[0]
        tokens.append(match[0])
        return "NaN".rjust(len(match[0]))  # as long, so that offsets stay

    def fault(reason: str, at: int) -> ServingError:
        offset = start + len(text[:at].encode("utf-8", "surrogateescape"))
        return invalid(f"JSON Parse error: {reason} at offset: {offset}")

    plain, decoder = text, _DECODER
    if "Inf" in text or "-NaN" in text:
        plain, values = _TOKENS.sub(known, text), map(float, tokens)
        decoder = json.JSONDecoder(parse_constant=lambda _: next(values))
    blank = _SPACE.match(plain)
    first = blank.end() if blank else 0
    try:
        value, end = decoder.raw_decode(plain, first)
    except json.JSONDecodeError as error:
        raise fault(error.msg.removesuffix(" at"), error.pos) from None
    except RecursionError:
        raise fault("Nested too deep", first) from None
    except ValueError:  # a whole number with thousands of digits
        value, end = None, len(plain)
    if _LARGE.search(plain, first, end):
        for match in _NUMBERS.finditer(plain, first, end):
            if match[0][0] != '"' and math.isinf(float(match[0])):
                raise fault("Number too big to be stored in double", match.start())
    surrogate = _ESCAPED_SURROGATE.search(plain, first, end)
    if surrogate is not None and _has_half_pair(value):
        raise fault("Half of a surrogate pair", surrogate.start())
    return value


def _has_half_pair(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return True
    return False
