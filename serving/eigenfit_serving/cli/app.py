"""The `eigenfit` command.

It answers `--help` without loading TensorFlow or matplotlib: each command imports what
it needs. Exit codes: 0 converged, 2 bad input, 3 not converged.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import sys
from typing import Annotated, Any

import typer
import typer.core

from eigenfit_serving.cli import (
    batch,
    check,
    export,
    fit,
    gallery,
    schema,
    serve,
    verify,
)
from eigenfit_serving.cli.shared import BAD_INPUT, fail


class OneLineErrors(typer.core.TyperGroup):
    """A command group that reports each input error in one line, without usage."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Finds a command, and unwraps its help for the terminal to wrap."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help:
            # A docstring is wrapped to the width of the source.
            paragraphs = command.help.split("\n\n")
            command.help = "\n\n".join(" ".join(p.split()) for p in paragraphs)
        return command

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Runs the command line; see `click.Command.main`."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        from eigenfit_serving.errors import InputError

        try:
            code = super().main(*args, standalone_mode=False, **extra)
        except InputError as error:
            fail(str(error))
        except Exception as error:
            # Typer's usage errors; where their class lives depends on its version.
            message = getattr(error, "format_message", None)
            if message is None:
                raise
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "eigenfit"
            fail(f"{message().rstrip('.')}. See {command} --help.")
        sys.exit(code if isinstance(code, int) else 0)


app = typer.Typer(
    cls=OneLineErrors,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"eigenfit {importlib.metadata.version('eigenfit')}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Example:  eigenfit fit examples/identity.toml --plot convergence.png",
)
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Find the parameters of a structured matrix from its eigenvalues."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_INPUT)


app.command(epilog=fit.EPILOG)(fit.fit)
app.command(epilog=check.EPILOG)(check.check)
app.command(epilog=schema.EPILOG)(schema.schema)
app.command(epilog=export.EPILOG)(export.export)
app.command(epilog=verify.EPILOG)(verify.verify)
app.command(epilog=serve.EPILOG)(serve.serve)
app.command(epilog=batch.EPILOG)(batch.batch)
app.command(epilog=gallery.EPILOG)(gallery.gallery)


def main() -> None:
    """Runs the command line and exits; the entry point of the `eigenfit` script."""
    for stream in (sys.stdout, sys.stderr):
        # A title may hold characters that the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="eigenfit")
