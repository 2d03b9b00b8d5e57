"""What TensorFlow gives, as arrays."""

from typing import Any

import numpy as np


def as_array(value: Any) -> np.ndarray:
    r"""Makes an array of what a run gave.

    A string tensor without dimensions comes as bytes, of which NumPy would drop zeros
    at the end; other tensors without dimensions come as NumPy's scalars.

    >>> as_array(b"a\x00")
    array(b'a\x00', dtype=object)
    """
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)
