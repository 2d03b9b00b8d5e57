"""Types of arguments of public functions."""

from __future__ import annotations

from typing import TypeAlias

import numpy.typing as npt
import tensorflow as tf

TensorLike: TypeAlias = npt.ArrayLike | tf.Tensor
"""Numbers, nested lists of them, an array or a tensor."""

DTypeLike: TypeAlias = str | npt.DTypeLike | tf.DType
"""A dtype of TensorFlow or NumPy, or its name, such as "float64"."""
