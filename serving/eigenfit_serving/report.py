"""What the command prints about a fit, for terminals of 80 columns and for pipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eigenfit_serving.outcome import Outcome

_MAX_LEVELS = 40  # rows of the table of levels
_MAX_STARTS = 12  # rows of the table of starts
_COLOURS = {"converged": "green", "stationary": "yellow", "max_steps": "yellow"}


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Prints the best start in full, and a table if there are several.

    Args:
        outcome: Of `run_fit`.
        console: Where to; colours only if it is a terminal.
    """
    best = outcome.best
    if outcome.problem.title:
        console.print(Text(outcome.problem.title, style="bold"))
    _print_summary(outcome, console)
    _print_heading(console, "Parameters")
    _print_array(console, outcome.parameters[best])
    _print_heading(console, "Matrix")
    _print_array(console, outcome.matrix[best])
    _print_heading(console, "Levels")
    console.print(Padding(_levels_table(outcome), (0, 0, 0, 2), expand=False))
    if len(outcome.loss) > 1:
        _print_heading(console, "Starts")
        console.print(Padding(_starts_table(outcome), (0, 0, 0, 2), expand=False))
        _print_counts(outcome, console)
    if not outcome.converged:
        console.print()
        console.print(Text(outcome.result_texts[best]))


def print_export(version: Path, console: Console) -> None:
    """Prints where a model went and how to load it.

    Args:
        version: Folder of the version, `models/identity/1`.
        console: Where to.
    """
    base, name = version.parent, version.parent.name
    console.print(Text(f"Exported to {version}\n"), soft_wrap=True)
    for what, command in (
        ("Load it with eigenfit", f'eigenfit_export.load_model("{version}")'),
        (
            "Load it with TensorFlow alone",
            f'tf.saved_model.load("{version}").signatures["serving_default"]',
        ),
        (
            "Serve it",
            f"tensorflow_model_server --rest_api_port=8501 --model_name={name} "
            f'--model_base_path="{base.absolute()}"',
        ),
        ("See its signatures", f'saved_model_cli show --all --dir "{version}"'),
    ):
        console.print(Text(what, style="dim"))
        console.print(Text(f"  {command}"), soft_wrap=True)


def _print_summary(outcome: Outcome, console: Console) -> None:
    problem, best = outcome.problem, outcome.best
    structure, fit = problem.structure, problem.fit
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    name = outcome.result_names[best]
    steps = _count(int(outcome.num_steps[best]), "step")
    result = Text.assemble(
        (name, f"bold {_COLOURS.get(name, 'red')}"), f" after {steps}"
    )
    if len(outcome.loss) > 1:
        result.append(f" (start {best}, the best of {len(outcome.loss)})")
    grid.add_row("Result", result)
    loss = f"{outcome.loss[best]:.6e} (tolerance {fit.tolerance:g})"
    grid.add_row("Loss", loss)
    grid.add_row(
        "Problem",
        f"{structure.kind}, order {structure.order}, "
        f"{_count(structure.num_parameters, 'parameter')}, "
        f"{_count(len(problem.targets), 'target')}",
    )
    grid.add_row("Method", f"{outcome.method}, {fit.dtype}, {outcome.seconds:.2f} s")
    console.print(grid)


def _levels_table(outcome: Outcome) -> Table:
    problem, best = outcome.problem, outcome.best
    w = outcome.eigenvalues[best]
    digits = 7 if problem.fit.dtype == "float32" else 10
    positions = problem.observation.positions(len(w)).tolist()
    target = dict(zip(positions, problem.targets, strict=True))
    weights = problem.observation.weights
    # Levels with targets come first when there is no room for all.
    shown = list(range(len(w)))
    if len(shown) > _MAX_LEVELS:
        others = [level for level in shown if level not in target]
        shown = sorted((sorted(positions) + others)[:_MAX_LEVELS])

    # A fit that could not begin has no levels.
    largest = np.abs(w[np.isfinite(w)]).max(initial=1e-300)
    before = int(np.floor(np.log10(largest))) + 1
    decimals = digits - max(before, 1)

    def fixed(x: float) -> str:
        # The same number of decimals for all, unless that shows too few digits.
        return f"{x:.{decimals}f}" if -3 < before < digits else f"{x:.{digits - 1}e}"

    table = _table()
    for column in ("level", "eigenvalue", "target", "difference"):
        table.add_column(column, justify="right")
    weight: dict[int, float] = {}
    if weights is not None:
        table.add_column("weight", justify="right")
        weight = dict(
            zip(positions, np.broadcast_to(weights, len(target)), strict=True)
        )
    for level in shown:
        row = [str(level), fixed(w[level])]
        if level in target:
            row += [f"{target[level]:.{digits}g}", f"{w[level] - target[level]:+.1e}"]
            row += [f"{weight[level]:g}"] if weight else []
        table.add_row(*row)
    if len(shown) < len(w):
        table.add_row("...", f"({len(w) - len(shown)} more)")
    return table


def _starts_table(outcome: Outcome) -> Table:
    table = _table()
    table.add_column("start", justify="right")
    table.add_column("loss", justify="right")
    table.add_column("steps", justify="right")
    table.add_column("result")
    ranked = np.argsort(np.where(np.isnan(outcome.loss), np.inf, outcome.loss))
    shown = range(len(ranked)) if len(ranked) <= _MAX_STARTS else ranked[:_MAX_STARTS]
    for start in shown:
        name = outcome.result_names[start]
        table.add_row(
            str(start),
            f"{outcome.loss[start]:.3e}",
            str(outcome.num_steps[start]),
            Text(name, style=_COLOURS.get(name, "red")),
            style="bold" if start == outcome.best else "",
        )
    return table


def _print_counts(outcome: Outcome, console: Console) -> None:
    names = outcome.result_names
    if len(names) <= _MAX_STARTS:
        return
    counts = {name: names.count(name) for name in dict.fromkeys(sorted(names))}
    listed = ", ".join(f"{count} {name}" for name, count in counts.items())
    console.print(
        f"  These are the {_MAX_STARTS} best of {len(names)} starts: {listed}.",
        highlight=False,
    )


def _print_heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="dim"))


def _print_array(console: Console, array: np.ndarray) -> None:
    console.print(Text(format_array(array, console.width)), soft_wrap=True)


def format_array(array: np.ndarray, width: int = 80) -> str:
    """Writes a vector or matrix in aligned columns, the middle left out if large.

    Example:
        >>> print(format_array(np.array([[1.0, -0.5], [-0.5, 2.0]])))
           1.0 -0.5
          -0.5  2.0
    """
    precision = 4 if array.ndim == 2 and array.shape[1] > 6 else 6
    moderate = 1e-3 <= np.abs(array).max() < 1e6
    if moderate:
        # Rounding noise reads as zero, and minus zero as zero.
        array = np.round(array, precision) + 0.0
    text = np.array2string(
        array,
        precision=precision,
        suppress_small=bool(moderate),
        floatmode="maxprec_equal",
        max_line_width=max(40, width - 2),
        threshold=64 if array.ndim == 2 else 24,
        edgeitems=3,
    )
    text = text.replace("[", " ").replace("]", "")
    indent = min(len(line) - len(line.lstrip()) for line in text.splitlines())
    return "\n".join("  " + line[indent:].rstrip() for line in text.splitlines())


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
