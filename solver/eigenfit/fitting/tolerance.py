"""When residuals count as small: their unit, and the default tolerance."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.problem.problem import Problem
from eigenfit.problem.sizes import natural_size, sizes_of_parts

_RTOL = {tf.float64: 1e-10, tf.float32: 1e-5}
"""Residual, relative to its natural size, at which targets are met by default."""


class Scales(NamedTuple):
    """Scales of each member; the loop measures residuals in its unit."""

    unit: tf.Tensor  # [b] unit of residuals: their largest natural size
    size: tf.Tensor  # [b] smallest natural size of an observation, in this unit


def scales_of(problem: Problem, initial: tf.Tensor, targets: tf.Tensor) -> Scales:
    """Measures members by their targets, and where these are 0 by their starts."""
    unit, _ = natural_size(problem, initial, targets)
    sizes = sizes_of_parts(problem.in_unit(unit), initial, targets)
    if sizes.shape[-1] == 1:
        return Scales(unit, sizes[..., 0])
    # An observation without weight has no size.
    size = tf.reduce_min(tf.where(sizes > 0, sizes, sizes.dtype.max), axis=-1)
    return Scales(unit, tf.where(size < sizes.dtype.max, size, tf.zeros_like(size)))


def relative_tolerance(problem: Problem, size: tf.Tensor, unit: tf.Tensor) -> tf.Tensor:
    """Returns the default residual norm for convergence, given its natural size.

    Both are in `unit`. With standard deviations or priors residuals are measured in
    these, so that the norm is also limited to a small fraction of them.
    """
    rtol = _RTOL[size.dtype]
    if problem.has_errors:
        return tf.minimum(rtol * size, rtol**0.6 / unit)
    return rtol * size
