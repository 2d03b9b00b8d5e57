"""Prints the report of `eigenfit fit`: the best start, and a table of all others."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from eigenfit.reports.text import print_report
from eigenfit_serving.cli.printing.tables import (
    MAX_STARTS,
    solutions_table,
    starts_table,
)
from eigenfit_serving.fitting.outcome import Outcome


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Prints the best start in full, and a table of all if there are several.

    Args:
        outcome: Result of `run_fit`.
        console: Console to print to; in colour only if it is a terminal.
    """
    position, more = "", []
    if len(outcome.loss) > 1:
        position = f" (start {outcome.best}, the best of {len(outcome.loss)})"
        more.append(_solutions(outcome))
    print_report(outcome.record, console, position=position, more=more)


def _solutions(outcome: Outcome) -> tuple[str, Table, list[str]]:
    found, names = outcome.distinct, outcome.result_names
    lines = []
    if found is None:
        if len(names) > MAX_STARTS:
            text = f"These are the {MAX_STARTS} best of {len(names)} starts: "
            lines.append(f"{text}{_counted(names)}.")
        return "Starts", starts_table(outcome), lines
    if len(found.loss) > MAX_STARTS:
        lines.append(f"These are the {MAX_STARTS} best of {len(found.loss)} solutions.")
    if (found.copies[:MAX_STARTS] > 1).any():
        lines.append("Copies differ by signs that change no level.")
    others = [name for name, k in zip(names, found.labels, strict=True) if k < 0]
    if others:
        text = "Further starts that led to none of them"
        lines.append(f"{text}: {_counted(others)}.")
    return "Solutions", solutions_table(outcome, found), lines


def _counted(names: list[str]) -> str:
    counts = {name: names.count(name) for name in dict.fromkeys(sorted(names))}
    return ", ".join(f"{number} {name}" for name, number in counts.items())
