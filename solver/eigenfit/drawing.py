"""From where random starts of a linear structure are drawn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.problem import Problem

_CENTRE_STEPS = 50
"""Steps of conjugate gradients for the centre of the starts; one is often exact."""


def natural_draw(problem: Problem) -> str:
    """Names the distribution of natural starts.

    `bounds`: between the bounds of the parameters; `scales`: normal, with the sizes
    that were given for them as standard deviations; `spectrum`: spectra of the size of
    the targets; `standard-normal`: where nothing is known.

    Example:
        >>> from eigenfit import Symmetric
        >>> natural_draw(Problem(Symmetric(2)))
        'spectrum'
    """
    if problem.bounds is not None:
        return "bounds"
    if problem.scales is not None:
        return "scales"
    structure = problem.structure
    known = structure.is_linear and structure.squared_norms() is not None
    return "spectrum" if problem.is_plain and known else "standard-normal"


def natural_starts(
    problem: Problem, targets: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws starts, `[number, p]`; see `eigenfit.multistart` for the formulas.

    Args:
        problem: What is fitted.
        targets: `[m]`.
        number: Of starts; the first of more are the same.
        rng: Is used up.
    """
    name = natural_draw(problem)
    if name == "bounds":
        assert problem.bounds is not None
        return in_box(rng, number, *problem.bounds)
    normal = rng.standard_normal([number, problem.num_parameters])
    if name == "scales":
        return normal * problem.scales
    if name == "spectrum":
        centre, spread = starting_cloud(problem, np.asarray(targets, np.float64))
        return centre + spread * normal / scale_of(problem)
    return normal


def scale_of(problem: Problem) -> np.ndarray:
    """Gives the natural scales of parameters, `[p]`.

    One over the sizes that were given for them; else `|dA/dr_k|` where that is constant
    (1 where it is zero), else the inverse widths of bounds, else 1.
    """
    if problem.scales is not None:
        return 1 / problem.scales
    squares = problem.structure.squared_norms() if problem.is_plain else None
    if squares is None:
        scale = np.ones(problem.num_parameters)
        if problem.bounds is not None:
            width = problem.bounds[1] - problem.bounds[0]
            scale = np.where(np.isfinite(width), 1 / width, 1.0)
        return scale
    return np.where(squares > 0, np.sqrt(squares), 1.0)


def starting_cloud(problem: Problem, targets: np.ndarray) -> tuple[np.ndarray, float]:
    """Finds where a linear structure has spectra like the targets.

    Args:
        problem: Of a linear structure with known `squared_norms`.
        targets: `[m]`.

    Returns:
        Centre `[p]` and standard deviation, that of the parameters times `scale_of`;
        see `eigenfit.multistart` for the formulas.
    """
    # Conjugate gradients on A_k / |A_k|, without the p x p matrix.
    structure, scale = problem.structure, scale_of(problem)
    zero = tf.zeros([structure.num_parameters], structure.parameter_dtype)

    def adjoint(G: tf.Tensor) -> np.ndarray:
        return structure.pullback(zero, G).numpy().astype(np.float64) / scale

    def apply(y: np.ndarray) -> tf.Tensor:
        vector = tf.constant(y / scale, structure.parameter_dtype)
        return structure.pushforward(zero, vector)

    identity = tf.eye(problem.order, dtype=structure.dtype)
    wanted = tf.cast(targets.mean(), structure.dtype) * identity
    wanted -= structure.assemble(zero)
    y = np.zeros(structure.num_parameters)
    direction = residual = adjoint(wanted)
    square = enough = residual @ residual
    for _ in range(_CENTRE_STEPS):
        if square <= 1e-12 * enough:
            break
        image = adjoint(apply(direction))
        step = square / (direction @ image)
        y, residual = y + step * direction, residual - step * image
        square, before = residual @ residual, square
        direction = residual + square / before * direction
    rest = np.linalg.norm(wanted - apply(y)) ** 2
    variance = max(targets.var(), targets.mean() ** 2 / 100) or 1.0
    total = problem.order * variance
    sigma = np.sqrt(max(total - rest, total / 4) / structure.num_parameters)
    return y / scale, float(sigma)


def in_box(
    rng: np.random.Generator, number: int, lower: np.ndarray, upper: np.ndarray
) -> np.ndarray:
    """Draws starts between bounds, `[number, p]`; see `eigenfit.multistart`."""
    shape = (number, len(lower))
    first, second, third = rng.spawn(3)
    uniform, normal = first.uniform(size=shape), second.standard_normal(shape)
    distance = third.exponential(size=shape)
    has_lower, has_upper = np.isfinite(lower), np.isfinite(upper)
    low, high = np.where(has_lower, lower, 0.0), np.where(has_upper, upper, 0.0)
    above = low + distance * np.maximum(1.0, np.abs(low))
    below = high - distance * np.maximum(1.0, np.abs(high))
    inside = low + uniform * (high - low)
    both, none = has_lower & has_upper, ~has_lower & ~has_upper
    single = np.where(has_lower, above, below)
    return np.where(both, inside, np.where(none, normal, single))
