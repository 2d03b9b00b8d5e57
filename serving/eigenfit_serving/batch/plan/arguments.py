"""Checks of a run's arguments that need no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eigenfit_serving.errors import InputError

_LEAST = {
    "batch_size": 1,
    "workers": 1,
    "gpus": 0,
    "limit": 1,
    "starts": 1,
    "seed": -(2**63),
    "max_steps": 0,
}
"""Lower limits of integer arguments, which may also be None."""
_KNOWN = {"engine": ("local", "ray"), "keep": ("best", "all")}


def check_arguments(given: Mapping[str, Any]) -> None:
    """Checks all arguments of `eigenfit_serving.batch.run_batch`, by name.

    Raises:
        InputError: If one is wrong; names the first such, its value and a remedy.
    """
    for name, least in _LEAST.items():
        value = given[name]
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_integer and value >= least):
            raise InputError(
                f"{name} = {value!r}: must be an integer of at least {least}."
            )
    for name, known in _KNOWN.items():
        if given[name] not in known:
            raise InputError(f"{name} = {given[name]!r}: must be {' or '.join(known)}.")
    if given["keep"] == "all" and given["starts"] is None:
        raise InputError("keep = 'all': needs starts, the number of fits of a row.")
    tolerance = given["tolerance"]
    is_number = isinstance(tolerance, float | int)
    if tolerance is not None and not (is_number and 0 < tolerance < float("inf")):
        raise InputError(f"tolerance = {tolerance!r}: must be a positive number.")
