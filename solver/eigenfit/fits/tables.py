"""How a batch of fits is summed up and listed."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.text import Text

from eigenfit.fits.known import KnownSolution
from eigenfit.reports.phrases import count, spoken
from eigenfit.reports.text import colour_of, plain, plain_table, print_table
from eigenfit.results import Result, Solution

MAX_MEMBERS = 12
"""Most members of a batch that are printed."""

_MAX_COLUMNS = 4  # parameters of a printed member


class Columns(NamedTuple):
    """A table: headings, and the entries of each row."""

    headings: list[str]
    rows: list[list[str]]


def in_a_line(solution: KnownSolution) -> str:
    """Sums up a fit: how it ended, after how many steps, at which loss.

    A batch is summed up by the number of members of each result and the best loss.
    """
    robust = bool(solution.question.robust)
    codes, loss = np.asarray(solution.result), np.asarray(solution.loss)
    if not codes.ndim:
        steps = count(int(solution.num_steps), "step")
        return (
            f"{spoken(Result(int(codes)).name, robust)} after {steps}, loss {loss:.3g}"
        )
    number = Counter(Result(int(code)).name for code in codes.ravel())
    counts = ", ".join(
        f"{k} {spoken(name, robust)}" for name, k in number.most_common()
    )
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


def summary(solution: KnownSolution, named: dict[str, np.ndarray]) -> str:
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
