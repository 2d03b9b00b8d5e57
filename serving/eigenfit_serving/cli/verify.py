"""The command `eigenfit verify`: runs what was exported against stored answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from eigenfit_export.verification.finding import Finding

EPILOG = "Example:  eigenfit verify models/identity"

_COLOURS = {"ok": "green", "not run": "yellow"}


def verify(
    path: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Folder of a model, or of one version."),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs.")
    ] = False,
) -> None:
    """Run an exported model in fresh processes and compare with stored answers.

    Exit code 0: every artefact that could be run reproduces the solver's numbers at
    export, and no file has changed; 3: otherwise; 2: there is no such model.
    """
    from rich.console import Console

    from eigenfit_serving.cli.printing.terminal import quiet_import
    from eigenfit_serving.cli.shared import NOT_CONVERGED
    from eigenfit_serving.errors import InputError

    with quiet_import():
        from eigenfit_export.verification.verify import verify_export

    try:
        with Console(stderr=True).status("Verifying") as status:
            findings = verify_export(
                path, lambda name: status.update(f"Running {name}")
            )
    except OSError as error:
        reason = error if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"FOLDER = {path}: {reason}") from None
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        print_findings(findings, Console())
    if any(finding.is_bad for finding in findings):
        raise typer.Exit(NOT_CONVERGED)


def print_findings(findings: list[Finding], console: Console) -> None:
    """Prints a table of findings, and below it the details."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("artefact", overflow="fold")
    table.add_column("runtime")
    for column in ("worst difference", "time"):
        table.add_column(column, justify="right")
    table.add_column("")
    for x in findings:
        table.add_row(
            Text(x.artefact),
            x.runtime,
            "" if x.worst is None else f"{x.worst:.1e}",
            f"{x.seconds:.1f} s" if x.seconds else "",
            Text(x.status, style=_COLOURS.get(x.status, "bold red")),
        )
    console.print(table)
    for x in findings:
        for line in x.detail:
            console.print(Text(f"\n{x.artefact}: {line}"), soft_wrap=True, end="")
    if any(x.detail for x in findings):
        console.print()
    bad = sum(x.is_bad for x in findings)
    missing = sum(x.status == "not run" for x in findings)
    verdict = f"{bad} of {len(findings)} are wrong." if bad else "All is as exported."
    if missing:
        verdict += f" {missing} not run."
    console.print(Text(f"\n{verdict}", style="bold red" if bad else "bold green"))
