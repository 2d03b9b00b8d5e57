"""The command `eigenfit check`: explains a problem file."""

from __future__ import annotations

import typer

from eigenfit_serving.cli.shared import (
    NOT_CONVERGED,
    ProblemArgument,
    input_errors,
    load_tensorflow,
)

EPILOG = "Example:  eigenfit check examples/impossible.toml"


def check(problem: ProblemArgument) -> None:
    """Explain a problem file and look for targets that cannot be met.

    Exit code 0: no target was found impossible, though there may be warnings; 2: bad
    input; 3: some targets cannot be met.
    """
    from rich.console import Console

    from eigenfit_serving.problem_file.reading import read_problem

    content = read_problem(problem)
    with input_errors(problem):
        load_tensorflow()
        from eigenfit_serving.cli.printing.check import check_problem, print_check

        checked = check_problem(content)
    print_check(content, checked, Console())
    if any(finding.severity == "impossible" for finding in checked.findings):
        raise typer.Exit(NOT_CONVERGED)
