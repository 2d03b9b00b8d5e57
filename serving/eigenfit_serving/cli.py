"""The `eigenfit` command.

It answers `--help` without loading TensorFlow or matplotlib: each command imports what
it needs. Exit codes: 0 converged, 2 bad input, 3 not converged.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import typer.core

from eigenfit_serving import (
    batch_command,
    export_command,
    gallery_command,
    serve_command,
    verify_command,
)
from eigenfit_serving.options import DtypeOption, MethodOption, ProblemArgument

if TYPE_CHECKING:
    import eigenfit as ef
    from eigenfit_serving.problem_file import ProblemFile

BAD_INPUT = 2
NOT_CONVERGED = 3


class OneLineErrors(typer.core.TyperGroup):
    """A command group that reports bad input in a line each, without a usage text."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Finds a command; its help is wrapped by the terminal alone."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and command.help:
            # The lines of a docstring are as long as those of the source.
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
            _fail(str(error))
        except Exception as error:
            # Typer's usage errors; where their class lives depends on its version.
            message = getattr(error, "format_message", None)
            if message is None:
                raise
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "eigenfit"
            _fail(f"{message().rstrip('.')}. See {command} --help.")
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
            help="Show it and exit.",
        ),
    ] = False,
) -> None:
    """Find the parameters of a structured matrix from its eigenvalues."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_INPUT)


@app.command(
    epilog="Example:  eigenfit fit examples/identity.toml --starts 8 "
    "--output result.json"
)
def fit(
    problem: ProblemArgument,
    method: MethodOption = None,
    tolerance: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER",
            help="The loss at which a fit has converged; by default residuals of "
            "1e-10 of the targets.",
        ),
    ] = None,
    max_steps: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER", help="Steps at most; the method's own by default."
        ),
    ] = None,
    starts: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER", help="Number of random starts, fitted together."
        ),
    ] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="INTEGER", help="Of the random starts.")
    ] = None,
    dtype: DtypeOption = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all results: .json or .npz."),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the convergence: .png, .svg or .pdf."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Fit there: grpc://host:8500 or http://host:8501, see eigenfit serve.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the server's model; that of the file by default."
        ),
    ] = None,
) -> None:
    """Fit a problem and print the answer.

    Options take precedence over the file. Exit code 0: the best start met the
    targets, or found a least-squares minimum of more data than unknowns or of data
    with errors; 2: bad input; 3: neither, the best answer is printed all the same.
    """
    from rich.console import Console

    from eigenfit_serving.files import check_writable, replacing
    from eigenfit_serving.outcome import observed_levels, run_fit
    from eigenfit_serving.problem_file import read_problem
    from eigenfit_serving.remote_fit import RemoteFit, connect
    from eigenfit_serving.report import print_outcome
    from eigenfit_serving.result_files import WRITERS
    from eigenfit_serving.terminal import fit_progress

    content = read_problem(
        problem,
        method=method,
        tolerance=_number(tolerance),
        max_steps=_number(max_steps),
        starts=_number(starts),
        seed=_number(seed),
        dtype=dtype,
    )
    if output:
        check_writable("--output", output, WRITERS)
    if plot:
        check_writable("--plot", plot, (".png", ".svg", ".pdf"))
        _require_matplotlib()
    if server and plot:
        _fail("--plot: a server keeps no history. Leave out --server or --plot.")
    if model and not server:
        _fail("--model: needs --server.")
    client = connect(server, model, problem.stem) if server else None
    with _input_errors(problem), client or contextlib.nullcontext():
        solver = _solver(content)
        remote = RemoteFit(client, solver, str(server)) if client else None
        with fit_progress(Console(stderr=True)) as progress:
            outcome = run_fit(
                content,
                solver,
                record_every=1 if plot else 0,
                progress=progress,
                remote=remote,
            )

    # Before printing, which may end early: `eigenfit fit ... | head`.
    if output:
        with replacing("--output", output) as path:
            WRITERS[output.suffix.lower()](outcome, path)
    if plot:
        from eigenfit.plots import plot_convergence

        with replacing("--plot", plot) as path:
            indices, targets = observed_levels(content)
            plot_convergence(
                outcome.solution,
                targets,
                indices=indices,
                tolerance=content.fit.tolerance,
                title=content.title,
                path=path,
            )
    print_outcome(outcome, Console())
    written = [f"Wrote {file}" for file in (output, plot) if file]
    if written:
        typer.echo("\n" + "\n".join(written))
    if not outcome.success:
        typer.echo(f"\nTo look for reasons: eigenfit check {problem}")
        raise typer.Exit(NOT_CONVERGED)


@app.command(epilog="Example:  eigenfit check examples/impossible.toml")
def check(problem: ProblemArgument) -> None:
    """Explain a problem file and look for targets that cannot be met.

    Exit code 0: nothing speaks against the targets, though there may be warnings; 2:
    bad input; 3: some targets cannot be met.
    """
    from rich.console import Console

    from eigenfit_serving.problem_file import read_problem

    content = read_problem(problem)
    with _input_errors(problem):
        _load_tensorflow()
        from eigenfit_serving.check import check_problem, print_check

        checked = check_problem(content)
    print_check(content, checked, Console())
    if any(finding.severity == "impossible" for finding in checked.findings):
        raise typer.Exit(NOT_CONVERGED)


@app.command(epilog="Example:  eigenfit schema --output problem.schema.json")
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
    from eigenfit_serving.schema import schema_text

    if output is None:
        typer.echo(schema_text(), nl=False)
        return
    check_writable("--output", output, (".json",))
    with replacing("--output", output) as path:
        path.write_text(schema_text(), encoding="utf-8")
    typer.echo(f"Wrote {output}")


app.command(epilog=export_command.EPILOG)(export_command.export)
app.command(epilog=verify_command.EPILOG)(verify_command.verify)
app.command(epilog=serve_command.EPILOG)(serve_command.serve)
app.command(epilog=batch_command.EPILOG)(batch_command.batch)
app.command(epilog=gallery_command.EPILOG)(gallery_command.gallery)


def main() -> None:
    """Runs the command line and exits; the entry point of the `eigenfit` script."""
    for stream in (sys.stdout, sys.stderr):
        # A title may hold what the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="eigenfit")


def _number(text: str | None) -> int | float | str | None:
    """Reads the value of an option; what is no number is left for the checks."""
    for kind in (int, float):
        with contextlib.suppress(TypeError, ValueError):
            return kind(text)  # type: ignore[arg-type]
    return text


@contextlib.contextmanager
def _input_errors(problem: Path) -> Iterator[None]:
    """Reports what the solver refuses as an error of the problem file."""
    from eigenfit_serving.errors import InputError

    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{problem}: {error}") from error
    except Exception as error:
        # TensorFlow has its own class for this, which is not loaded here.
        if (
            isinstance(error, MemoryError)
            or "ResourceExhausted" in type(error).__name__
        ):
            raise InputError(
                f"{problem}: the fit does not fit into memory. Use fewer starts "
                f"(fit.starts) or a smaller order."
            ) from error
        raise


def _solver(content: ProblemFile) -> ef.Solver:
    _load_tensorflow()
    return content.solver()


def _load_tensorflow() -> None:
    from eigenfit_serving.terminal import quiet_import

    with quiet_import():
        import tensorflow as tf

    tf.get_logger().setLevel("ERROR")


def _require_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        _fail('--plot: needs matplotlib. Install it: pip install "eigenfit[plots]"')


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        typer.echo(f"eigenfit: {line}", err=True)
    sys.exit(BAD_INPUT)
