"""The rounding of a dtype."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def epsilon(dtype: tf.DType) -> float:
    """Returns the distance from 1 to the next number: 2.2e-16 in double precision.

    Args:
        dtype: float32 or float64, or complex64 or complex128 for that of their parts.
    """
    return float(np.finfo(dtype.real_dtype.as_numpy_dtype).eps)
