"""Shared by several commands: arguments, exit codes, errors, TensorFlow's import."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from eigenfit_serving.errors import InputError

if TYPE_CHECKING:
    import eigenfit as ef
    from eigenfit_serving.problem_file.content import ProblemContent

BAD_INPUT = 2
NOT_CONVERGED = 3

ProblemArgument = Annotated[
    Path, typer.Argument(metavar="PROBLEM.toml", help="The problem file.")
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="auto, adam, alternating, cluster-newton, gauss-newton, "
        "isospectral-projection, lbfgs, levenberg-marquardt, lift-and-project, "
        "loewner-newton or newton.",
    ),
]
DtypeOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="float32 or float64.")
]


def number(text: str | None) -> int | float | str | None:
    """Reads the value of an option; text that is no number is left for the checks."""
    for kind in (int, float):
        with contextlib.suppress(TypeError, ValueError):
            return kind(text)  # type: ignore[arg-type]
    return text


@contextlib.contextmanager
def input_errors(problem: Path) -> Iterator[None]:
    """Reports what the solver rejects as an error of the problem file."""
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


def solver_of(content: ProblemContent) -> ef.Solver:
    """Builds the solver of a problem file; loads TensorFlow quietly."""
    load_tensorflow()
    return content.solver()


def load_tensorflow() -> None:
    """Loads TensorFlow, suppressing what it logs meanwhile."""
    from eigenfit_serving.cli.printing.terminal import quiet_import

    with quiet_import():
        import tensorflow as tf

    tf.get_logger().setLevel("ERROR")


def require_matplotlib(option: str = "--plot") -> None:
    """Ends the command if there is no matplotlib for an option that draws.

    Args:
        option: Its name.
    """
    if importlib.util.find_spec("matplotlib") is None:
        fail(f'{option}: needs matplotlib. Install it: pip install "eigenfit[plots]"')


def fail(text: str) -> NoReturn:
    """Ends the command with a text on stderr and the exit code for bad input."""
    for line in text.splitlines():
        typer.echo(f"eigenfit: {line}", err=True)
    sys.exit(BAD_INPUT)
