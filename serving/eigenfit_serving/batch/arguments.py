"""Checks of a run's arguments, which need no file."""

from __future__ import annotations

from typing import Any

from eigenfit_serving.errors import InputError


def check_arguments(
    numbers: dict[str, Any],
    *,
    engine: Any,
    gpus: Any,
    starts: Any,
    keep: Any,
    seed: Any,
    tolerance: Any,
    max_steps: Any,
) -> None:
    """Checks arguments of `eigenfit_serving.batch.run_batch`.

    Args:
        numbers: By name, those that are None or an integer of at least 1.
        engine: As there.
        gpus: As there.
        starts: As there.
        keep: As there.
        seed: As there.
        tolerance: As there.
        max_steps: As there.

    Raises:
        InputError: Naming the first one that is wrong, its value and a remedy.
    """
    for name, value in {**numbers, "starts": starts}.items():
        _check_integer(name, value, 1)
    _check_integer("gpus", gpus, 0)
    _check_integer("max_steps", max_steps, 0)
    for name, value, known in (
        ("engine", engine, ("local", "ray")),
        ("keep", keep, ("best", "all")),
    ):
        if value not in known:
            raise InputError(f"{name} = {value!r}: must be {' or '.join(known)}.")
    if keep == "all" and starts is None:
        raise InputError("keep = 'all': needs starts, the number of fits of a row.")
    _check_integer("seed", seed, -(2**63))
    is_number = isinstance(tolerance, float | int)
    if tolerance is not None and not (is_number and 0 < tolerance < float("inf")):
        raise InputError(f"tolerance = {tolerance!r}: must be a positive number.")


def _check_integer(name: str, value: Any, least: int) -> None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_integer and value >= least):
        raise InputError(f"{name} = {value!r}: must be an integer of at least {least}.")
