"""The command `eigenfit schema`: the JSON Schema of problem files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example:  eigenfit schema --output problem.schema.json"


def schema(
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there (.json); print by default."),
    ] = None,
) -> None:
    """Write the JSON Schema of problem files, for editors.

    An editor that knows it completes keys and marks mistakes. Taplo and the TOML
    extensions of editors find it by a first line "#:schema problem.schema.json".
    """
    from eigenfit_serving.files import check_writable, replacing
    from eigenfit_serving.problem_file.schema import schema_text

    if output is None:
        typer.echo(schema_text(), nl=False)
        return
    check_writable("--output", output, (".json",))
    with replacing("--output", output) as path:
        path.write_text(schema_text(), encoding="utf-8")
    typer.echo(f"Wrote {output}")
