"""The columns of an output table.

- `id`: as in the input; `row`: index of the row there, from 0 on;
- with several starts `solution`, 0 for the best one of the row, and `count`, the
  number of starts that led to it (that converged at all, if only the best is kept);
- `parameters`, `eigenvalues`: lists; `loss`; all null where nothing was computed;
- `steps`: steps taken; `result`: a code, and `text`: its meaning;
- `message`: what is wrong with a malformed row, null for others;
- `worker`: its name, and `seconds`: the row's share of the time of its batch.

Codes are those of `eigenfit.Result`: 0 converged, 1 stationary, 2 max_steps, 3 stalled,
4 nonfinite, 5 invalid_input, 6 minimum; and -1, worker_died, for rows never fitted.
Converged and minimum are successes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from eigenfit_serving.protocol.result_codes import Result

if TYPE_CHECKING:
    from eigenfit_serving.batch.settings import ModelFacts
    from eigenfit_serving.batch.solving.choosing import Chosen
    from eigenfit_serving.batch.solving.fitting import Fits

WORKER_DIED = -1

CODE_NAMES = (*(result.name for result in Result), "worker_died")
"""Names of the codes in their order; the last one is that of -1."""

SUCCESSES = tuple(result.name for result in Result if result.is_success)

MALFORMED_TEXT = "The row was not fitted: see the message. Correct its input."
DIED_TEXT = (
    "The row was not fitted: the process that worked on it died each time, usually "
    "for lack of memory. Try it alone, or fewer starts."
)


class Answers(NamedTuple):
    """Rows of the output."""

    table: pa.RecordBatch
    counts: np.ndarray  # [8] int, rows of the input by code, ordered like CODE_NAMES


def output_schema(id_type: pa.DataType, facts: ModelFacts, several: bool) -> pa.Schema:
    """Returns the names and types of the columns of one or several starts a row."""
    real = pa.float32() if facts.dtype == "float32" else pa.float64()
    name = pa.dictionary(pa.int8(), pa.string())
    fields = [
        ("id", id_type),
        ("row", pa.int64()),
        *([("solution", pa.int32()), ("count", pa.int32())] if several else []),
        ("parameters", pa.list_(real)),
        ("eigenvalues", pa.list_(real)),
        ("loss", real),
        ("steps", pa.int32()),
        ("result", pa.int32()),
        ("text", name),
        ("message", pa.string()),
        ("worker", name),
        ("seconds", pa.float32()),
    ]
    return pa.schema(fields)


def build_answers(
    schema: pa.Schema,
    ids: pa.Array,
    first: int,
    chosen: Chosen,
    fits: Fits,
    texts: np.ndarray,
    bad_code: int,
    worker: str,
    seconds: float,
) -> Answers:
    """Assembles the output rows of a batch.

    Args:
        schema: See `output_schema`.
        ids: Ids of the rows, `[b]`.
        first: Index of the first row in the input.
        chosen: `s` solutions; `row` counts within the batch. Rows without one are bad.
        fits: Fits of the `s` solutions.
        texts: What is wrong with each bad row, `[b]` object.
        bad_code: Result of bad rows.
        worker: Name of the worker.
        seconds: Time per row, in seconds.
    """
    b, s = len(ids), len(chosen.row)
    is_bad = np.ones(b, bool)
    is_bad[chosen.row] = False
    row = np.concatenate([chosen.row, np.flatnonzero(is_bad)])
    # Where each row of the output comes from: a solution, or s for none.
    source = np.minimum(np.arange(len(row)), s)
    message = pa.nulls(len(row), pa.string())
    if len(row) > s:
        order = np.argsort(row, kind="stable")
        row, source = row[order], source[order]
        message = pa.array(texts, pa.string()).take(pa.array(row))
    none = source == s
    code = np.append(fits.result, bad_code)[source].astype(np.int32)
    solution = np.append(chosen.solution, 0)[source]
    columns = {
        # The common case: one output row per input row.
        "id": ids if len(row) == b else ids.take(pa.array(row)),
        "row": pa.array(row + first),
        "solution": pa.array(solution),
        "count": pa.array(np.append(chosen.starts, 0)[source]),
        "parameters": _lists(fits.parameters, none),
        "eigenvalues": _lists(fits.eigenvalues, none),
        "loss": pa.array(np.append(fits.loss, np.nan)[source], mask=none),
        "steps": pa.array(np.append(fits.num_steps, 0)[source]),
        "result": pa.array(code),
        "text": _named(code % len(CODE_NAMES), _code_texts()),
        "message": message,
        "worker": _named(np.zeros(len(row), int), [worker]),
        "seconds": pa.array(np.full(len(row), seconds, np.float32)),
    }
    arrays = [columns[name].cast(schema.field(name).type) for name in schema.names]
    leads = code[solution == 0] % len(CODE_NAMES)
    counts = np.bincount(leads, minlength=len(CODE_NAMES))
    return Answers(pa.record_batch(arrays, schema=schema), counts)


def _lists(values: np.ndarray, none: np.ndarray) -> pa.Array:
    # Lists of equal length, null where `none` is set.
    ends = np.cumsum(np.where(none, 0, values.shape[1]))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    mask = pa.array(none) if none.any() else None
    flat = pa.array(np.ascontiguousarray(values).ravel())
    return pa.ListArray.from_arrays(offsets, flat, mask=mask)


def _named(index: np.ndarray, names: list[str]) -> pa.Array:
    index = pa.array(index.astype(np.int8))
    return pa.DictionaryArray.from_arrays(index, pa.array(names))


def _code_texts() -> list[str]:
    texts = [result.text for result in Result]
    texts[Result.invalid_input] = MALFORMED_TEXT
    return [*texts, DIED_TEXT]


def named_counts(counts: list[int]) -> dict[str, int]:
    """Names counts by code, without zeros.

    Example:
        >>> named_counts([3, 0, 1])
        {'converged': 3, 'max_steps': 1}
    """
    return {k: n for k, n in zip(CODE_NAMES, counts, strict=False) if n}


def added(counts: Iterable[Sequence[int]]) -> list[int]:
    """Sums counts by code.

    Example:
        >>> added([[1, 0, 0, 0, 0, 0, 0, 2], [0, 3, 0, 0, 0, 0, 0, 0]])
        [1, 3, 0, 0, 0, 0, 0, 2]
    """
    return np.sum([[0] * len(CODE_NAMES), *counts], axis=0).tolist()
