"""The command `eigenfit gallery`: lists, shows and reproduces published problems."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from eigenfit_serving.cli.printing.gallery import canonical, describe, table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    import eigenfit as ef
    from eigenfit.gallery import Comparison, GalleryProblem, Row

EPILOG = "Example:  eigenfit gallery rotational-h2coh+ --run --plot spectrum.png"

_MAX_PUBLISHED = 64  # rows of the table of published numbers


def gallery(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="Name of a problem: gaas-bands, T10; default: all."
        ),
    ] = None,
    run: Annotated[
        bool,
        typer.Option(
            "--run", help="Fit it from the published start and compare the answer."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the answer: .png, .svg or .pdf."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs.")
    ] = False,
) -> None:
    """List published problems, show one, or reproduce its published answer.

    Exit code with --run 0: every published number was reproduced; 3: not reproduced.
    2: bad input.
    """
    from eigenfit_serving.cli.printing.terminal import quiet_import
    from eigenfit_serving.errors import InputError
    from eigenfit_serving.files import check_writable

    if run and name is None:
        raise InputError(
            "--run: needs the name of a problem. List them: eigenfit gallery"
        )
    if plot and not run:
        raise InputError("--plot: draws a run. Give --run as well.")
    if plot:
        from eigenfit_serving.cli.shared import require_matplotlib

        check_writable("--plot", plot, (".png", ".svg", ".pdf"))
        require_matplotlib()
    if name is None:
        _show_list(table(), as_json)
        return
    key = canonical(name)
    with quiet_import():
        import tensorflow as tf

        import eigenfit.gallery
    tf.get_logger().setLevel("ERROR")
    entry = eigenfit.gallery.load(key)
    if run:
        _run(entry, plot, as_json)
    else:
        _show_one(entry, as_json)


def _show_list(entries: list[dict[str, Any]], as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        _print_json(entries)
        return
    listed = _table("name")
    for column in ("order", "unknowns", "targets"):
        listed.add_column(column, justify="right")
    listed.add_column("title")
    for facts in entries:
        keys = ("name", "order", "unknowns", "targets", "title")
        listed.add_row(*(str(facts[key]) for key in keys))
    console = Console()
    console.print(listed)
    console.print(
        "\nShow one: eigenfit gallery NAME   Reproduce it: eigenfit gallery NAME --run",
        highlight=False,
        soft_wrap=True,
    )


def _show_one(entry: GalleryProblem, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        _print_json(describe(entry))
        return
    console = Console()
    _print_facts(entry, console)
    _print_published(entry, console)
    console.print(
        f"\nReproduce it: eigenfit gallery {entry.name} --run",
        highlight=False,
        soft_wrap=True,
    )


def _run(entry: GalleryProblem, plot: Path | None, as_json: bool) -> None:
    from rich.console import Console

    import eigenfit as ef
    from eigenfit.reports.progress import fit_progress
    from eigenfit_serving.cli.shared import NOT_CONVERGED
    from eigenfit_serving.files import replacing

    solver = ef.Solver(entry.problem, entry.method)
    with fit_progress(Console(stderr=True)) as progress:
        solution = solver.fit(
            entry.initial,
            entry.targets,
            tolerance=entry.tolerance,
            max_steps=entry.max_steps,
            progress=progress,
        )
    comparison = entry.compare(solution)
    if plot:
        with replacing("--plot", plot) as path:
            entry.plot(solution).savefig(path)
    if as_json:
        _print_json(_run_document(entry, solution, comparison))
    else:
        console = Console()
        _print_facts(entry, console)
        _print_comparison(solution, comparison, console)
        if plot:
            typer.echo(f"\nWrote {plot}")
    if not comparison.reproduced:
        raise typer.Exit(NOT_CONVERGED)


def _run_document(
    entry: GalleryProblem, solution: ef.Solution, comparison: Comparison
) -> dict[str, Any]:
    import eigenfit as ef

    return {
        **describe(entry),
        "reproduced": comparison.reproduced,
        "result": ef.Result(int(solution.result)).name,
        "success": bool(solution.success),
        "num_steps": int(solution.num_steps),
        "lines": [
            {
                key: value if isinstance(value, str) or math.isfinite(value) else None
                for key, value in row._asdict().items()
            }
            for row in comparison.lines
        ],
    }


def _print_facts(entry: GalleryProblem, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    import eigenfit.gallery

    console.print(Text(entry.title, style="bold"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    short = ", ".join([entry.name, *eigenfit.gallery.aliases(entry.name)])
    unknowns = entry.problem.parameter_names
    for label, text in (
        ("Name", short),
        ("Source", entry.source),
        ("Matrices", _matrices(entry.orders)),
        ("Unknowns", f"{len(unknowns)}: {', '.join(unknowns)}"),
        ("Targets", str(len(entry.targets))),
        ("Start", entry.start_note),
        ("Method", str(entry.method)),
    ):
        grid.add_row(label, Text(text))
    console.print(grid)


def _print_published(entry: GalleryProblem, console: Console) -> None:
    table = _table("quantity")
    table.add_column("published", justify="right")
    rows = [
        (name, _fixed(value, 2 * tolerance))
        for part in entry.published
        for name, value, tolerance in zip(
            part.names, part.values[0], part.tolerances[0], strict=True
        )
    ]
    for row in rows[:_MAX_PUBLISHED]:
        table.add_row(*row)
    if len(rows) > _MAX_PUBLISHED:
        table.add_row(f"({len(rows) - _MAX_PUBLISHED} more)", "")
    console.print()
    console.print(table)


def _print_comparison(
    solution: ef.Solution, comparison: Comparison, console: Console
) -> None:
    from rich.text import Text

    import eigenfit as ef

    table = _table("quantity")
    for column in ("published", "found", "difference", "allowed"):
        table.add_column(column, justify="right")
    for row in comparison.lines:
        table.add_row(*_cells(row), style="" if row.agrees else "red")
    console.print()
    console.print(table)
    agreeing = sum(row.agrees for row in comparison.lines)
    result, steps = ef.Result(int(solution.result)), int(solution.num_steps)
    known = {"converged": "converged", "minimum": "ended at a least-squares minimum"}
    ended = known.get(result.name, f"ended {result.name}")
    verdict = (
        ("Reproduced", "bold green")
        if comparison.reproduced
        else ("Not reproduced", "bold red")
    )
    console.print()
    console.print(
        Text.assemble(
            verdict,
            f": {agreeing} of {len(comparison.lines)} published numbers; the fit "
            f"{ended} after {steps} step{'s'[: steps != 1]}.",
        )
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.quantity,
        _fixed(row.published, 2 * row.tolerance),
        _fixed(row.found, row.tolerance),
        f"{row.difference:+.1e}",
        f"{row.tolerance:.0e}",
    )


def _fixed(value: float, tolerance: float) -> str:
    """Writes a number to the last digit that is significant at a tolerance.

    Example:
        >>> _fixed(11.9078761024727, 5e-9), _fixed(-1e-12, 1e-3), _fixed(math.nan, 1.0)
        ('11.907876102', '0.000', 'nan')
    """
    decimals = max(0, math.ceil(-math.log10(tolerance)))
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _matrices(orders: tuple[int, ...]) -> str:
    """Describes the number of matrices and their orders.

    Example:
        >>> _matrices((10, 10, 10)), _matrices((3,)), _matrices((1, 3, 5))
        ('3 of order 10', 'order 3', '3 of orders 1 to 5')
    """
    low, high = min(orders), max(orders)
    if len(orders) == 1:
        return f"order {high}"
    span = f"order {high}" if low == high else f"orders {low} to {high}"
    return f"{len(orders)} of {span}"


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))
