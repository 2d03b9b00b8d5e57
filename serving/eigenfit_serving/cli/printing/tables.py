"""Tables of several starts and solutions, and of what is known of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from eigenfit.reports.text import colour_of, plain_table
from eigenfit_serving.fitting.outcome import Outcome
from eigenfit_serving.protocol.result_codes import Result

if TYPE_CHECKING:
    import eigenfit as ef

MAX_STARTS = 12  # rows of a table


def solutions_table(outcome: Outcome, found: ef.DistinctSolutions) -> Table:
    """Lists the distinct solutions found, only the best ones if there are many."""
    names = outcome.content.unknowns.names
    results = [Result(int(code)).name for code in found.result]
    notes = []
    for dimension, copies in zip(found.family_dimension, found.copies, strict=True):
        note = f", {copies} copies" if copies > 1 else ""
        notes.append(f", family of dim. {dimension}" if dimension else note)
    columns = 2 if any(notes) else 3
    table = plain_table()
    for heading in ("loss", "starts"):
        table.add_column(heading, justify="right")
    table.add_column("result")
    for name in names[:columns]:
        table.add_column(Text(name), justify="right")
    own = found.labels[outcome.best]
    # Show rounding noise as zero.
    x = found.parameters[:, :columns]
    x = np.where(np.abs(x) > 1e-12 * np.abs(x).max(axis=0), x, 0.0)
    for k in range(min(len(results), MAX_STARTS)):
        result = Text(results[k], style=colour_of(results[k]))
        table.add_row(
            f"{found.loss[k]:.3e}",
            str(found.counts[k]),
            result + Text(notes[k]),
            *(f"{value:.6g}" for value in x[k]),
            *(["..."] if len(names) > columns else []),
            style="bold" if k == own else "",
        )
    return table


def starts_table(outcome: Outcome) -> Table:
    """Lists the starts, only the best ones if there are many."""
    table = plain_table()
    table.add_column("start", justify="right")
    table.add_column("loss", justify="right")
    table.add_column("steps", justify="right")
    table.add_column("result")
    ranked = np.argsort(np.where(np.isnan(outcome.loss), np.inf, outcome.loss))
    shown = range(len(ranked)) if len(ranked) <= MAX_STARTS else ranked[:MAX_STARTS]
    for start in shown:
        name = outcome.result_names[start]
        table.add_row(
            str(start),
            f"{outcome.loss[start]:.3e}",
            str(outcome.num_steps[start]),
            Text(name, style=colour_of(name)),
            style="bold" if start == outcome.best else "",
        )
    return table
