"""Reports for terminals of 80 columns and for pipes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eigenfit.reports.record import Record
from eigenfit.reports.sections import WORDS, Section, overview, remarks, sections
from eigenfit.results import Result

MAX_ROWS = 40
"""Most rows of a table of levels or targets."""

_COLOURS = {
    "converged": "green",
    "minimum": "green",
    "stationary": "yellow",
    "max_steps": "yellow",
}


def colour_of(result: str) -> str:
    """Returns the colour in which a result is printed."""
    return _COLOURS.get(result, "red")


def print_report(
    record: Record,
    console: Console,
    *,
    position: str = "",
    more: Sequence[tuple[str, Table, Sequence[str]]] = (),
) -> None:
    """Prints what a fit found.

    Args:
        record: The fit.
        console: Console to print to; in colour only if it is a terminal.
        position: Which of several fits it is; empty if it is the only one.
        more: Further tables, each with a heading and lines to print below it.
    """
    if record.question.title:
        console.print(Text(record.question.title, style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for word, text in overview(record, position):
        grid.add_row(word, _styled(word, text, record.result))
    console.print(grid)
    for section in sections(record, console.width, MAX_ROWS):
        print_section(console, section)
    for heading, table, lines in more:
        print_heading(console, heading)
        print_table(console, table)
        for line in lines:
            console.print(Text(f"  {line}"))
    for text in remarks(record):
        console.print()
        console.print(Text(text))


def print_section(console: Console, section: Section) -> None:
    """Prints a heading with its table or text."""
    print_heading(console, section.heading)
    if section.text:
        console.print(Text(section.text), soft_wrap=True)
    else:
        print_table(console, _table(section))


def report_text(record: Record, width: int = 88, position: str = "") -> str:
    """Writes what `print_report` prints, without colours.

    Args:
        record: The fit.
        width: Columns of the text.
        position: Which of several fits it is; empty if it is the only one.
    """
    return plain(
        lambda console: print_report(record, console, position=position), width
    )


def plain(write: Callable[[Console], None], width: int = 88) -> str:
    """Returns what a function prints to a console, without colours."""
    buffer = io.StringIO()
    # In a notebook a console would show the text instead of writing it.
    console = Console(
        file=buffer,
        width=width,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
    )
    write(console)
    lines = buffer.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _styled(word: str, text: str, result: Result) -> Text:
    if word == "Result":
        name, after, rest = text.partition(" after ")
        return Text.assemble((name, f"bold {colour_of(result.name)}"), after, rest)
    return Text(text, style="yellow" if not word else "")


def _table(section: Section) -> Table:
    table = plain_table()
    for column in section.columns:
        table.add_column(column, justify="left" if column in WORDS else "right")
    for row in section.rows:
        table.add_row(*map(Text, row))
    if section.rest:
        table.add_row("...", f"({section.rest} more)")
    return table


def plain_table() -> Table:
    """Makes a table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")


def print_heading(console: Console, text: str) -> None:
    """Prints an empty line and a heading."""
    console.print()
    console.print(Text(text, style="dim"))


def print_table(console: Console, table: Table) -> None:
    """Prints a table, indented below its heading."""
    console.print(Padding(table, (0, 0, 0, 2), expand=False))
