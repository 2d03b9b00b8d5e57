"""Hands a solver to other programs.

Names are imported when they are first used: the loader of StableHLO works where
TensorFlow is not installed.

Example:
    >>> import tempfile
    >>> import eigenfit as ef
    >>> from eigenfit_export import load_model, save_model, verify_export
    >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     version = save_model(solver, folder)
    ...     solution = load_model(version).fit([1.0, 2.0, 3.0], [0.0, 1.0])
    ...     findings = verify_export(version)
    >>> version.name, int(solution.num_steps)
    ('1', 1)
    >>> [finding.status for finding in findings]
    ['ok', 'ok']
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eigenfit_export.exporting import export_solver, save_model
    from eigenfit_export.formats.stablehlo import save_stablehlo
    from eigenfit_export.loading.loaded import LoadedSolver, load_model
    from eigenfit_export.loading.stablehlo_loader import StableHlo, run_stablehlo
    from eigenfit_export.onnx import save_onnx
    from eigenfit_export.starts import Start
    from eigenfit_export.verification.finding import Finding
    from eigenfit_export.verification.verify import verify_export

_HOMES = {
    "export_solver": "exporting",
    "LoadedSolver": "loading.loaded",
    "load_model": "loading.loaded",
    "save_model": "exporting",
    "save_onnx": "onnx",
    "save_stablehlo": "formats.stablehlo",
    "StableHlo": "loading.stablehlo_loader",
    "run_stablehlo": "loading.stablehlo_loader",
    "Start": "starts",
    "Finding": "verification.finding",
    "verify_export": "verification.verify",
}

__all__ = [
    "Finding",
    "LoadedSolver",
    "StableHlo",
    "Start",
    "export_solver",
    "load_model",
    "run_stablehlo",
    "save_model",
    "save_onnx",
    "save_stablehlo",
    "verify_export",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
