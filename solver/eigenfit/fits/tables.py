"""Tables and documents of fits: members of a batch, rows of a frame, JSON values."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from eigenfit.reports.phrases import count, spoken
from eigenfit.reports.record import Record
from eigenfit.reports.sections import OUTLIER
from eigenfit.reports.text import colour_of, plain, plain_table, print_table
from eigenfit.results import Result, Solution

MAX_MEMBERS = 12
"""Most members of a batch that are printed."""

_MAX_COLUMNS = 4  # parameters of a printed member


class Columns(NamedTuple):
    """A table: headings, and the entries of each row."""

    headings: list[str]
    rows: list[list[str]]


def in_a_line(solution: Solution) -> str:
    """Sums up a fit: how it ended, after how many steps, at which loss.

    A batch is summed up by the number of members of each result and the best loss.
    """
    codes, loss = np.asarray(solution.result), np.asarray(solution.loss)
    if not codes.ndim:
        steps = count(int(solution.num_steps), "step")
        return f"{spoken(Result(int(codes)).name)} after {steps}, loss {loss:.3g}"
    number = Counter(Result(int(code)).name for code in codes.ravel())
    counts = ", ".join(f"{k} {spoken(name)}" for name, k in number.most_common())
    shape = " x ".join(map(str, codes.shape))
    text = f"{shape} members: {counts}" if counts else f"{shape} members"
    finite = loss[np.isfinite(loss)]
    return f"{text}; smallest loss {finite.min():.3g}" if finite.size else text


def members(solution: Solution, named: dict[str, np.ndarray]) -> Columns:
    """Lists the members of a batch by their loss, only the best ones if there are many.

    Args:
        solution: A batch.
        named: Its parameters by name, `[...]` each.
    """
    loss = np.asarray(solution.loss)
    flat = np.where(np.isnan(loss), np.inf, loss).ravel()
    order = np.argsort(flat, kind="stable")[:MAX_MEMBERS]
    shown = list(named)[:_MAX_COLUMNS]
    more = ["..."] if len(named) > len(shown) else []
    rows = []
    for k in order:
        index = np.unravel_index(k, loss.shape)
        rows.append(
            [
                ", ".join(str(int(i)) for i in index),
                f"{loss[index]:.3e}",
                str(int(np.asarray(solution.num_steps)[index])),
                Result(int(np.asarray(solution.result)[index])).name,
                *(f"{named[name][index]:.6g}" for name in shown),
                *more,
            ]
        )
    return Columns(["member", "loss", "steps", "result", *shown, *more], rows)


def summary(solution: Solution, named: dict[str, np.ndarray]) -> str:
    """Writes `in_a_line` and `members` below each other."""
    headings, rows = members(solution, named)

    def write(console: Console) -> None:
        console.print(Text(in_a_line(solution)))
        table = plain_table()
        for heading in headings:
            justify = "left" if heading == "result" else "right"
            table.add_column(heading, justify=justify)
        for row in rows:
            table.add_row(*map(Text, row), style=colour_of(row[3]))
        print_table(console, table)
        left_out = np.size(solution.loss) - len(rows)
        if left_out:
            console.print(Text(f"  and {count(left_out, 'more')[:-1]}, no better"))

    return plain(write)


def document(record: Record) -> dict[str, Any]:
    """Describes one fit by dicts, lists, text and numbers; None where not finite."""
    asked, found = record.question, record.uncertainty
    aic, bic = record.criteria
    fitted = record.agreement
    return _without_nan(
        {
            "schema": 1,
            "title": asked.title,
            "problem": asked.problem,
            "method": asked.method,
            "dtype": asked.dtype,
            "result": record.result.name,
            "success": record.result.is_success,
            "text": record.result.text,
            "num_steps": record.num_steps,
            "loss": record.loss,
            "seconds": record.seconds,
            "num_data": asked.num_data,
            "num_unknowns": len(asked.names),
            "chi_square": None if found is None else float(found.chi_square),
            "degrees_of_freedom": (
                None if found is None else int(found.degrees_of_freedom)
            ),
            "probability": None if fitted is None else fitted.probability,
            "aic": aic,
            "bic": bic,
            "family_dimension": record.family,
            "undetermined": record.undetermined,
            "parameters": parameter_rows(record),
            "correlations": [] if found is None else found.correlation.tolist(),
            "data": data_rows(record),
            "eigenvalues": {
                label: w.tolist()
                for label, w in zip(asked.labels, record.levels, strict=True)
            },
        }
    )


def parameter_rows(record: Record) -> list[dict[str, Any]]:
    """Lists the parameters: name, value, error, relative error, start, note."""
    asked, found = record.question, record.uncertainty
    errors = np.full(len(record.parameters), np.nan)
    if found is not None:
        errors = found.all_standard_errors
    return [
        {
            "name": name,
            "value": float(x),
            "standard_error": float(error),
            "relative_error": float(error / abs(x)) if x else np.nan,
            "start": float(start),
            "note": _held(note, error, found is not None),
        }
        for name, x, error, start, note in zip(
            asked.all_names,
            record.parameters,
            errors,
            record.initial,
            asked.notes,
            strict=True,
        )
    ]


def _held(note: str, error: float, known: bool) -> str:
    held = ""
    if known and np.isnan(error):
        held = "at bound"
    elif known and np.isinf(error):
        held = "not determined"
    return ", ".join(filter(None, [held, note]))


def data_rows(record: Record) -> list[dict[str, Any]]:
    """Lists the data: name, target, calculated, difference, sigma, deviation, flag."""
    asked = record.question
    return [
        {
            "name": asked.target_names[k],
            "target": float(record.targets[k]),
            "calculated": float(record.values[k]),
            "difference": float(record.differences[k]),
            "sigma": float(asked.sigma[k]),
            "weight": float(asked.weights[k]),
            "in_sigmas": float(record.deviations[k]),
            "flag": "outlier" if abs(record.deviations[k]) > OUTLIER else "",
        }
        for k in range(len(record.targets))
    ]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
