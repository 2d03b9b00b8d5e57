"""Writes the ONNX models of a solver."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eigenfit import Levels, Problem, Solver
from eigenfit.eigen.jacobi_small import SMALL
from eigenfit_export.onnx import programs
from eigenfit_export.onnx.compare import compare
from eigenfit_export.onnx.probes import NEEDED, onnx_probes
from eigenfit_export.onnx.programs import Program
from eigenfit_export.probes.stored import Probe, record_probes
from eigenfit_export.starts import Start
from eigenfit_export.versions import whole_file

FUNCTIONS = (
    "eigh",
    "eigengradient",
    "loss_gradient",
    "gradient",
    "weighted_gradient",
    "fit",
)
"""Names of the functions that can be exported."""

_OF_LEVELS = ("gradient", "weighted_gradient")


def save_onnx(
    solver: Solver,
    folder: str | os.PathLike[str],
    *,
    functions: Sequence[str] | None = None,
    any_order: bool = False,
    max_steps_limit: int | None = None,
    start: Start | None = None,
    probes: Mapping[str, Probe] | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> dict[str, Path]:
    """Writes a solver as ONNX models, for any language that has ONNX Runtime.

    With b members, matrices of order n, p parameters, m targets:

    - `eigh`: `matrix [b, n, n]`, whose lower triangle is read, ->
      `eigenvalues [b, n]`, `eigenvectors [b, n, n]`;
    - `eigengradient`: `matrix`, `level [b]` int32 -> `eigenvalues` and the derivative
      of that level by the matrix, `gradient` (symmetric, `v v^T`) and
      `gradient_lower` (by the entries of the lower triangle, as TensorFlow counts);
    - `loss_gradient`: `matrix`, `targets [b, n]`, `weights [b, n]` -> `loss [b]`,
      `eigenvalues`, `gradient`, `gradient_lower`;
    - `gradient`: `parameters [b, p]`, `targets [b, m]` -> `loss`, `gradient [b, p]`,
      `eigenvalues`;
    - `weighted_gradient`: the same with `weights [b, m]` as a third input;
    - `fit`: `initial [b, p]`, `targets [b, m]`, `tolerance [b]`, `max_steps [b]`
      int32 -> the fields of `eigenfit.Solution`.

    The first three do not depend on the problem and come in float32 and float64. They
    take matrices of any order, or, for a problem of order 4 or less, of that order
    only, which is three times as fast. The others have the dtype of the problem. A bad
    member gets NaN or a result code and never disturbs the others. Every model holds
    standard operators only, has passed the full check of onnx and gave the right
    numbers in ONNX Runtime.

    Args:
        solver: Solver to export.
        folder: Folder to write to; created if missing. Each file is written atomically.
        functions: Names from `FUNCTIONS`; by default all that the problem has:
            gradients by parameters need one matrix whose levels are observed.
        any_order: Whether the first three take any order even for small problems.
        max_steps_limit: Largest `max_steps` of a caller; higher ones are clipped inside
            the model. The method's own limit by default.
        start: Start of fits that are given none; stored in the metadata of `fit`.
        probes: Expected outputs by file name (see `onnx_probes`); recorded by default.
        progress: Called with the file name of each model.

    Returns:
        The files, by name such as `fit_float64`.

    Raises:
        ImportError: If the packages of the extra `onnx` are missing.
        TypeError: If `solver` is not a Solver.
        ValueError: If a function is unknown, the matrices are complex, several blocks
            or observations are to be fitted, or the problem or method needs an
            operation that ONNX lacks.
        OSError: If the folder cannot be written.

    Example:
        >>> import tempfile
        >>> import eigenfit as ef
        >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = save_onnx(solver, folder, functions=["fit"])
        >>> written["fit_float64"].name
        'fit_float64.onnx'
    """
    if not isinstance(solver, Solver):
        raise TypeError(f"`solver` must be an eigenfit.Solver, got {solver!r}.")
    wanted = programs_of(solver, functions, any_order, max_steps_limit)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if probes is None:
        recorded = record_probes(solver, max_steps_limit, only=NEEDED)
        probes = onnx_probes(solver.problem, recorded)
    written = {}
    for program in wanted:
        progress(program.file_name)
        if program.name == "fit" and start is not None:
            facts = {**program.facts, "start": json.dumps(start.document())}
            program = replace(program, facts=facts)
        model = program.model()
        compare(program, model, probes[Path(program.file_name).stem])
        path = folder / program.file_name
        with whole_file(path) as file:
            file.write(model.SerializeToString())
        written[path.stem] = path
    return written


def programs_of(
    solver: Solver,
    functions: Sequence[str] | None = None,
    any_order: bool = False,
    max_steps_limit: int | None = None,
) -> list[Program]:
    """Lists the programs that `save_onnx` writes; same arguments."""
    problem = solver.problem
    blocks = problem.blocks
    if any(block.structure.dtype.is_complex for block in blocks):
        raise ValueError(
            "ONNX has no complex numbers. Export problems of complex matrices as a "
            "SavedModel or StableHLO."
        )
    of_levels = _observes_levels(problem)
    available = [x for x in FUNCTIONS if of_levels or x not in _OF_LEVELS]
    if functions is None:
        functions = available
    if not set(functions) <= set(available):
        raise ValueError(
            f"`functions` must be some of {', '.join(available)}; got "
            f"{list(functions)!r}."
        )
    if "fit" in functions and not of_levels:
        raise ValueError(
            "ONNX models fit one matrix of which one thing is observed, and the "
            "problem has several blocks or observations. Export it as a SavedModel or "
            "StableHLO."
        )
    small = len(blocks) == 1 and problem.order <= SMALL
    order = problem.order if small and not any_order else None
    found: list[Program] = []
    for name in functions:
        make = getattr(programs, name)
        if name == "fit":
            found.append(make(solver, max_steps_limit))
        elif name in _OF_LEVELS:
            found.append(make(solver))
        else:
            found.extend(make(dtype, order) for dtype in ("float32", "float64"))
    return found


def _observes_levels(problem: Problem) -> bool:
    # Whether levels of one matrix are all that is known, with any loss.
    (first, *more) = problem.observations
    known = more or problem.num_priors or len(problem.blocks) > 1
    return not known and isinstance(first, Levels)
