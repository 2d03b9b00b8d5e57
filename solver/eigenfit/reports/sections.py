"""The parts of a report as tables of text, for any medium."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eigenfit.analysis.notation import with_error
from eigenfit.analysis.undetermined import listed
from eigenfit.reports.numbers import Fixed, format_array
from eigenfit.reports.phrases import count, family_of, family_text, spoken
from eigenfit.reports.record import Record

CORRELATED = 0.1
"""Smallest correlation that is listed."""

WORDS = ("parameter", "parameters", "observed", "unit", "result", "")
"""Headings of columns of words; the others hold numbers."""

_MAX_BLOCKS = 3  # with more, matrices are not shown
_MAX_PARAMETERS = 60  # with more, parameters are shown as a vector
_MAX_COMBINATIONS = 4  # with more, listing undetermined parameters tells nothing


class Section(NamedTuple):
    """A heading with a table or a text below it; a column without entries is left out.

    Attributes:
        heading: Of the section.
        columns: Headings of the columns.
        rows: Entries of the table.
        text: Stands in place of a table.
        rest: Number of rows that were left out.
    """

    heading: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    rest: int = 0


def table(
    heading: str, columns: list[str], rows: list[list[str]], rest: int = 0
) -> Section:
    """Makes a section of those columns that have an entry."""
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    shown = tuple(tuple(row[k] for k in kept) for row in rows)
    return Section(heading, tuple(columns[k] for k in kept), shown, rest=rest)


def overview(record: Record, position: str = "") -> list[tuple[str, str]]:
    """Lists what was found in pairs of a word and a text.

    Args:
        record: The fit.
        position: Which one of several it is; empty if it is the only one.
    """
    asked, found = record.question, record.result
    steps = count(record.num_steps, "step")
    name = spoken(found.name, bool(asked.robust))
    result = f"{name} after {steps}{position}"
    if record.family:
        result += f"; one of {family_of(record.family)}"
    lines = [("Result", result)]
    fitted = record.agreement
    lines.append(("Fit", record.fitted))
    lines.append(("", fitted.warning if fitted else ""))
    lines.append(("Note", record.note))
    loss = f"{record.loss:.6e}"
    if found.name != "minimum":
        loss += f" ({asked.tolerance})"
    lines.append(("Loss", loss))
    aic, bic = record.criteria
    if np.isfinite(aic):
        lines.append(("AIC", f"{aic:.2f} (BIC {bic:.2f})"))
    lines += [("Problem", asked.problem), ("Start", asked.start)]
    seconds = "" if record.seconds is None else f", {record.seconds:.2f} s"
    lines.append(("Method", f"{asked.method}, {asked.dtype}{seconds}"))
    return [(word, text) for word, text in lines if text]


def remarks(record: Record) -> list[str]:
    """Lists what went wrong, and what the data leave undetermined."""
    family = family_text(record.result.name, record.family)
    failure = "" if record.result.is_success else record.result.text
    texts = [" ".join(filter(None, [failure, family]))]
    open_ends = listed(record.undetermined)
    enough = len(record.targets) >= len(record.question.names)
    if open_ends and (enough or 0 < record.family <= _MAX_COMBINATIONS):
        texts.append(f"The data do not determine: {open_ends}.")
    return [text for text in texts if text]


def sections(
    record: Record, width: int = 80, limit: int | None = None
) -> list[Section]:
    """Lists the parts of the report of one fit.

    Args:
        record: The fit.
        width: Columns that an array may take.
        limit: Most rows of a table of correlations, levels or targets; None for all.
    """
    asked = record.question
    parts = [parameters(record, width), correlations(record, limit)]
    if len(record.matrices) <= _MAX_BLOCKS:
        shown = zip(asked.labels, asked.matrix, record.matrices, strict=True)
        for label, what, A in shown:
            heading = f"Matrix{what}{_of(asked.labels, label)}"
            parts.append(Section(heading, text=format_array(A, width)))
    if asked.positions is not None:
        parts.append(levels(record, limit))
    else:
        if len(record.matrices) <= _MAX_BLOCKS:
            for label, w in zip(asked.labels, record.levels, strict=True):
                heading = f"Levels (eigenvalues){_of(asked.labels, label)}"
                parts.append(Section(heading, text=format_array(w, width)))
        parts.append(targets(record, limit))
    return [part for part in parts if part.rows or part.text]


def _of(labels: tuple[str, ...], label: str) -> str:
    return f" of block {label}" if len(labels) > 1 else ""


def parameters(record: Record, width: int = 80) -> Section:
    """Lists all parameters: value and error, start, and what constrains them."""
    asked, found = record.question, record.uncertainty
    values, errors = record.parameters, record.errors
    if len(values) > _MAX_PARAMETERS or not asked.tells_of_parameters:
        return Section("Parameters", text=format_array(values, width))
    held = np.zeros(len(values)) if found is None else found.all_on_bounds
    values = np.where(record.is_rounding & ~np.isfinite(errors), 0.0, values)
    rows = [
        [
            name,
            with_error(x, error, bool(side)),
            f"{error / abs(x):.1e}" if x and 0 < error < np.inf else "",
            "" if note == "fixed" else f"{start:.6g}",
            note,
        ]
        for name, x, error, side, start, note in zip(
            asked.all_names, values, errors, held, record.initial, asked.notes,
            strict=True,
        )
    ]  # fmt: skip
    with_errors = (np.nan_to_num(errors) != 0).any() or held.any()
    heading = "value(error)" if with_errors else "value"
    columns = ["parameter", heading, "relative", "start", ""]
    return table("Parameters", columns, rows)


def correlations(record: Record, limit: int | None = None) -> Section:
    """Lists pairs of unknowns by the size of their correlation."""
    found = record.uncertainty
    heading = f"Correlations above {CORRELATED:g}"
    if found is None or not record.question.tells_of_parameters:
        return Section(heading)
    C = np.tril(np.nan_to_num(found.correlation), -1)
    order = np.argsort(-np.abs(C), axis=None, kind="stable")
    pairs = [divmod(int(k), len(C)) for k in order]
    number = int((np.abs(C) > CORRELATED).sum())
    rows = [
        [f"{found.names[j]}, {found.names[i]}", f"{C[i, j]:+.3f}"]
        for i, j in pairs[:number][:limit]
    ]
    return table(heading, ["parameters", "correlation"], rows, number - len(rows))


_DATA = ["target", "difference", "sigma", "weight", "in sigmas", ""]


def levels(record: Record, limit: int | None = None) -> Section:
    """Lists all levels of a single matrix, with targets where they have one."""
    asked, w = record.question, record.eigenvalues
    assert asked.positions is not None
    datum = {int(level): k for k, level in enumerate(asked.positions)}
    # Levels with targets come first where there is no room for all.
    order = sorted(range(len(w)), key=lambda level: (level not in datum, level))
    shown = sorted(order[:limit])
    fixed = Fixed(w, asked.digits)
    rows = []
    flags = record.flags
    for level in shown:
        data, label = [""] * len(_DATA), ""
        if level in datum:
            data = _datum(record, datum[level], flags)
            name = asked.target_names[datum[level]]
            label = "" if name.endswith(f"level {level}") else name
        rows.append([str(level), label, fixed(w[level]), *data])
    columns = ["level", "observed", "eigenvalue", *_DATA]
    return table(f"Levels{_in(asked.unit)}", columns, rows, len(w) - len(shown))


def _in(unit: str) -> str:
    return f" in {unit}" if unit else ""


def targets(record: Record, limit: int | None = None) -> Section:
    """Lists the calculated values beside their targets."""
    asked, values, flags = record.question, record.values, record.flags
    units = asked.target_units if not asked.unit else [""] * len(values)
    rows = []
    for part in asked.parts:
        fixed = Fixed(record.targets[part], asked.digits)
        for k in range(*part.indices(len(values))):
            data = _datum(record, k, flags)
            rows.append([asked.target_names[k], fixed(values[k]), units[k], *data])
    rest = max(0, len(rows) - len(rows[:limit]))
    rows = rows[:limit]
    if len(asked.parts) == 1:
        rms = np.sqrt(np.mean(record.differences**2))
        rows.append(["root mean square", *[""] * 3, f"{rms:.3e}", *[""] * 4])
    heading = f"Targets{_in(asked.unit)}"
    return table(heading, ["observed", "calculated", "unit", *_DATA], rows, rest)


def _datum(record: Record, k: int, flags: list[str]) -> list[str]:
    asked = record.question
    deviation = record.deviations[k]
    return [
        f"{record.targets[k]:.{asked.digits}g}",
        f"{record.differences[k]:+.1e}",
        f"{asked.sigma[k]:g}" if asked.has_sigma[k] else "",
        f"{asked.weights[k]:g}" if asked.is_weighted and not asked.has_sigma[k] else "",
        f"{deviation:+.2f}" if asked.has_sigma[k] else "",
        flags[k],
    ]
