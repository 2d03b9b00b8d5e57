"""The command `eigenfit batch`: a table of problems in, a table of solutions out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

EPILOG = (
    "Example:  eigenfit batch models/identity problems.parquet solutions.parquet "
    "--workers 2"
)

_INTEGER = "INTEGER"


def batch(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL_OR_PROBLEM",
            help="The folder of an exported model, or a problem file.",
        ),
    ],
    input: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="Parquet, CSV or Arrow: a file, or a folder of them."
        ),
    ],
    output: Annotated[
        Path,
        typer.Argument(
            metavar="OUTPUT",
            help="A file (.parquet, .csv, .arrow), or a folder of Parquet files.",
        ),
    ],
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="local: processes of this machine; ray: a cluster, or this machine.",
        ),
    ] = "local",
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar=_INTEGER, help="Fits per call; by default from the model's size."
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(metavar=_INTEGER, help="Processes; one for each core or GPU."),
    ] = None,
    gpus: Annotated[
        str, typer.Option(metavar=_INTEGER, help="Number of GPUs to use.")
    ] = "0",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that ended early.")
    ] = False,
    limit: Annotated[
        str | None, typer.Option(metavar=_INTEGER, help="Solve only the first rows.")
    ] = None,
    starts: Annotated[
        str | None,
        typer.Option(metavar=_INTEGER, help="Number of starts of each row."),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="With --starts, keep best or all (distinct solutions)."
        ),
    ] = "best",
    seed: Annotated[
        str | None, typer.Option(metavar=_INTEGER, help="Seed of the random starts.")
    ] = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="Loss at which a row without its own tolerance has converged; by "
            "default residuals of 1e-10 of its targets.",
        ),
    ] = None,
    max_steps: Annotated[
        str | None,
        typer.Option(metavar=_INTEGER, help="Maximum steps of rows without their own."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --engine ray: auto, or host:6379 of the head node; by default "
            "a local Ray.",
        ),
    ] = None,
) -> None:
    """Solve a table of problems of any size.

    INPUT has the columns id and targets (a list of numbers) and, optionally, initial
    (a list), tolerance, max_steps and, with a problem file, weights (a list). OUTPUT
    has a row for each, with parameters, eigenvalues, loss, steps, a result code and
    its text. A report in JSON is written beside it.

    Exit code 0: every row was answered, converged or not; 2: bad input, or the output
    cannot be written: continue with --resume; 130: stopped by Ctrl-C, likewise.
    """
    from rich.console import Console

    from eigenfit_serving.batch.run import run_batch
    from eigenfit_serving.cli.shared import number

    try:
        report = run_batch(
            model,
            input,
            output,
            engine=engine,  # type: ignore[arg-type]
            batch_size=number(batch_size),  # type: ignore[arg-type]
            workers=number(workers),  # type: ignore[arg-type]
            gpus=number(gpus),  # type: ignore[arg-type]
            resume=resume,
            limit=number(limit),  # type: ignore[arg-type]
            starts=number(starts),  # type: ignore[arg-type]
            keep=keep,  # type: ignore[arg-type]
            seed=number(seed),  # type: ignore[arg-type]
            tolerance=number(tolerance),  # type: ignore[arg-type]
            max_steps=number(max_steps),  # type: ignore[arg-type]
            address=address,
            console=Console(stderr=True),
        )
    except KeyboardInterrupt:
        typer.echo("eigenfit: stopped. Go on with --resume.", err=True)
        sys.exit(130)
    report.print(Console())
