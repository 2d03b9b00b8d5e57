"""Converts columns to NumPy arrays and records what is wrong with each row.

`b` is the number of rows; a bad row gets one text, for the first fault found.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from eigenfit_serving.batch.settings import ModelFacts, Settings
from eigenfit_serving.batch.tables.columns import FAULT


class Complaints:
    """The faults of rows: a text or None for each, `[b]` object, changed in place.

    Example:
        >>> found = Complaints(np.array(["before", None, None]))
        >>> found.add(np.array([True, True, False]), "now")
        >>> found.texts.tolist(), found.bad.tolist()
        (['before', 'now', None], [True, True, False])
    """

    def __init__(self, texts: np.ndarray) -> None:
        self.texts = texts
        self.bad = np.asarray(texts != None)  # noqa: E711 (each of them)

    def add(self, mask: np.ndarray, text: str) -> None:
        """Records a fault for the rows of a mask that have none yet."""
        self.texts[mask & ~self.bad] = text
        self.bad |= mask


class Members(NamedTuple):
    """Fits to make, `b` of them: one for each row, or for each start of each row."""

    targets: np.ndarray  # [b, m]
    initial: np.ndarray | None  # [b, p]
    has_initial: np.ndarray  # [b] bool; the others draw a start from their seed
    seeds: np.ndarray  # [b] int32
    tolerance: np.ndarray  # [b], 0 for the default
    max_steps: np.ndarray  # [b] int32
    weights: np.ndarray | None = None  # [b, m], NaN for those of the problem

    def take(self, index: np.ndarray | slice) -> Members:
        """Returns the members with given indices."""
        fields: dict[str, Any] = self._asdict()
        fields = {k: x if x is None else x[index] for k, x in fields.items()}
        return Members(**fields)

    def padded(self, size: int) -> Members:
        """Pads to `size` with copies of the last member that may take no step."""
        number = len(self.targets)
        if size == number:
            return self
        whole = self.take(np.minimum(np.arange(size), number - 1))
        whole.max_steps[number:] = 0
        return whole


def rows_of(
    batch: pa.RecordBatch, facts: ModelFacts, settings: Settings
) -> tuple[Members, Complaints]:
    """Reads problems from the columns of a batch.

    These are as `rows_schema` says; settings have the tolerance and steps of rows that
    have none of their own.

    Returns:
        A fit for each row, without a seed, whose values are arbitrary if the row is
        bad; and the faults of the rows.
    """
    number = batch.num_rows
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    texts = np.full(number, None, object)
    if FAULT in columns and columns[FAULT].null_count < number:
        texts = np.array(columns[FAULT].to_pylist(), object)
    found = Complaints(texts)
    found.add(~_is_there(columns["id"]), "`id` is null")
    m, p = facts.targets, facts.parameters
    targets, is_there = _vectors("targets", columns["targets"], m, found)
    found.add(~is_there, "`targets` is null")
    initial, has_initial = None, np.zeros(number, bool)
    if "initial" in columns:
        initial, has_initial = _vectors("initial", columns["initial"], p, found)
    largest = np.finfo(facts.dtype).max
    for name, values in (("targets", targets), ("initial", initial)):
        if values is not None and largest < np.finfo(float).max:
            is_large = np.asarray((np.abs(values) > largest).any(axis=1))
            found.add(is_large, f"`{name}` has a number too large for {facts.dtype}")
    given, is_there = _numbers("tolerance", columns)
    wrong = is_there & ~((given > 0) & np.isfinite(given))
    found.add(wrong, "`tolerance` is no positive number")
    vanishes = is_there & (_rounded(given, facts) == 0)
    found.add(vanishes, f"`tolerance` is zero in {facts.dtype}")
    # 0 stands for the model's default tolerance.
    tolerance = np.where(is_there, given, settings.tolerance or 0.0)
    given, is_there = _numbers("max_steps", columns)
    wrong = is_there & ~((given >= 0) & (given == np.floor(given)))
    found.add(wrong, "`max_steps` is no integer of at least 0")
    most = settings.max_steps
    most = facts.default_max_steps if most is None else most
    steps = np.where(is_there & ~wrong, given, most)
    steps = np.minimum(steps, facts.max_steps_limit).astype(np.int32)
    weights = None
    if "weights" in columns:
        weights, is_there = _vectors("weights", columns["weights"], m, found)
        wrong = is_there & (weights <= 0).any(axis=1)
        found.add(wrong, "`weights` has a number that is not positive")
        own = _rounded(weights, facts)
        lost = is_there & ~((own > 0) & np.isfinite(own)).all(axis=1)
        found.add(lost, f"`weights` has a number out of the range of {facts.dtype}")
        weights = np.where(is_there[:, np.newaxis], weights, np.nan)
    seeds = np.zeros(number, np.int32)
    rows = Members(targets, initial, has_initial, seeds, tolerance, steps, weights)
    return rows, found


def _vectors(
    name: str, column: Any, width: int, found: Complaints
) -> tuple[np.ndarray, np.ndarray]:
    # The numbers, [b, width], and which rows have a list.
    lengths = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    is_there, fits = lengths >= 0, lengths == width
    for length in np.unique(lengths[is_there & ~fits]).tolist():
        text = f"`{name}` has {length} number{'s' * (length != 1)}, must have {width}"
        found.add(lengths == length, text)
    known = column if fits.all() else column.filter(pa.array(fits))
    values = known.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    if len(values) < len(fits):
        known, values = values, np.zeros([len(fits), width])
        values[fits] = known
    finite = np.asarray(np.isfinite(values).all(axis=1))
    found.add(~finite, f"`{name}` has a null, NaN, infinite or unreadable number")
    return values, is_there


def _rounded(values: np.ndarray, facts: ModelFacts) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(facts.dtype)


def _numbers(name: str, columns: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    # The numbers, [b], and which rows have one.
    column = columns.get(name, pa.nulls(len(columns["id"]), pa.float64()))
    return column.to_numpy(zero_copy_only=False), _is_there(column)


def _is_there(column: Any) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False)
