"""Distributions from which random starts are drawn."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.observations import AbstractCombination, FreeShift, Levels
from eigenfit.problem.problem import Problem
from eigenfit.structures import Reparametrized

_CENTRE_STEPS = 50
"""Most conjugate-gradient steps for the centre of the starts; one often suffices."""


def natural_draw(problem: Problem) -> str:
    """Names the distribution of natural starts.

    `bounds`: between the bounds of the parameters; `scales`: normal, with the given
    scales as standard deviations; `spectrum`: spectra of the size of the targets;
    `sizes`: normal, each parameter alone giving levels of that size;
    `standard-normal`: used if nothing is known.

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
    if problem.observation is not None and known:
        return "spectrum"
    return "standard-normal" if natural_sizes(problem) is None else "sizes"


def natural_starts(
    problem: Problem, targets: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws starts, `[number, p]`; see `eigenfit.multistart` for the formulas.

    Args:
        problem: The problem to fit.
        targets: `[m]`.
        number: Number of starts; a larger number begins with the same starts.
        rng: Random generator; its state is advanced.
    """
    name, targets = natural_draw(problem), np.asarray(targets, np.float64)
    turns = rng.spawn(1)[0]
    if name == "bounds":
        assert problem.bounds is not None
        drawn = in_box(rng, number, *problem.bounds, _sizes(problem, targets))
    else:
        drawn = rng.standard_normal([number, problem.num_parameters])
        if name == "spectrum":
            centre, spread = starting_cloud(problem, targets)
            drawn = centre + spread * drawn / scale_of(problem)
        else:
            drawn *= _sizes(problem, targets)
    free = over_periods(problem)
    if problem.periods is None or not free.any():
        return drawn
    T = np.where(free, problem.periods, 0.0)
    return np.where(free, turns.uniform(-0.5, 0.5, drawn.shape) * T, drawn)


def over_periods(problem: Problem) -> np.ndarray:
    """Returns which unknowns natural starts draw from a period, `[p]` bool.

    They are those with a period and without bounds, whatever `natural_draw` says.
    """
    if problem.periods is None:
        return np.zeros(problem.num_parameters, bool)
    free = np.isfinite(problem.periods)
    if problem.bounds is not None:
        free &= ~np.isfinite(problem.bounds).any(axis=0)
    return free


def natural_sizes(problem: Problem) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the sizes at which each parameter alone moves levels by a unit.

    They are `1 / sqrt(p max_b |dA_b/dr_k|^2 / n_b)` over the blocks b, 1 for a
    parameter without influence.

    Returns:
        `[p]`, and which targets are in the unit of levels, `[m]` bool; None if a
        structure is not linear or no target is in that unit.
    """
    m, p = problem.num_targets, problem.num_parameters
    known = np.zeros(m, bool)
    for _, observation, places in problem.terms:
        while isinstance(observation, FreeShift):
            observation = observation.observation
        known[places] = isinstance(observation, Levels | AbstractCombination)
    squares = np.zeros(p)
    for block in problem.blocks:
        structure = block.structure
        if problem.block_ties.matrix is not None:
            structure = Reparametrized(structure, problem.block_ties.matrix)
        own = structure.squared_norms() if structure.is_linear else None
        if own is None or not known.any():
            return None
        squares = np.maximum(squares, own / structure.order)
    return 1 / np.sqrt(p * np.where(squares > 0, squares, 1 / p)), known


def _sizes(problem: Problem, targets: np.ndarray) -> np.ndarray:
    # [p]; 1 if nothing is known.
    if problem.scales is not None:
        return problem.scales
    sizes = natural_sizes(problem)
    if sizes is None:
        return np.ones(problem.num_parameters)
    return sizes[0] * (np.abs(targets[sizes[1]]).max() or 1.0)


def scale_of(problem: Problem) -> np.ndarray:
    """Returns the natural scales of parameters, `[p]`.

    The inverse of the sizes given for them; else `|dA/dr_k|` if that is constant (1
    where it is zero), else the inverse widths of bounds, else 1.
    """
    if problem.scales is not None:
        return 1 / problem.scales
    squares = None
    if problem.observation is not None:
        squares = problem.structure.squared_norms()
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
        problem: A problem with a linear structure of known `squared_norms`.
        targets: `[m]`.

    Returns:
        Centre `[p]` and standard deviation of the parameters times `scale_of`; see
        `eigenfit.multistart` for the formulas.
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
    variance = max(targets.var(), targets.mean() ** 2 / 100)
    total = problem.order * variance or 4 * rest or float(problem.order)
    sigma = np.sqrt(max(total - rest, total / 4) / structure.num_parameters)
    return y / scale, float(sigma)


def in_box(
    rng: np.random.Generator,
    number: int,
    lower: np.ndarray,
    upper: np.ndarray,
    sizes: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Draws starts between bounds, `[number, p]`; see `eigenfit.multistart`.

    Args:
        rng: Random generator; streams are spawned from it.
        number: Number of starts.
        lower: `[p]`, lower bounds, -inf for none.
        upper: `[p]`, upper bounds, inf for none.
        sizes: `[p]`, sizes of parameters with one bound or none.
    """
    shape = (number, len(lower))
    first, second, third = rng.spawn(3)
    uniform, normal = first.uniform(size=shape), second.standard_normal(shape)
    distance = third.exponential(size=shape)
    has_lower, has_upper = np.isfinite(lower), np.isfinite(upper)
    low, high = np.where(has_lower, lower, 0.0), np.where(has_upper, upper, 0.0)
    above = low + distance * np.maximum(sizes, np.abs(low))
    below = high - distance * np.maximum(sizes, np.abs(high))
    inside = low + uniform * (high - low)
    both, none = has_lower & has_upper, ~has_lower & ~has_upper
    single = np.where(has_lower, above, below)
    return np.where(both, inside, np.where(none, sizes * normal, single))
