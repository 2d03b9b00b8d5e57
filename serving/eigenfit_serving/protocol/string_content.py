"""Strings in `tensor_content`: all lengths as varints, then all bytes."""

from __future__ import annotations

_MAX_LENGTH = 2**32


def read_strings(content: bytes, count: int) -> list[bytes]:
    """Decodes strings.

    Args:
        content: Bytes as written by `write_strings`.
        count: Number of strings.

    Raises:
        ValueError: If the content does not hold exactly `count` strings.
    """
    lengths = []
    at = 0
    for _ in range(count):
        length, at = _read_varint(content, at)
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise ValueError(
            f"The content has {len(content)} bytes; its strings need "
            f"{at + sum(lengths)}."
        )
    values = []
    for length in lengths:
        values.append(content[at : at + length])
        at += length
    return values


def write_strings(values: list[bytes]) -> bytes:
    """Encodes strings as `tensor_content`."""
    return b"".join([write_varint(len(value)) for value in values] + values)


def write_varint(value: int) -> bytes:
    """Encodes a number in groups of seven bits, lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(content):
            raise ValueError("The content ends before the lengths of its strings.")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift > 28:
            raise ValueError("The length of a string is no number of 32 bits.")
    if value >= _MAX_LENGTH:
        raise ValueError("The length of a string is no number of 32 bits.")
    return value, at
