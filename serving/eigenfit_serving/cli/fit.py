"""The command `eigenfit fit`: a problem file in, its answer out."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eigenfit_serving.cli.shared import (
    NOT_CONVERGED,
    DtypeOption,
    MethodOption,
    ProblemArgument,
    fail,
    input_errors,
    number,
    require_matplotlib,
    solver_of,
)

if TYPE_CHECKING:
    from eigenfit_serving.fitting.outcome import Outcome

REPORTS = (".txt", ".html", ".csv", ".json")
"""Suffixes of `--report`, as in `eigenfit.reports.files`."""

EPILOG = "Example:  eigenfit fit examples/identity.toml --starts 8 --output result.json"


def fit(
    problem: ProblemArgument,
    method: MethodOption = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Loss at which a fit has converged; by default residuals of 1e-10 "
            "of the targets.",
        ),
    ] = None,
    max_steps: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER", help="Maximum steps; the method's own by default."
        ),
    ] = None,
    starts: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER", help="Number of random starts, fitted together."
        ),
    ] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Seed of the random starts.")
    ] = None,
    dtype: DtypeOption = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all results: .json or .npz."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the report of the best start: .txt, .html, .csv or .json.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the picture that suits what was observed: .png, .svg or .pdf. "
            "For levels of one matrix without errors, that is the convergence.",
        ),
    ] = None,
    plot_convergence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw levels and loss against the step: .png, ..."
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Server to fit on: grpc://host:8500 or http://host:8501; see serve.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Model on the server; by default named as the file."
        ),
    ] = None,
) -> None:
    """Fit a problem and print the answer.

    Options take precedence over the file. Exit code 0: the best start met the
    targets, or found a least-squares minimum of more data than unknowns or of data
    with errors; 2: bad input; 3: neither, but the best answer is still printed.
    """
    from rich.console import Console

    from eigenfit_serving.files import check_writable
    from eigenfit_serving.fitting.outcome import run_fit
    from eigenfit_serving.fitting.remote import RemoteFit, connect
    from eigenfit_serving.fitting.result_files import WRITERS
    from eigenfit_serving.problem_file.reading import read_problem

    content = read_problem(
        problem,
        method=method,
        tolerance=number(tolerance),
        max_steps=number(max_steps),
        starts=number(starts),
        seed=number(seed),
        dtype=dtype,
    )
    if output:
        check_writable("--output", output, WRITERS)
    if report:
        check_writable("--report", report, REPORTS)
    for option, picture in (("--plot", plot), ("--plot-convergence", plot_convergence)):
        if picture:
            check_writable(option, picture, (".png", ".svg", ".pdf"))
            require_matplotlib(option)
    if server and plot_convergence:
        fail(
            "--plot-convergence: a server keeps no history. Leave out --server or "
            "--plot-convergence."
        )
    if model and not server:
        fail("--model: needs --server.")
    client = connect(server, model, problem.stem) if server else None
    with input_errors(problem), client or contextlib.nullcontext():
        solver = solver_of(content)
        # Not before the problem is read: these load TensorFlow.
        from eigenfit.reports.progress import fit_progress
        from eigenfit_serving.cli.printing.report import print_outcome

        remote = RemoteFit(client, solver, str(server)) if client else None
        with fit_progress(Console(stderr=True)) as progress:
            outcome = run_fit(
                content,
                solver,
                record_every=1 if (plot or plot_convergence) and not server else 0,
                progress=progress,
                remote=remote,
            )

    # Before printing, which may end early: `eigenfit fit ... | head`.
    written = _write(outcome, output, report, plot, plot_convergence)
    print_outcome(outcome, Console())
    if written:
        typer.echo("\n" + "\n".join(f"Wrote {file}" for file in written))
    if not outcome.success:
        typer.echo(f"\nTo look for reasons: eigenfit check {problem}")
        raise typer.Exit(NOT_CONVERGED)


def _write(
    outcome: Outcome,
    output: Path | None,
    report: Path | None,
    plot: Path | None,
    plot_convergence: Path | None,
) -> list[Path]:
    """Writes the files that were asked for, and returns them."""
    from eigenfit.reports.files import write
    from eigenfit_serving.files import replacing
    from eigenfit_serving.fitting.outcome import draw, draw_convergence
    from eigenfit_serving.fitting.result_files import WRITERS

    def write_results(outcome: Outcome, path: Path) -> None:
        WRITERS[path.suffix.lower()](outcome, path)

    def write_report(outcome: Outcome, path: Path) -> None:
        write(outcome.record, path)

    written = []
    for option, file, into in (
        ("--output", output, write_results),
        ("--report", report, write_report),
        ("--plot", plot, draw),
        ("--plot-convergence", plot_convergence, draw_convergence),
    ):
        if file:
            with replacing(option, file) as path:
                into(outcome, path)
            written.append(file)
    return written
