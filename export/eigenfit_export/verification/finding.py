"""What `verify` reports on an artefact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The outcome of verifying one artefact.

    Attributes:
        artefact: Its path, relative to the folder that was verified.
        runtime: Name of the runtime that ran it; `SHA-256` for the files.
        status: `ok`, `differs`, `damaged`, `failed` or `not run`.
        num_checks: Number of functions, or files, that were checked.
        worst: Error of the output that comes nearest to its tolerance, or exceeds it
            most, relative to its largest number; None if nothing was compared.
        tolerance: Tolerance of that output, likewise relative: the effect of rounding.
        seconds: Time for loading and running, in seconds.
        detail: What is wrong, a line for each function or file.

    Example:
        >>> Finding("fit.onnx", "ONNX Runtime", "differs", worst=1e-3).is_bad
        True
    """

    artefact: str
    runtime: str
    status: str
    num_checks: int = 0
    worst: float | None = None
    tolerance: float | None = None
    seconds: float = 0.0
    detail: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether something is wrong; `not run` does not count."""
        return self.status in ("differs", "damaged", "failed")
