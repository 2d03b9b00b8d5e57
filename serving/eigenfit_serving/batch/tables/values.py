"""Converts columns to NumPy arrays and records what is wrong with each row.

`b` is the number of rows; a bad row gets one text, for the first fault found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eigenfit_serving.batch.model import ModelFacts
from eigenfit_serving.batch.settings import Settings
from eigenfit_serving.batch.tables.arrow import compute
from eigenfit_serving.batch.tables.columns import FAULT

if TYPE_CHECKING:
    import pyarrow as pa


class Complaints:
    """The faults of rows.

    Args:
        texts: `[b]` object, the fault of each row or None; changed in place.

    Example:
        >>> found = Complaints(np.array(["before", None, None]))
        >>> found.add(np.array([True, True, False]), "now")
        >>> found.texts.tolist(), found.bad.tolist()
        (['before', 'now', None], [True, True, False])
    """

    def __init__(self, texts: np.ndarray) -> None:
        self.texts = texts
        self.bad = np.array([text is not None for text in texts], bool)

    def add(self, mask: np.ndarray, text: str) -> None:
        """Records a fault for the rows of a mask that have none yet."""
        self.texts[mask & ~self.bad] = text
        self.bad |= mask


@dataclass(frozen=True)
class Rows:
    """Problems, one per row; the values of a bad row are arbitrary."""

    ids: pa.Array  # [b] of any type
    targets: np.ndarray  # [b, m]
    initial: np.ndarray | None  # [b, p]
    has_initial: np.ndarray  # [b] bool
    tolerance: np.ndarray  # [b], 0 for the default
    max_steps: np.ndarray  # [b] int32
    weights: np.ndarray | None  # [b, m], NaN where a row has none
    complaints: Complaints


def rows_of(
    batch: pa.RecordBatch,
    facts: ModelFacts,
    settings: Settings,
) -> Rows:
    """Reads problems from the columns of a batch.

    Args:
        batch: Rows, as `eigenfit_serving.batch.tables.columns.rows_schema` says.
        facts: Facts of the model.
        settings: Tolerance and steps of rows that have none of their own.
    """
    number = batch.num_rows
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    texts = np.full(number, None, object)
    if FAULT in columns and columns[FAULT].null_count < number:
        texts = np.array(columns[FAULT].to_pylist(), object)
    found = Complaints(texts)
    ids = columns["id"]
    if ids.null_count:
        found.add(_nulls(ids), "`id` is null")
    m, p = facts.targets, facts.parameters
    targets, _ = _vectors("targets", columns["targets"], m, found, required=True)
    initial, has_initial = None, np.zeros(number, bool)
    if "initial" in columns:
        initial, has_initial = _vectors("initial", columns["initial"], p, found)
    largest = np.finfo(facts.dtype).max
    for name, values in (("targets", targets), ("initial", initial)):
        if values is not None:
            is_large = np.asarray((np.abs(values) > largest).any(axis=1))
            found.add(is_large, f"`{name}` has a number too large for {facts.dtype}")
    # 0 stands for the model's default tolerance.
    tolerance = np.full(number, settings.tolerance or 0.0)
    if "tolerance" in columns:
        given, is_there = _numbers(columns["tolerance"])
        wrong = is_there & ~((given > 0) & np.isfinite(given))
        found.add(wrong, "`tolerance` is no positive number")
        with np.errstate(over="ignore", under="ignore"):
            vanishes = is_there & ~wrong & (given.astype(facts.dtype) == 0)
        found.add(vanishes, f"`tolerance` is zero in {facts.dtype}")
        tolerance = np.where(is_there & ~wrong & ~vanishes, given, tolerance)
    steps = np.full(number, settings.max_steps, np.float64)
    if "max_steps" in columns:
        given, is_there = _numbers(columns["max_steps"])
        wrong = is_there & ~((given >= 0) & (given == np.floor(given)))
        found.add(wrong, "`max_steps` is no integer of at least 0")
        steps = np.where(is_there & ~wrong, given, steps)
    weights = None
    if "weights" in columns:
        weights, is_there = _vectors("weights", columns["weights"], m, found)
        wrong = is_there & (weights <= 0).any(axis=1)
        found.add(wrong, "`weights` has a number that is not positive")
        with np.errstate(over="ignore", under="ignore"):
            own = weights.astype(facts.dtype)
        lost = is_there & ~((own > 0) & np.isfinite(own)).all(axis=1)
        found.add(lost, f"`weights` has a number out of the range of {facts.dtype}")
        weights = np.where(is_there[:, np.newaxis], weights, np.nan)
    steps = np.minimum(steps, facts.max_steps_limit).astype(np.int32)
    return Rows(ids, targets, initial, has_initial, tolerance, steps, weights, found)


def _vectors(
    name: str, column: Any, width: int, found: Complaints, required: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    # The numbers, [b, width], and which rows have a list.
    import pyarrow as pa

    lengths = compute().fill_null(compute().list_value_length(column), -1)
    lengths = lengths.to_numpy(zero_copy_only=False).astype(np.int64)
    is_there = lengths >= 0
    if required:
        found.add(~is_there, f"`{name}` is null")
    fits = lengths == width
    all_fit = bool(fits.all())
    for length in () if all_fit else np.unique(lengths[is_there & ~fits]).tolist():
        found.add(
            np.equal(lengths, length),
            f"`{name}` has {length} number{'s' * (length != 1)}, must have {width}",
        )
    chosen = column if all_fit else column.filter(pa.array(fits))
    values = chosen.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    if not all_fit:
        whole = np.zeros([len(fits), width])
        whole[fits] = values
        values = whole
    finite = np.asarray(np.isfinite(values).all(axis=1))
    if not finite.all():
        found.add(~finite, f"`{name}` has a null, NaN, infinite or unreadable number")
    return values, is_there


def _numbers(column: Any) -> tuple[np.ndarray, np.ndarray]:
    return column.to_numpy(zero_copy_only=False), ~_nulls(column)


def _nulls(column: Any) -> np.ndarray:
    return column.is_null().to_numpy(zero_copy_only=False)
