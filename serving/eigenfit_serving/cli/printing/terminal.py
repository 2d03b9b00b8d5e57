"""Silences TensorFlow's import."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Holds back what libraries log while the solver is imported in this context.

    TensorFlow's later log is left out too, unless the user has set a level by
    TF_CPP_MIN_LOG_LEVEL; see `eigenfit.quiet`. If the import fails, all that was
    written is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from eigenfit.quiet import held_back

    with held_back():
        yield
