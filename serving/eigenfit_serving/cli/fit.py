"""The command `eigenfit fit`: a problem file in, its answer out."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

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
        typer.Option(metavar="FILE", help="Draw the convergence: .png, .svg or .pdf."),
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

    from eigenfit_serving.files import check_writable, replacing
    from eigenfit_serving.fitting.outcome import draw, run_fit
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
    if plot:
        check_writable("--plot", plot, (".png", ".svg", ".pdf"))
        require_matplotlib()
    if server and plot:
        fail("--plot: a server keeps no history. Leave out --server or --plot.")
    if model and not server:
        fail("--model: needs --server.")
    client = connect(server, model, problem.stem) if server else None
    with input_errors(problem), client or contextlib.nullcontext():
        solver = solver_of(content)
        from eigenfit.reports.progress import fit_progress

        remote = RemoteFit(client, solver, str(server)) if client else None
        with fit_progress(Console(stderr=True)) as progress:
            outcome = run_fit(
                content,
                solver,
                record_every=1 if plot else 0,
                progress=progress,
                remote=remote,
            )

    # Not before the problem is read: these load TensorFlow.
    from eigenfit.reports.files import write
    from eigenfit_serving.cli.printing.report import print_outcome

    # Before printing, which may end early: `eigenfit fit ... | head`.
    if output:
        with replacing("--output", output) as path:
            WRITERS[output.suffix.lower()](outcome, path)
    if report:
        with replacing("--report", report) as path:
            write(outcome.record, path)
    if plot:
        with replacing("--plot", plot) as path:
            draw(outcome, path)
    print_outcome(outcome, Console())
    written = [f"Wrote {file}" for file in (output, report, plot) if file]
    if written:
        typer.echo("\n" + "\n".join(written))
    if not outcome.success:
        typer.echo(f"\nTo look for reasons: eigenfit check {problem}")
        raise typer.Exit(NOT_CONVERGED)
