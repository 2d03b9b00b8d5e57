"""Reading JSON as RapidJSON does: bare NaN and Infinity, and text after the value.

What orjson takes is what almost every request is. Where it refuses, the parser of the
standard library reads the bare tokens, and where that refuses too, `json_faults` finds
the error and where it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from eigenfit_serving.server.json_faults import (
    NESTING,
    JsonFaultError,
    SearchLimitError,
    find_fault,
)
from eigenfit_serving.server.json_words import describe
from eigenfit_serving.server.status import Code, ServingError

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()

# A string, which is left alone, or a token that only RapidJSON knows.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|-?Inf(?:inity)?|-NaN', re.DOTALL)

# The standard library takes half of a surrogate pair, and numbers beyond float64.
_SUSPECT = re.compile(r"\\u[dD]|[eE]\+?[0-9]{3}|[0-9]{309}")


def parse_object(body: bytes) -> dict[str, Any]:
    """Reads the object at the start of a body; what follows it is ignored.

    Bytes that are not UTF-8 become surrogates, as `errors="surrogateescape"` makes
    them.

    Args:
        body: Of a request.

    Raises:
        ServingError: INVALID_ARGUMENT, with RapidJSON's text and offset.

    Example:
        >>> parse_object(b'{"inputs": [1, NaN, -Inf]} and more')
        {'inputs': [1, nan, -inf]}
    """
    if not body:
        raise _invalid("JSON Parse error: The document is empty")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _parse_leniently(body)
    if not isinstance(value, dict):
        raise _invalid(f"JSON Value: {describe(value)} Is not object")
    return value


def _parse_leniently(body: bytes) -> Any:
    start = len(_BOM) if body.startswith(_BOM) else 0
    text = body[start:].decode("utf-8", "surrogateescape")
    value, error = _decode(text)
    if error is not None and ("Inf" in text or "-NaN" in text):
        value, error = _decode(_TOKENS.sub(_common_token, text))
    if error is None and not _SUSPECT.search(text):
        return value
    try:
        find_fault(body.decode("latin-1"), start)
    except JsonFaultError as fault:
        raise _fault(fault.text, fault.offset) from None
    except SearchLimitError:
        if error is not None:
            raise _fault("Invalid value.", error) from None
    if error is not None:
        raise _fault(NESTING, start)
    return value


def _decode(text: str) -> tuple[Any, int | None]:
    """Gives the value, or where it ends to be one."""
    blank = _SPACE.match(text)
    try:
        return _DECODER.raw_decode(text, blank.end() if blank else 0)[0], None
    except json.JSONDecodeError as error:
        return None, error.pos
    except (ValueError, RecursionError):  # Thousands of digits, or of brackets.
        return None, 0


def _common_token(match: re.Match[str]) -> str:
    token = match.group()
    if token.startswith('"'):
        return token
    if token == "-NaN":
        return "NaN"
    return "-Infinity" if token.startswith("-") else "Infinity"


def _fault(text: str, offset: int) -> ServingError:
    return _invalid(f"JSON Parse error: {text} at offset: {offset}")


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
