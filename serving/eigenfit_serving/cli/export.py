"""The command `eigenfit export`: hands a solver to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eigenfit_serving.cli.shared import DtypeOption, MethodOption, ProblemArgument

if TYPE_CHECKING:
    from rich.console import Console

EPILOG = (
    "Example:  eigenfit export examples/identity.toml models/identity "
    "--format savedmodel,stablehlo"
)


def export(
    problem: ProblemArgument,
    path: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Model folder; versions go below it."),
    ],
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAMES",
            help="Any of savedmodel, onnx and stablehlo, separated by commas.",
        ),
    ] = "savedmodel",
    method: MethodOption = None,
    dtype: DtypeOption = None,
    max_steps_limit: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER",
            help="Largest max_steps of a call; the method's own limit by default.",
        ),
    ] = None,
    batch: Annotated[
        str,
        typer.Option(
            metavar="INTEGERS",
            help="Batch sizes of StableHLO programs, separated by commas.",
        ),
    ] = "1",
    target: Annotated[
        Literal["cpu", "gpu"],
        typer.Option(help="Device for which the default function is compiled."),
    ] = "cpu",
) -> None:
    """Export the solver of a problem for other programs.

    SavedModel: TensorFlow in Python, C, C++ and Node, TensorFlow Serving. ONNX: ONNX
    Runtime, browsers. StableHLO: JAX, without TensorFlow. A model fits any targets from
    any starts; where a call gives none, from those of the file.
    """
    from rich.console import Console

    from eigenfit_serving.cli.shared import fail, input_errors, number, solver_of
    from eigenfit_serving.errors import InputError
    from eigenfit_serving.files import check_folder
    from eigenfit_serving.problem_file.reading import read_problem

    wanted = [name.strip() for name in formats.split(",")]
    for name in wanted:
        if name not in _KNOWN:
            raise InputError(
                f"--format: {name!r} is none of {', '.join(_KNOWN)}. Give one or more, "
                f"with commas between."
            )
    limit = number(max_steps_limit)
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise InputError(
            f"--max-steps-limit: must be a positive integer, got {limit!r}."
        )
    batches = [number(part) for part in batch.split(",")]
    if not all(isinstance(size, int) and size > 0 for size in batches):
        raise InputError(f"--batch: must be positive integers, got {batch!r}.")
    content = read_problem(problem, method=method, dtype=dtype)
    check_folder("FOLDER", path)
    with input_errors(problem):
        solver = solver_of(content)
    import eigenfit_export

    try:
        with Console(stderr=True).status("Exporting") as status:
            version = eigenfit_export.export_solver(
                solver,
                path,
                wanted,
                max_steps_limit=limit,
                stablehlo_batches=batches,  # type: ignore[arg-type]
                start=content.start.build(content.unknowns),
                progress=lambda what: status.update(f"Exporting: {what}"),
                target=target,
            )
    except OSError as error:
        reason = error.strerror or error
        fail(f"FOLDER = {path}: cannot be written ({reason}). Give another folder.")
    except (ImportError, ValueError) as error:
        fail(f"{problem}: {' '.join(str(error).split())}")
    start = content.start.describe(content.unknowns, solver.problem)
    print_export(version, wanted, start, Console())


_KNOWN = ("savedmodel", "onnx", "stablehlo")


def print_export(
    version: Path, formats: list[str], start: str, console: Console
) -> None:
    """Prints where a model went and how to load it.

    Args:
        version: Folder of the version, `models/identity/1`.
        formats: Names of the formats it holds.
        start: Description of where fits begin that are given no start.
        console: Console to print to.
    """
    from rich.text import Text

    base, name = version.parent, version.parent.name
    hints = {
        "savedmodel": (
            ("Load it with eigenfit", f'eigenfit_export.load_model("{version}")'),
            (
                "Load it with TensorFlow alone",
                f'tf.saved_model.load("{version}").signatures["serving_default"]',
            ),
            (
                "Serve it",
                f"tensorflow_model_server --rest_api_port=8501 --model_name={name} "
                f'--model_base_path="{base.absolute()}"',
            ),
            ("See its signatures", f'saved_model_cli show --all --dir "{version}"'),
        ),
        "onnx": (
            (
                "Load it with ONNX Runtime",
                f'onnxruntime.InferenceSession("{_first(version / "onnx", "fit*")}")',
            ),
        ),
        "stablehlo": (
            (
                "Run it with JAX",
                f'eigenfit_export.StableHlo("{_first(version / "stablehlo", "*")}")',
            ),
        ),
    }
    console.print(Text(f"Exported to {version}"), soft_wrap=True)
    console.print(Text(f"Start of fits without one: {start}\n"), soft_wrap=True)
    check = ("Check it", f'eigenfit verify "{version}"')
    for what, command in (*(x for name in formats for x in hints[name]), check):
        console.print(Text(what, style="dim"))
        console.print(Text(f"  {command}"), soft_wrap=True)


def _first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern), default=folder)
