"""What the command line says when its input cannot be used.

ValueError
+-- InputError      one line for the user: place, key, value, remedy
+-- BadValue        raised by validators; `problem_file` turns it into an InputError
"""

from __future__ import annotations

import json
from typing import Any


class InputError(ValueError):
    r"""Bad input of a command; its text is one line that says how to correct it.

    Example:
        >>> str(InputError("a.toml: fit.tolerance = -1: must be\n positive."))
        'a.toml: fit.tolerance = -1: must be positive.'
    """

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(line.strip() for line in text.splitlines()))


class BadValue(ValueError):  # noqa: N818  (it never reaches a user under this name)
    """A value that a validator refuses.

    Args:
        text: What is wrong and what to do, a sentence or two.
        key: Of the value, relative to the field being validated: "[2]", or from the
            top of the file: "start.parameters".
        value: The value, if it is worth showing.
    """

    def __init__(self, text: str, key: str = "", value: Any = None) -> None:
        super().__init__(text)
        self.key = key
        self.value = value


def show(value: Any, width: int = 48) -> str:
    """Writes a value as in a TOML file, shortened.

    Example:
        >>> show(True), show("a"), show([1, 2.5]), show(range(10**6), width=9)
        ('true', '"a"', '[1, 2.5]', 'range(...')
    """
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
