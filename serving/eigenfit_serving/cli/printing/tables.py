"""The tables of a report: parameters, levels, targets and starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table
from rich.text import Text

from eigenfit_serving.fitting.outcome import Outcome
from eigenfit_serving.problem_file.reading import ProblemFile
from eigenfit_serving.protocol.result_codes import Result

if TYPE_CHECKING:
    import eigenfit as ef

_COLOURS = {
    "converged": "green",
    "minimum": "green",
    "stationary": "yellow",
    "max_steps": "yellow",
}
MAX_ROWS = 40  # of tables of levels, targets and the like
MAX_STARTS = 12  # rows of the tables of solutions and of starts


def facts(content: ProblemFile) -> str:
    """Sums up a problem: kind and order, number of parameters and of targets."""
    matrices, unknowns = content.matrices, len(content.unknowns.names)
    orders = sorted({matrix.structure.order for matrix in matrices})
    text = f"{matrices[0].structure.kind}, order {orders[0]}"
    if len(matrices) > 1:
        kinds = dict.fromkeys(matrix.structure.kind for matrix in matrices)
        span = f"order {orders[0]}"
        if len(orders) > 1:
            span = f"orders {orders[0]} to {orders[-1]}"
        text = f"{len(matrices)} blocks ({', '.join(kinds)}) of {span}"
    p = matrices[0].structure.num_parameters
    text += f", {count(p, 'parameter')}"
    if unknowns < p:
        text += f" of which {unknowns} fitted"
    return f"{text}, {count(len(content.targets), 'target')}"


def parameters_table(outcome: Outcome) -> Table:
    """Lists all parameters with standard errors and what constrains them."""
    from eigenfit.analysis.uncertainty import with_error

    content, found = outcome.content, outcome.uncertainty
    known = content.parameters
    names = known.all_names(outcome.all_parameters.shape[-1])
    if found is None:
        values = [with_error(x, np.nan) for x in outcome.all_parameters[outcome.best]]
    else:
        values = [text for _, text in found.table()]
    notes = [describe_parameter(content, name) for name in names]
    rows = list(zip(names, values, notes, strict=True))
    return noted_table("value" if found is None else "value(error)", rows)


def noted_table(heading: str, rows: list[tuple[str, str, str]]) -> Table:
    """Lists parameters: name, number under a heading, and a note if any has one."""
    table = plain_table()
    table.add_column("parameter")
    table.add_column(heading, justify="right")
    has_notes = any(note for _, _, note in rows)
    for name, number, note in rows:
        table.add_row(Text(name), number, *([Text(note)] if has_notes else []))
    return table


def describe_parameter(content: ProblemFile, name: str) -> str:
    """Describes what constrains a parameter: a fixed value, a tie, bounds or priors."""
    known = content.parameters
    if name in known.fixed:
        return "fixed"
    if name in known.ties:
        terms = [
            f"{factor:g} {other}" if other else f"{factor:g}"
            for other, factor in known.ties[name].items()
        ]
        return f"= {' + '.join(terms)}".replace("+ -", "- ")
    k = content.unknowns.names.index(name)
    low, high = content.unknowns.low[k], content.unknowns.high[k]
    notes = [f"in {low:g} to {high:g}"] if np.isfinite([low, high]).any() else []
    joint = 0
    for prior in content.priors:
        if list(prior.coefficients) == [name] and prior.coefficients[name] == 1:
            notes.append(f"prior {prior.mean:g} +- {prior.sigma:g}")
        else:
            joint += bool(prior.coefficients.get(name))
    if joint:
        notes.append(f"in {joint} joint prior{'s' * (joint > 1)}")
    return ", ".join(notes)


def levels_table(outcome: Outcome) -> Table:
    """Lists all levels of a single matrix, with targets where they have one."""
    content, best = outcome.content, outcome.best
    w = outcome.eigenvalues[best]
    term = content.terms[0]
    positions = term.section.positions(len(w)).tolist()  # type: ignore[union-attr]
    target = dict(zip(positions, content.targets, strict=True))
    # Levels with targets come first when there is no room for all.
    shown = list(range(len(w)))
    if len(shown) > MAX_ROWS:
        others = [level for level in shown if level not in target]
        shown = sorted((sorted(positions) + others)[:MAX_ROWS])
    digits = _digits(content)
    fixed = _Fixed(w, digits)
    table = plain_table()
    for column in ("level", "eigenvalue", "target", "difference"):
        table.add_column(column, justify="right")
    extra, values = _extra(content)
    weight = dict(zip(positions, values, strict=True)) if extra else {}
    if extra:
        table.add_column(extra, justify="right")
    for level in shown:
        row = [str(level), fixed(w[level])]
        if level in target:
            row += [f"{target[level]:.{digits}g}", f"{w[level] - target[level]:+.1e}"]
            row += [f"{weight[level]:g}"] if weight else []
        table.add_row(*row)
    if len(shown) < len(w):
        table.add_row("...", f"({len(w) - len(shown)} more)")
    return table


def targets_table(outcome: Outcome) -> Table:
    """Lists the calculated values beside their targets."""
    content, values = outcome.content, outcome.values[outcome.best]
    digits = _digits(content)
    table = plain_table()
    table.add_column("observed")
    for column in ("calculated", "target", "difference"):
        table.add_column(column, justify="right")
    extra, sizes = _extra(content)
    if extra:
        table.add_column(extra, justify="right")
    for term in content.terms:
        fixed = _Fixed(content.targets[term.part], digits)
        for name, k in zip(term.names, range(len(values))[term.part], strict=True):
            if k < MAX_ROWS:
                target = content.targets[k]
                row = [Text(name), fixed(values[k]), f"{target:.{digits}g}"]
                row += [f"{values[k] - target:+.1e}"]
                table.add_row(*row, *([f"{sizes[k]:g}"] if extra else []))
    if len(values) > MAX_ROWS:
        table.add_row(f"({len(values) - MAX_ROWS} more)")
    if len(content.terms) == 1:
        rms = np.sqrt(np.mean((values - content.targets) ** 2))
        table.add_row("root mean square", "", "", f"{rms:.3e}")
    return table


def _extra(content: ProblemFile) -> tuple[str, np.ndarray]:
    """Returns the heading of the weight column, empty for none, and its numbers."""
    weights = content.weights
    if content.has_sigma:
        return "sigma", weights**-0.5
    given = any(
        section.weights is not None or section.sigma is not None
        for section in (term.section for term in content.terms)
    )
    return ("weight" if given else ""), weights


class _Fixed:
    """Writes numbers with the same decimals, unless that shows too few digits."""

    def __init__(self, numbers: np.ndarray, digits: int) -> None:
        # A fit that could not begin has no levels.
        largest = np.abs(numbers[np.isfinite(numbers)]).max(initial=1e-300)
        self.before = int(np.floor(np.log10(largest))) + 1
        self.digits = digits

    def __call__(self, x: float) -> str:
        if -3 < self.before < self.digits:
            return f"{x:.{self.digits - max(self.before, 1)}f}"
        return f"{x:.{self.digits - 1}e}"


def _digits(content: ProblemFile) -> int:
    return 7 if content.fit.dtype == "float32" else 10


def colour_of(name: str) -> str:
    """Returns the colour of a result."""
    return _COLOURS.get(name, "red")


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


def plain_table() -> Table:
    """Makes a table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")


def count(number: int, noun: str) -> str:
    """Writes a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
