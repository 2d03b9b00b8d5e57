"""Random starts drawn inside the exported graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from eigenfit import Problem
from eigenfit.searches.starts import (
    natural_draw,
    natural_sizes,
    over_periods,
    scale_of,
    starting_cloud,
)
from eigenfit_export.philox import random_bits
from eigenfit_export.starts import Start

Draw = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def drawing(problem: Problem, start: Start | None = None) -> Draw:
    """Makes the function that draws a start for each member.

    The natural distribution is that of `eigenfit.multistart`, but the generator is
    another: Philox counters (Salmon et al., SC 2011), the same on every device and
    under XLA. A member's draw depends on its own seed and targets only.

    Args:
        problem: Problem to fit.
        start: Distribution of the starts; the natural one by default, and also if
            `start` holds given starts.

    Returns:
        A function of `seed [b]` int32 and `targets [b, m]` that returns `[b, p]`.

    Example:
        >>> import eigenfit as ef
        >>> draw = drawing(ef.Problem(ef.Symmetric(2)))
        >>> r = draw(tf.constant([7, 8, 7]), tf.constant([[0.0, 1.0]] * 3, tf.float64))
        >>> r.shape.as_list(), bool(tf.reduce_all(r[0] == r[2]))
        ([3, 3], True)
    """
    if start is not None and start.kind == "uniform":
        return _uniform(problem, np.array(start.low), np.array(start.high))
    if start is not None and start.kind == "normal":
        return _around(problem, np.array(start.centre), np.array(start.sigma))
    return _over_periods(problem, _natural(problem))


def _natural(problem: Problem) -> Draw:
    name = natural_draw(problem)
    if name == "bounds":
        assert problem.bounds is not None
        return _in_box(problem, *problem.bounds)
    if name == "spectrum":
        return _in_cloud(problem)
    sizes = _sizes(problem)
    return lambda seed, targets: sizes(targets) * _normal(problem, seed)


def _over_periods(problem: Problem, draw: Draw) -> Draw:
    free = over_periods(problem)
    if problem.periods is None or not free.any():
        return draw
    T = tf.constant(np.where(free, problem.periods, 0.0), problem.parameter_dtype)

    def drawn(seed: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        uniform = tf.cast(_unit(problem, seed, 1) - 0.5, T.dtype)
        return tf.where(free, uniform * T, draw(seed, targets))

    return drawn


def _sizes(problem: Problem) -> Callable[[tf.Tensor], tf.Tensor]:
    # A function from targets `[b, m]` to sizes of the parameters, `[b, p]` or `[p]`.
    dtype = problem.parameter_dtype
    sizes = natural_sizes(problem)
    if problem.scales is not None or sizes is None:
        given = np.ones(problem.num_parameters)
        if problem.scales is not None:
            given = np.asarray(problem.scales)
        return lambda targets: tf.constant(given, dtype)
    each, known = sizes
    places = np.flatnonzero(known)

    def of(targets: tf.Tensor) -> tf.Tensor:
        own = tf.abs(tf.gather(targets, places, axis=-1))
        largest = tf.reduce_max(own, axis=-1, keepdims=True)
        largest = tf.where(largest > 0, largest, tf.ones_like(largest))
        return largest * tf.constant(each, dtype)

    return of


def _uniform(problem: Problem, low: np.ndarray, high: np.ndarray) -> Draw:
    dtype = problem.parameter_dtype

    def draw(seed: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        del targets
        uniform = tf.cast(_unit(problem, seed, 1), dtype)
        inside = tf.constant(low, dtype) + uniform * tf.constant(high - low, dtype)
        return problem.limit(inside)

    return draw


def _around(problem: Problem, centre: np.ndarray, sigma: np.ndarray) -> Draw:
    dtype = problem.parameter_dtype

    def draw(seed: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        del targets
        away = tf.constant(sigma, dtype) * _normal(problem, seed)
        return problem.limit(tf.constant(centre, dtype) + away)

    return draw


def _in_cloud(problem: Problem) -> Draw:
    # The centre, a least-squares solution of A(r) = mu I, is linear in mu.
    m, dtype = problem.num_targets, problem.parameter_dtype
    at_zero = starting_cloud(problem, np.zeros(m))[0]
    slope = starting_cloud(problem, np.ones(m))[0] - at_zero
    scale = scale_of(problem)

    def draw(seed: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(targets, axis=-1)
        square = tf.math.reduce_variance(targets, axis=-1)
        variance = tf.maximum(square, tf.square(mean) / 100)
        centre = tf.constant(at_zero, dtype)
        centre += mean[:, tf.newaxis] * tf.constant(slope, dtype)
        A = problem.structure.assemble(centre)
        identity = tf.eye(problem.order, dtype=A.dtype)
        off = A - tf.cast(mean, A.dtype)[:, tf.newaxis, tf.newaxis] * identity
        rest = tf.reduce_sum(tf.square(tf.abs(off)), axis=[-2, -1])
        total = problem.order * variance
        alone = tf.where(rest > 0, 4 * rest, float(problem.order) + 0 * rest)
        total = tf.where(total > 0, total, alone)
        share = tf.maximum(total - rest, total / 4) / problem.num_parameters
        spread = tf.sqrt(share)[:, tf.newaxis]
        return centre + spread * _normal(problem, seed) / tf.constant(scale, dtype)

    return draw


def _in_box(problem: Problem, lower: np.ndarray, upper: np.ndarray) -> Draw:
    dtype = problem.parameter_dtype
    has_lower, has_upper = np.isfinite(lower), np.isfinite(upper)
    low, high = np.where(has_lower, lower, 0.0), np.where(has_upper, upper, 0.0)
    # With a single bound, the distance from it is exponential, above or below.
    base = np.where(has_lower, low, high)
    sign = tf.constant(np.where(has_lower, 1.0, -1.0), dtype)
    sizes = _sizes(problem)

    def draw(seed: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        size = sizes(targets)
        reach = sign * tf.maximum(size, tf.constant(np.abs(base), dtype))
        uniform = tf.cast(_unit(problem, seed, 1), dtype)
        # In float64, in which the draw is never 1.
        distance = tf.cast(-tf.math.log1p(-_unit(problem, seed, 2)), dtype)
        single = tf.constant(base, dtype) + distance * reach
        inside = tf.constant(low, dtype) + uniform * tf.constant(high - low, dtype)
        bounded = tf.where(has_lower & has_upper, inside, single)
        free = ~has_lower & ~has_upper
        # Rounding may land on the wrong side of a bound.
        return problem.limit(tf.where(free, size * _normal(problem, seed), bounded))

    return draw


def _normal(problem: Problem, seed: tf.Tensor) -> tf.Tensor:
    # Box and Muller, Ann. Math. Statist. 29 (1958).
    first, second = _unit(problem, seed, 0), _unit(problem, seed, 3)
    normal = tf.sqrt(-2 * tf.math.log(first)) * tf.cos(2 * np.pi * second)
    return tf.cast(normal, problem.parameter_dtype)


def _unit(problem: Problem, seed: tf.Tensor, stream: int) -> tf.Tensor:
    """Draws float64 numbers between 0 and 1, never 0 or 1, `[b, p]`.

    TensorFlow's kernels and XLA agree on random integers, but convert them to floats
    differently.
    """
    p = problem.num_parameters
    bits = tf.reshape(random_bits(seed, stream, 2 * p), [-1, p, 2])
    high, low = (
        tf.cast(tf.bitwise.right_shift(bits[..., k], 6), tf.float64) for k in (0, 1)
    )  # 26 bits
    return (high * 2**26 + low + 0.5) / 2**52
