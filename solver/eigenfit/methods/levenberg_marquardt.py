"""Levenberg-Marquardt: the Gauss-Newton direction with damping by Nielsen's rule."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.methods.stepping import steps
from eigenfit.methods.stepping.damped_method import AbstractDamped
from eigenfit.problem.problem import Evaluation, Problem


class LevenbergMarquardt(AbstractDamped):
    """Damped Gauss-Newton steps: a handful for a problem that can be met.

    Each step minimises `|J d + residual|^2 + mu |D d|^2`. For damping, scales and the
    way a fit ends see `AbstractDamped`, whose arguments it takes.

    Args:
        initial_damping: Damping of the first step, relative to the largest squared
            norm of a scaled column.
        orthogonality: Cosine below which a residual counts as orthogonal to J.
        name: Name of the `tf.Module`.

    Example:
        >>> LevenbergMarquardt()
        LevenbergMarquardt(initial_damping=0.001)
    """

    def direction(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        J: tf.Tensor,
        norms: tf.Tensor,
        mu: tf.Tensor,
    ) -> tf.Tensor:
        """Solves the damped normal equations; see the base class."""
        del targets, norms
        return steps.direction(*steps.model(problem, point, J), mu)
