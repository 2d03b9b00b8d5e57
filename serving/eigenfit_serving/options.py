"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
