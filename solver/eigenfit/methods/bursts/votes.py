"""How far one descent of `Alternating` is trusted to have found the minimum."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.problem.sizes import natural_size, typical_residual

_MANY_DATA = 4
"""Data per unknown that a wrong minimum cannot nearly meet."""

_SMALL_MISFIT = 1e-2
"""Residual, relative to its natural size, that counts as small."""


def votes(
    problem: Problem, point: Evaluation, targets: tf.Tensor, wanted: int | None
) -> tf.Tensor:
    """Counts how many descents one to this point is worth, `[...]` int32.

    It is worth all that are wanted if priors hold the parameters, a bound stops one,
    the errors of the data explain the loss, or many data are nearly met: a wrong
    minimum would hardly do that.

    Args:
        problem: The problem to fit.
        point: Where the descent ended.
        targets: `[..., m]`.
        wanted: Number of descents that must agree; None for all.
    """
    one = tf.ones_like(point.loss, tf.int32)
    if wanted is None:
        return one
    if problem.num_priors:
        return one * wanted
    enough = tf.reduce_any(problem.on_bounds(point.parameters) != 0, axis=-1)
    if problem.has_sigma:
        freedom = max(problem.num_data - problem.num_parameters, 0)
        unit = 1 if problem.unit is None else problem.unit
        each = typical_residual(problem, 3**0.5) if problem.is_robust else 3**0.5
        enough |= tf.sqrt(point.loss) * unit <= freedom**0.5 * each
    elif problem.num_data >= _MANY_DATA * problem.num_parameters:
        unit, size = natural_size(problem, point.parameters, targets)
        size = problem.in_own_unit(unit) * size
        enough |= tf.sqrt(point.loss) <= _SMALL_MISFIT * size
    return tf.where(enough, wanted, one)
