"""Finds what is wrong with a JSON text, and where, in RapidJSON's words.

Only texts that no parser took come here. Runs of numbers and strings are skipped by
regular expressions, so that a long text costs little.
"""

from __future__ import annotations

import math
import re

TOO_BIG = "Number too big to be stored in double."

MAX_DEPTH = 512
"""Levels of nesting that are read."""

NESTING = f"Nesting deeper than {MAX_DEPTH} levels."

_EMPTY = "The document is empty."
_VALUE = "Invalid value."
_NAME = "Missing a name for object member."
_COLON = "Missing a colon after a name of object member."
_MEMBER = "Missing a comma or } after an object member."
_ELEMENT = "Missing a comma or ] after an array element."
_HEX = "Incorrect hex digit after \\u escape in string."
_SURROGATE = "The surrogate pair in string is invalid."
_ESCAPE = "Invalid escape character in string."
_QUOTE = "Missing a closing quotation mark in string."
_ENCODING = "Invalid encoding in string."
_FRACTION = "Miss fraction part in number."
_EXPONENT = "Miss exponent in number."

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(r"[0-9]*")
_SCALAR = (
    r"(?:-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,2})?"
    r'|"[^"\\\x00-\x1f]*"|null|true|false|NaN|-?Inf(?:inity)?)'
)
_BLANK = r"[ \t\n\r]*"
_COMMA = f"{_BLANK},{_BLANK}"


def _list_of(item: str) -> str:
    return rf"\[{_BLANK}{item}(?:{_COMMA}{item}){{0,1000}}{_BLANK}\]"


_ITEM = f"(?:{_SCALAR}|{_list_of(_SCALAR)})"
_RUN = re.compile(f"(?:{_ITEM}{_COMMA}){{1,1000}}")

_LONGEST_SEARCH = 500_000  # values: seconds


class JsonFaultError(Exception):
    """A text that is not JSON.

    Attributes:
        text: What is wrong.
        offset: In bytes.
    """

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(text)
        self.text = text
        self.offset = offset


class SearchLimitError(Exception):
    """The text has too many values to look at each."""


def find_fault(text: str, start: int = 0) -> None:
    """Reads one JSON value and ignores what follows it.

    Args:
        text: One character a byte.
        start: Where to begin.

    Raises:
        JsonFaultError: At the first error.
        SearchLimitError: There was none in the first part of a long text.
    """
    _Reader(text).document(start)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def _peek(self, at: int) -> str:
        # RapidJSON reads a NUL behind the end, and takes one inside for the end.
        return self._text[at] if at < len(self._text) else "\0"

    def _space(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def document(self, at: int) -> None:
        at = self._space(at)
        if self._peek(at) == "\0":
            raise JsonFaultError(_EMPTY, at)
        closers: list[str] = []
        for _ in range(_LONGEST_SEARCH):
            at = self._value(at, closers)
            at = self._close(at, closers)
            if not closers:
                return
        raise SearchLimitError

    def _value(self, at: int, closers: list[str]) -> int:
        """Reads up to the end of a scalar or of an empty container."""
        while (opener := self._peek(at)) in "[{":
            if len(closers) >= MAX_DEPTH:
                raise JsonFaultError(NESTING, at)
            closer = "]" if opener == "[" else "}"
            at = self._space(at + 1)
            if self._peek(at) == closer:
                return at + 1
            closers.append(closer)
            at = self._name(at) if closer == "}" else self._run(at)
        return self._scalar(at)

    def _close(self, at: int, closers: list[str]) -> int:
        """Reads closing brackets up to the start of the next value."""
        while closers:
            at = self._space(at)
            found, closer = self._peek(at), closers[-1]
            if found == ",":
                at = self._space(at + 1)
                return self._name(at) if closer == "}" else self._run(at)
            if found != closer:
                raise JsonFaultError(_MEMBER if closer == "}" else _ELEMENT, at)
            closers.pop()
            at += 1
        return at

    def _run(self, at: int) -> int:
        while match := _RUN.match(self._text, at):
            at = match.end()
        return at

    def _name(self, at: int) -> int:
        if self._peek(at) != '"':
            raise JsonFaultError(_NAME, at)
        at = self._space(self._string(at))
        if self._peek(at) != ":":
            raise JsonFaultError(_COLON, at)
        return self._space(at + 1)

    def _scalar(self, at: int) -> int:
        first = self._peek(at)
        if first == '"':
            return self._string(at)
        for word in ("null", "true", "false"):
            if first == word[0]:
                return self._word(at, word)
        return self._number(at)

    def _word(self, at: int, word: str) -> int:
        for letter in word:
            if self._peek(at) != letter:
                raise JsonFaultError(_VALUE, at)
            at += 1
        return at

    def _string(self, at: int) -> int:
        at += 1
        while True:
            plain = _PLAIN.match(self._text, at)
            at = plain.end() if plain else at
            found = self._peek(at)
            if found == '"':
                return at + 1
            if found == "\0":
                raise JsonFaultError(_QUOTE, at)
            if found != "\\":
                raise JsonFaultError(_ENCODING, at)
            at = self._escape(at)

    def _escape(self, at: int) -> int:
        found = self._peek(at + 1)
        if found != "u":
            if found not in '"\\/bfnrt':
                raise JsonFaultError(_ESCAPE, at)
            return at + 2
        high = self._hex(at + 2, at)
        end = at + 6
        if not 0xD800 <= high <= 0xDFFF:
            return end
        if high > 0xDBFF or self._text[end : end + 2] != "\\u":
            raise JsonFaultError(_SURROGATE, at)
        if not 0xDC00 <= self._hex(end + 2, at) <= 0xDFFF:
            raise JsonFaultError(_SURROGATE, at)
        return end + 6

    def _hex(self, at: int, escape: int) -> int:
        digits = self._text[at : at + 4]
        if not re.fullmatch("[0-9a-fA-F]{4}", digits):
            raise JsonFaultError(_HEX, escape)
        return int(digits, 16)

    def _number(self, start: int) -> int:
        at = start + (self._peek(start) == "-")
        first = self._peek(at)
        if first == "N":
            return self._word(at, "NaN")
        if first == "I":
            at = self._word(at, "Inf")
            return self._word(at, "inity") if self._peek(at) == "i" else at
        if not "0" <= first <= "9":
            raise JsonFaultError(_VALUE, at)
        at = at + 1 if first == "0" else self._digits(at, _VALUE)
        if self._peek(at) == ".":
            at = self._digits(at + 1, _FRACTION)
        if self._peek(at) in "eE":
            at += 1
            at = self._digits(at + (self._peek(at) in "+-"), _EXPONENT)
        if math.isinf(float(self._text[start:at])):
            raise JsonFaultError(TOO_BIG, start)
        return at

    def _digits(self, at: int, missing: str) -> int:
        match = _DIGITS.match(self._text, at)
        end = match.end() if match else at
        if end == at:
            raise JsonFaultError(missing, at)
        return end
