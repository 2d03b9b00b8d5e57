"""Arrow's functions on columns, imported when first used."""

from __future__ import annotations

from typing import Any


def compute() -> Any:
    """Returns `pyarrow.compute`, whose functions exist at run time only."""
    import pyarrow.compute

    return pyarrow.compute
