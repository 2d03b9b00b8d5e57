"""Which eigenvalues count as one, and the quotients that stay finite there."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from eigenfit.eigen.rounding import epsilon


def check_tolerances(atol: Any, rtol: Any) -> tuple[float, float | None]:
    """Checks the tolerances by which a caller sets the width of a cluster.

    Raises:
        ValueError: If one is negative or not a finite number.
    """
    atol = _tolerance("degenerate_atol", atol)
    return atol, None if rtol is None else _tolerance("degenerate_rtol", rtol)


def _tolerance(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(
            f"`{name}` must be a finite number of 0 or greater, got {value!r}."
        )
    return number


def cluster_width(
    w: tf.Tensor, atol: float = 0.0, rtol: float | None = None
) -> tf.Tensor:
    """Computes `atol + rtol max |w|`, `[...]` from `[..., n]`.

    By default rtol is eps^0.6, 4e-10 in double precision (as in M. F. Kasim,
    arXiv:2011.04366). A level has an error of a few eps, so that a quotient by a wider
    gap is correct to 1e-6; a double level computed a few eps apart lies well inside.
    """
    if rtol is None:
        rtol = epsilon(w.dtype) ** 0.6
    largest = tf.reduce_max(tf.abs(w), axis=-1)
    return tf.constant(atol, w.dtype) + tf.constant(rtol, w.dtype) * largest


def rounding_width(w: tf.Tensor) -> tf.Tensor:
    """Bounds how far rounding splits a double level: `(8 + n) eps max |w|`, `[...]`.

    Matrices of orders 2 to 200 reached at most half of it. Levels further apart are
    two, though a quotient by their gap has the error of the levels over the gap.
    """
    return cluster_width(w, 0.0, (8 + w.shape[-1]) * epsilon(w.dtype))


def pairwise(x: tf.Tensor) -> tf.Tensor:
    """Computes `x_i - x_j`: `[..., n, n]` from `[..., n]`."""
    return x[..., :, tf.newaxis] - x[..., tf.newaxis, :]


def same_cluster(w: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Marks pairs in one cluster, `[..., n, n]`; the diagonal is always marked."""
    return tf.abs(pairwise(w)) <= width[..., tf.newaxis, tf.newaxis]


def nan_where(mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Replaces marked entries by NaN."""
    return tf.where(mask, tf.cast(float("nan"), x.dtype), x)


def loewner(
    w: tf.Tensor,
    t: tf.Tensor,
    c: tf.Tensor,
    width: tf.Tensor,
    positive: bool = False,
) -> tf.Tensor:
    """Computes `L_ij = (g_i - g_j) / (w_i - w_j)` for `g = 2 c (w - t)`.

    Written out it is `c_i + c_j - N_ij / (w_i - w_j)` with
    `N_ij = (c_i + c_j) (t_i - t_j) - (c_i - c_j) (w_i + w_j - t_i - t_j)`, which is
    zero where weights and targets agree, so that nothing is divided. Inside a cluster
    targets agree when they differ by no more than its width, since their difference
    may be rounding as well. Where targets or weights do not agree, coinciding levels
    make a kink.

    Args:
        w: `[..., n]`, ascending eigenvalues.
        t: `[..., n]`, targets.
        c: `[..., n]`, weights; a level of weight 0 has no target.
        width: `[...]`, width of a cluster.
        positive: Returns `max(L, 0)`, with a finite value at a kink: 0 where L goes to
            minus infinity, as for targets further apart than their levels, and
            `c_i + c_j` where it goes to plus infinity or has no limit.

    Returns:
        `[..., n, n]`, symmetric, `2 c_i` on its diagonal; NaN at a kink.
    """
    t = tf.where(c == 0, tf.zeros_like(t), t)
    total = c[..., :, tf.newaxis] + c[..., tf.newaxis, :]
    excess = w - t
    excess = excess[..., :, tf.newaxis] + excess[..., tf.newaxis, :]
    N = total * pairwise(t) - pairwise(c) * excess
    inside = same_cluster(w, width)
    agree = (pairwise(t) == 0) | (inside & same_cluster(t, width))
    same = (pairwise(c) == 0) & agree
    kink = ~same & inside
    gap = tf.where(same | kink, tf.ones_like(N), pairwise(w))
    L = total - tf.where(same | kink, tf.zeros_like(N), N / gap)
    if not positive:
        return nan_where(kink, L)
    index = tf.range(tf.shape(w)[-1])
    rising = pairwise(2 * c * (w - t)) * tf.cast(tf.sign(pairwise(index)), w.dtype)
    return tf.maximum(tf.where(kink & (rising < 0), tf.zeros_like(L), L), 0)
