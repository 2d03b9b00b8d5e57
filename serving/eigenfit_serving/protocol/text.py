"""Parses configuration files in the text format of protocol buffers."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format

from eigenfit_serving.protocol.pool import POOL


def parse_text(message_class: Any, text: str, where: str) -> Any:
    """Parses a message.

    Args:
        message_class: Class of the message, from `eigenfit_serving.protocol.messages`.
        text: The message in the text format.
        where: Name of the file, for errors.

    Raises:
        ValueError: If the text cannot be parsed; names file, line and column.
    """
    name = message_class.DESCRIPTOR.full_name
    try:
        return text_format.Parse(text, message_class(), descriptor_pool=POOL)
    except text_format.ParseError as error:
        reason = str(error)
        line, column = error.GetLine(), error.GetColumn()
        if line is not None:
            place = f"{line}:{column}" if column is not None else f"{line}"
            reason = f"{place}: {reason.removeprefix(f'{place} : ')}"
    except RecursionError:
        reason = "Message is too deep"
    raise ValueError(f"Error parsing text-format {name}: {reason} (in {where})")
