"""Prints the report of `eigenfit check`: the problem as read, and the findings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eigenfit.analysis.feasibility import Finding, find
from eigenfit.analysis.ranks import generic_rank
from eigenfit.reports.notes import parameter_notes
from eigenfit.reports.phrases import count, degrees_of_freedom
from eigenfit.reports.text import MAX_ROWS, plain_table, print_heading, print_table
from eigenfit_serving.problem_file.checks.indices import index_findings
from eigenfit_serving.problem_file.reading import ProblemFile

_COLOURS = {"impossible": "bold red", "warning": "yellow", "note": "dim"}


class Checked(NamedTuple):
    """The result of `check_problem`."""

    values: np.ndarray  # [m], calculated at the start, to compare with the targets
    findings: list[Finding]
    num_data: int  # number of data that can disagree with a model
    rank: int  # number of independent ones, near the start
    begins: str  # where a fit begins, in words
    notes: tuple[str, ...]  # [P], what constrains each parameter


def check_problem(content: ProblemFile) -> Checked:
    """Examines a problem at its first start, in float64; imports TensorFlow.

    Raises:
        ValueError: If the core refuses the problem.
    """
    problem = content.problem("float64")
    start = content.initial_parameters(1)[0].astype(np.float64)
    targets = content.targets
    problem.check_targets(targets)
    values = np.asarray(problem.values(start, targets))
    findings = find(problem, targets, start, tolerance=content.fit.tolerance)
    levels = problem.split(np.asarray(problem.eigenvalues(start)))
    findings += index_findings(content, levels)
    rank = generic_rank(problem, targets, start)
    begins = content.start.describe(content.unknowns, problem)
    notes = parameter_notes(problem.known, len(problem.all_names))
    return Checked(values, findings, problem.num_data, rank, begins, notes)


def print_check(content: ProblemFile, checked: Checked, console: Console) -> None:
    """Prints the problem as read, and the findings.

    Args:
        content: The problem file.
        checked: Result of `check_problem`.
        console: Console to print to; in colour only if it is a terminal.
    """
    if content.title:
        console.print(Text(content.title, style="bold"))
    _print_summary(content, checked, console)
    print_heading(console, "Matrices")
    print_table(console, _matrices(content))
    print_heading(console, "Parameters")
    print_table(console, _parameters(content, checked.notes))
    print_heading(console, "Targets")
    print_table(console, _targets(content, checked.values))
    print_heading(console, "Findings")
    if not checked.findings:
        console.print("  Nothing speaks against these targets.")
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column()
    for finding in checked.findings:
        severity = Text(f"  {finding.severity}", style=_COLOURS[finding.severity])
        grid.add_row(severity, Text(finding.text))
    console.print(grid)


def _print_summary(content: ProblemFile, checked: Checked, console: Console) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    unknowns, targets = len(content.unknowns.names), len(content.targets)
    priors = len(content.priors)
    freedom, open_ = checked.num_data - checked.rank, unknowns - checked.rank
    data = count(targets, "target") + (f", {count(priors, 'prior')}" if priors else "")
    text = f"{count(unknowns, 'unknown')}, {data}"
    if freedom or not open_:
        text += f", {degrees_of_freedom(freedom)}"
    if open_:
        text += f", {count(open_, 'unknown')} more than independent data"
    grid.add_row("Problem", text)
    grid.add_row("Start", _start(content, checked.begins))
    fit = content.fit
    grid.add_row("Fit", f"{fit.method}, {fit.tolerance_text}, {fit.dtype}")
    console.print(grid)


def _start(content: ProblemFile, where: str) -> str:
    if content.start.parameters is not None:
        return where
    starts = count(content.fit.starts, "random start")
    return f"{starts}: {where}, seed {content.fit.seed}"


def _matrices(content: ProblemFile) -> Table:
    table = plain_table()
    several = len(content.matrices) > 1
    for column in ("block",) * several + ("kind", "order", "observed"):
        table.add_column(column, justify="right" if column == "order" else "left")
    for matrix in content.matrices[:MAX_ROWS]:
        kinds = [
            f"{term.section.kind} ({len(term.names)})"
            for term in content.terms
            if term.matrix is matrix
        ]
        kind = matrix.structure.kind + ", complex" * matrix.structure.is_complex
        row = [kind, str(matrix.structure.order), ", ".join(kinds) or "-"]
        table.add_row(*(Text(cell) for cell in [matrix.label] * several + row))
    if len(content.matrices) > MAX_ROWS:
        table.add_row(f"({len(content.matrices) - MAX_ROWS} more)")
    joint = [term for term in content.terms if term.matrix is None]
    for term in joint:
        kind = f"{term.section.kind} ({len(term.names)})"
        table.add_row("joint", "", "", kind)
    return table


def _parameters(content: ProblemFile, notes: tuple[str, ...]) -> Table:
    names = content.parameters.all_names(content.matrices[0].structure.num_parameters)
    start = content.initial_parameters(1)[0]
    starts = dict(zip(content.unknowns.names, start, strict=True))
    table = plain_table()
    table.add_column("parameter")
    table.add_column("start", justify="right")
    for name, note in list(zip(names, notes, strict=True))[:MAX_ROWS]:
        value = starts.get(name, content.parameters.fixed.get(name))
        shown = "" if value is None else f"{value:.6g}"
        table.add_row(Text(name), shown, *([Text(note)] if any(notes) else []))
    if len(names) > MAX_ROWS:
        table.add_row(f"({len(names) - MAX_ROWS} more)")
    return table


def _targets(content: ProblemFile, values: np.ndarray) -> Table:
    table = plain_table()
    table.add_column("observed")
    for column in ("target", "at the start"):
        table.add_column(column, justify="right")
    if content.has_sigma:
        table.add_column("sigma", justify="right")
    rows = list(zip(content.target_names, content.targets, values, strict=True))
    for k, (name, target, value) in enumerate(rows[:MAX_ROWS]):
        row = [Text(name), f"{target:.10g}", f"{value:.7g}"]
        row += [f"{content.weights[k] ** -0.5:g}"] if content.has_sigma else []
        table.add_row(*row)
    if len(rows) > MAX_ROWS:
        table.add_row(f"({len(rows) - MAX_ROWS} more)")
    return table
