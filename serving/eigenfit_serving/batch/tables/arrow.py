"""Arrow's functions on columns, loaded when they are needed."""

from __future__ import annotations

from typing import Any


def compute() -> Any:
    """Gives `pyarrow.compute`, whose functions exist at run time only."""
    import pyarrow.compute

    return pyarrow.compute
