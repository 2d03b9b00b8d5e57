"""Prints the report of a fit, for terminals of 80 columns and for pipes."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eigenfit_serving.cli.printing.tables import (
    MAX_STARTS,
    colour_of,
    count,
    facts,
    levels_table,
    parameters_table,
    solutions_table,
    starts_table,
    targets_table,
)
from eigenfit_serving.fitting.outcome import Outcome
from eigenfit_serving.fitting.verdicts import family_of, family_text, spoken
from eigenfit_serving.problem_file.structures.composed import GeneralizedSection

_MAX_BLOCKS = 3  # with more, matrices are not printed
_MAX_COMBINATIONS = 4  # with more, listing undetermined parameters tells nothing
_MAX_PARAMETERS = 60  # rows of the table of parameters


def print_outcome(outcome: Outcome, console: Console) -> None:
    """Prints the best start in full, and a table of all if there are several.

    Args:
        outcome: Result of `run_fit`.
        console: Console to print to; in colour only if it is a terminal.
    """
    best, content = outcome.best, outcome.content
    if content.title:
        console.print(Text(content.title, style="bold"))
    _print_summary(outcome, console)
    print_heading(console, "Parameters")
    names = content.parameters.all_names(outcome.all_parameters.shape[-1])
    if len(names) <= _MAX_PARAMETERS and _has_names_or_errors(outcome):
        print_table(console, parameters_table(outcome))
    else:
        _print_array(console, outcome.parameters[best])
    if len(outcome.matrices) <= _MAX_BLOCKS:
        for matrix in content.matrices:
            block = f" of block {matrix.label}" * (len(outcome.matrices) > 1)
            what = " L^-1 K L^-H, where M = L L^H"
            what *= isinstance(matrix.structure, GeneralizedSection)
            print_heading(console, f"Matrix{what}{block}")
            _print_array(console, outcome.matrices[matrix.label][best])
    if [term.section.kind for term in content.terms] == ["levels"]:
        print_heading(console, "Levels")
        print_table(console, levels_table(outcome))
    else:
        if len(outcome.matrices) <= _MAX_BLOCKS:
            for label, w in outcome.levels.items():
                block = f" of block {label}" * (len(outcome.matrices) > 1)
                print_heading(console, f"Levels (eigenvalues){block}")
                _print_array(console, w[best])
        print_heading(console, "Targets")
        print_table(console, targets_table(outcome))
    if len(outcome.loss) > 1:
        _print_solutions(outcome, console)
    for text in _remarks(outcome):
        console.print()
        console.print(Text(text))


def _has_names_or_errors(outcome: Outcome) -> bool:
    content = outcome.content
    if content.parameters.model_fields_set or content.has_sigma:
        return True
    return len(content.targets) > outcome.parameters.shape[-1]


def _print_summary(outcome: Outcome, console: Console) -> None:
    content, best = outcome.content, outcome.best
    fit = content.fit
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    name = outcome.result_names[best]
    steps = count(int(outcome.num_steps[best]), "step")
    result = Text.assemble((spoken(name), f"bold {colour_of(name)}"), f" after {steps}")
    if len(outcome.loss) > 1:
        result.append(f" (start {best}, the best of {len(outcome.loss)})")
    if outcome.family_dimension:
        result.append(f"; one of {family_of(outcome.family_dimension)}")
    grid.add_row("Result", result)
    fitted = outcome.agreement
    explained = fitted.text if fitted else outcome.scatter_text
    explained = outcome.outliers_text or explained
    if explained:
        grid.add_row("Fit", Text(explained))
    if fitted and fitted.warning:
        grid.add_row("", Text(fitted.warning, style="yellow"))
    loss = f"{outcome.loss[best]:.6e}"
    if name != "minimum":
        loss += f" ({fit.tolerance_text})"
    grid.add_row("Loss", loss)
    grid.add_row("Problem", facts(content))
    drawn = outcome.start_text
    if drawn:
        grid.add_row("Start", Text(drawn))
    grid.add_row("Method", f"{outcome.method}, {fit.dtype}, {outcome.seconds:.2f} s")
    console.print(grid)


def _print_solutions(outcome: Outcome, console: Console) -> None:
    found, names = outcome.distinct, outcome.result_names
    if found is None:
        print_heading(console, "Starts")
        print_table(console, starts_table(outcome))
        if len(names) > MAX_STARTS:
            text = f"These are the {MAX_STARTS} best of {len(names)} starts: "
            console.print(Text(f"  {text}{_counted(names)}."))
        return
    print_heading(console, "Solutions")
    print_table(console, solutions_table(outcome, found))
    if len(found.loss) > MAX_STARTS:
        text = f"These are the {MAX_STARTS} best of {len(found.loss)} solutions."
        console.print(Text(f"  {text}"))
    if (found.copies[:MAX_STARTS] > 1).any():
        console.print(Text("  Copies differ by signs that change no level."))
    others = [name for name, k in zip(names, found.labels, strict=True) if k < 0]
    if others:
        text = f"Further starts that led to none of them: {_counted(others)}."
        console.print(Text(f"  {text}"))


def _counted(names: list[str]) -> str:
    counts = {name: names.count(name) for name in dict.fromkeys(sorted(names))}
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _remarks(outcome: Outcome) -> list[str]:
    """Lists what went wrong, and what the data leave undetermined."""
    best, dimension = outcome.best, outcome.family_dimension
    # The text of a failed result already says that it is one of a family.
    text = outcome.result_texts[best]
    if outcome.success:
        text = family_text(outcome.result_names[best], dimension)
    remarks = [text] if text else []
    enough = len(outcome.content.targets) >= outcome.parameters.shape[-1]
    if outcome.undetermined and (enough or 0 < dimension <= _MAX_COMBINATIONS):
        remarks.append(f"The data do not determine: {outcome.undetermined}.")
    return remarks


def print_heading(console: Console, text: str) -> None:
    """Prints an empty line and a heading."""
    console.print()
    console.print(Text(text, style="dim"))


def print_table(console: Console, table: Table) -> None:
    """Prints a table, indented below its heading."""
    console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _print_array(console: Console, array: np.ndarray) -> None:
    console.print(Text(format_array(array, console.width)), soft_wrap=True)


def format_array(array: np.ndarray, width: int = 80) -> str:
    """Writes a vector or matrix in aligned columns, without its middle if large.

    Example:
        >>> print(format_array(np.array([[1.0, -0.5], [-0.5, 2.0]])))
           1.0 -0.5
          -0.5  2.0
    """
    precision = 4 if array.ndim == 2 and array.shape[1] > 6 else 6
    moderate = 1e-3 <= np.abs(array).max() < 1e6
    if moderate:
        # Show rounding noise and minus zero as zero.
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
