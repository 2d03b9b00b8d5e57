"""Where a program is being traced for."""

from __future__ import annotations

import tensorflow as tf


def inside_xla() -> bool:
    """Says whether what is traced now will be compiled by XLA."""
    return tf.__internal__.get_enclosing_xla_context() is not None
