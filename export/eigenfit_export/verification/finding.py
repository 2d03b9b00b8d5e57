"""What `verify` says of an artefact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found of one artefact.

    Attributes:
        artefact: Its path, from the folder that was asked for.
        runtime: What ran it.
        status: `ok`, `differs`, `damaged`, `failed` or `not run`.
        num_checks: How many functions, or files, were looked at.
        worst: Difference of the output that comes nearest to what is allowed, or
            exceeds it most, relative to its largest number; None if nothing was
            compared.
        tolerance: What is allowed of that output, likewise: what rounding explains.
        seconds: Time taken by loading and running.
        detail: What is wrong, a line for each function or file.
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
        """Whether something is wrong; what was not run is not."""
        return self.status in ("differs", "damaged", "failed")
