"""One test case for all combinations of some values."""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def each(check: Callable[..., None], **values: Iterable[Any]) -> None:
    """Calls `check` with every combination of the values, in the order given.

    All are tried; those that fail are named in one message, with what they said.
    """
    told, first = [], None
    lists = {name: list(options) for name, options in values.items()}
    assert all(lists.values()), f"nothing to check: {lists}"
    for chosen in itertools.product(*lists.values()):
        combination = dict(zip(lists, chosen, strict=True))
        try:
            check(**combination)
        except (Exception, pytest.fail.Exception) as error:
            first = first or error
            told.append(f"{_named(combination)}: {type(error).__name__}: {error}")
    if first is not None:
        raise AssertionError("\n\n".join(told)) from first


def _named(combination: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={getattr(value, 'name', value)}" for name, value in combination.items()
    )
