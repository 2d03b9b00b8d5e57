"""How large residuals are by nature, and how well rounding lets them be known."""

from __future__ import annotations

import functools
import math

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.observations import Spectrum
from eigenfit.problem.evaluations import Evaluation
from eigenfit.problem.lengths import matrices_at
from eigenfit.problem.problem import Problem
from eigenfit.problem.unknowns.ties import Ties
from eigenfit.structures import AbstractStructure

_MOST_NUMBERS = 2**16
"""Most numbers in the matrices dA/dr_k for their norms to be computed in a fit."""


def natural_size(
    problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes the natural size of residuals, by which they count as small.

    With u the largest magnitude of the targets of an observation, or of the values
    that the norm of the matrix allows if all are 0, a residual has the natural size
    `root_i u`, where `root_i` is the root of its weight; with a robust loss, what that
    makes of it.

    Args:
        problem: The problem to fit.
        parameters: `[..., p]`, where the matrix is evaluated.
        targets: `[..., m]`.

    Returns:
        A unit for residuals, `[...]`: the largest size, or what the matrix allows
        if that is larger (by up to 1e92, 1e11 in single precision), 1 if it is 0
        or not finite; and the norm of all sizes, in this unit.
    """
    norms = problem.engine.norms(parameters)
    size = _sizes(problem, norms, targets)
    allowed = _sizes(problem, norms, tf.zeros_like(targets))
    largest = tf.reduce_max(tf.maximum(size, allowed), axis=-1)
    # Squares of residuals far below the targets must not underflow either, however
    # large the matrix is at the start.
    own = tf.reduce_max(size, axis=-1) * size.dtype.max**0.3
    largest = tf.where(own > 0, tf.minimum(largest, own), largest)
    usable = (largest > 0) & tf.math.is_finite(largest)
    unit = tf.where(usable, largest, tf.ones_like(largest))
    # A power of two, so that dividing by it rounds nothing.
    exponent = tf.round(tf.math.log(unit) / math.log(2))
    unit = tf.pow(tf.constant(2, unit.dtype), exponent)
    return unit, tf.norm(size / unit[..., tf.newaxis], axis=-1)


def sizes_of_parts(
    problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
) -> tf.Tensor:
    """Computes the natural size of each observation's residual: `[..., o]`.

    As `natural_size`, in the unit of residuals, but for each observation alone,
    since one in other units must not hide that another is missed. Targets that
    are all 0 have no size: the machine epsilon times what the matrix allows is
    used, which is far below what can be met by chance.

    Args:
        problem: The problem to fit.
        parameters: `[..., p]`, where the matrix is evaluated.
        targets: `[..., m]`.
    """
    least = [epsilon(targets.dtype) * x for x in problem.engine.norms(parameters)]
    size = _sizes(problem, least, targets)
    return norms_of_parts(problem, problem.in_own_unit(size))


def norms_of_parts(problem: Problem, x: tf.Tensor) -> tf.Tensor:
    """Computes the norm of each observation's part of `[..., m + q]`: `[..., o]`.

    Priors have no part.
    """
    parts = [part for _, _, part in problem.terms]
    if len(parts) == 1:
        return tf.norm(x[..., parts[0]], axis=-1, keepdims=True)
    largest = tf.stack(
        [tf.reduce_max(tf.abs(x[..., part]), axis=-1) for part in parts], -1
    )
    # Squares of what is small compared with another observation may underflow.
    unit = tf.where(largest > 0, largest, tf.ones_like(largest))
    norms = [
        tf.norm(x[..., part] / unit[..., k : k + 1], axis=-1)
        for k, part in enumerate(parts)
    ]
    return unit * tf.stack(norms, axis=-1)


def rounding(problem: Problem, eigenvalues: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the norm of a residual that rounding of the levels may hide: `[...]`.

    A level is known to `2 eps max |lambda|` of its matrix; each observation turns
    that into an error of its values.

    Args:
        problem: The problem to fit.
        eigenvalues: `[..., N]`, all levels.
        targets: `[..., m]`.
    """
    errors = [_level_errors(w) for w in problem.split(eigenvalues)]
    errors = value_errors(problem, eigenvalues, tf.concat(errors, axis=-1), targets)
    return tf.norm(problem.in_own_unit(errors), axis=-1)


def rounding_at(problem: Problem, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
    """Returns each value's rounding from backward errors at a point: `[..., m]`.

    This is far less than `rounding` where the observed levels are far below the
    largest.

    Args:
        problem: The problem to fit.
        point: Result of its `evaluate` for the same targets.
        targets: `[..., m]`.
    """
    r = problem.of_blocks(point.parameters)
    errors = [
        Spectrum(structure, r, w, V, w).backward_errors
        for structure, w, V in matrices_at(problem, point)
    ]
    errors = value_errors(
        problem, point.eigenvalues, 2 * tf.concat(errors, axis=-1), targets
    )
    return problem.in_own_unit(errors)


def value_errors(
    problem: Problem, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
) -> tf.Tensor:
    """Bounds the effect of level errors on the weighted residual: `[..., m]`.

    Args:
        problem: The problem to fit.
        eigenvalues: `[..., N]`, all levels.
        errors: `[..., N]`, their largest errors, far below the gaps.
        targets: `[..., m]`.
    """
    of_block = problem.engine.of_block
    own = problem.observed.rounding(of_block(eigenvalues), of_block(errors), targets)
    return problem.as_residual(problem.weighted(own))


def typical_residual(problem: Problem, deviation: float) -> tf.Tensor:
    """Computes the root mean square of what losses make of one weighted deviation.

    Args:
        problem: The problem to fit.
        deviation: That of all targets, in standard deviations where these are known.
    """
    same = tf.constant(deviation, problem.parameter_dtype, [problem.num_targets])
    return tf.sqrt(tf.reduce_mean(problem.as_residual(same) ** 2))


def most_squared(problem: Problem, point: Evaluation) -> tf.Tensor | None:
    """Bounds the squared column norms of the Jacobian, roughly: `[..., p]`.

    The bound adds up `|dA/dr_k|^2` at the parameters times the largest squared
    derivative of a value by a level over the blocks, and the priors; None if these
    matrices take too much memory. What mode shapes add is left out.

    Args:
        problem: The problem to fit.
        point: Where the Jacobian is.
    """
    r, T = problem.of_blocks(point.parameters), problem.block_ties.matrix
    total = tf.zeros_like(point.parameters)
    levels = problem.engine.of_block(point.eigenvalues)
    for k, block in enumerate(problem.blocks):
        squares = derivative_norms(block.structure, r)
        if squares is None:
            return None
        if T is not None:
            squares = Ties(T**2).pull(squares)
        total += problem.observed.steepness(k, levels) ** 2 * squares
    if problem.prior is not None:
        rows = problem.prior.extend_jacobian(tf.zeros_like(total)[..., tf.newaxis, :])
        total += tf.reduce_sum(tf.square(rows), axis=-2)
    return problem.in_own_unit(total, 2)


def derivative_norms(
    structure: AbstractStructure, parameters: tf.Tensor
) -> tf.Tensor | None:
    """Computes `|dA/dr_k|^2` (Frobenius), `[..., p]`; None if that takes much memory.

    Args:
        structure: Structure of the matrix.
        parameters: `[..., p]`.
    """
    known = structure.squared_norms()
    if known is not None:
        return tf.zeros_like(parameters) + tf.constant(known, parameters.dtype)
    p = structure.num_parameters
    if p * structure.order**2 > _MOST_NUMBERS:
        return None
    shape = tf.concat([tf.shape(parameters), [p]], axis=0)
    copies = tf.broadcast_to(parameters[..., tf.newaxis, :], shape)
    directions = tf.broadcast_to(tf.eye(p, dtype=parameters.dtype), shape)
    D = structure.pushforward(copies, directions)
    return tf.reduce_sum(tf.square(tf.abs(D)), axis=[-2, -1])


def _level_errors(eigenvalues: tf.Tensor) -> tf.Tensor:
    # Rounding of the levels [..., n] of one matrix.
    largest = tf.reduce_max(tf.abs(eigenvalues), axis=-1, keepdims=True)
    return tf.zeros_like(eigenvalues) + 2 * epsilon(eigenvalues.dtype) * largest


def _sizes(problem: Problem, norms: list[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
    # Natural size of each value; from `norms` if all targets are 0.
    largest = functools.reduce(tf.maximum, norms)
    sizes = problem.observed.natural_sizes(
        lambda block: largest if block is None else norms[block], targets
    )
    return problem.as_residual(problem.weighted(sizes))
