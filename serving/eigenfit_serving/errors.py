"""Errors that the command line reports when its input cannot be used.

ValueError
+-- InputError      one line per error: place, key, value, remedy
+-- BadValue        raised by validators; `problem_file` turns it into an InputError
+-- BadValues       several of them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any


class InputError(ValueError):
    r"""Bad input to a command; its text says in one line per error how to correct it.

    Args:
        *texts: Messages, one for each error; each becomes a line.

    Example:
        >>> str(InputError("a.toml: fit.tolerance = -1: must be\n positive."))
        'a.toml: fit.tolerance = -1: must be positive.'
    """

    def __init__(self, *texts: str) -> None:
        lines = [" ".join(map(str.strip, text.splitlines())) for text in texts]
        super().__init__("\n".join(lines))


class BadValue(ValueError):  # noqa: N818  (it never reaches a user under this name)
    """A value that a validator refuses.

    Args:
        text: What is wrong and what to do, in a sentence or two.
        key: Key of the value, relative to the field being validated, "[2]", or from the
            top of the file, "start.parameters".
        value: The rejected value, if it is worth showing; None otherwise.
    """

    def __init__(self, text: str, key: str = "", value: Any = None) -> None:
        super().__init__(text)
        self.key = key
        self.value = value


class BadValues(ValueError):  # noqa: N818  (as `BadValue`)
    """Several values that validators refuse.

    Args:
        errors: The single errors, at least two.
    """

    def __init__(self, errors: Sequence[BadValue]) -> None:
        super().__init__("; ".join(map(str, errors)))
        self.errors = tuple(errors)


def check_all(*checks: Callable[[], Any]) -> None:
    """Runs all checks and raises their errors together.

    Raises:
        BadValue: If there is one error.
        BadValues: If there are several.

    Example:
        >>> def refuse():
        ...     raise BadValue("must be positive.", "a")
        >>> check_all(lambda: None, refuse, refuse)  # the same is said once
        Traceback (most recent call last):
        eigenfit_serving.errors.BadValue: must be positive.
    """
    found: dict[tuple[str, str], BadValue] = {}
    for check in checks:
        try:
            check()
        except (BadValue, BadValues) as error:
            several = error.errors if isinstance(error, BadValues) else [error]
            for each in several:
                found.setdefault((each.key, str(each)), each)
    errors = list(found.values())
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BadValues(errors)


def show(value: Any, width: int = 48) -> str:
    """Writes a value as in a TOML file, cut to `width` characters.

    Example:
        >>> show(True), show("a"), show([1, 2.5]), show(range(10**6), width=9)
        ('true', '"a"', '[1, 2.5]', 'range(...')
    """
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."
