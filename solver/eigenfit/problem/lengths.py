"""How far each parameter can move before the spectrum changes altogether."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import rounding_width
from eigenfit.eigen.clusters import pairwise
from eigenfit.problem.problem import Problem

_PROBES = 4


def lengths(problem: Problem, point: Any) -> tf.Tensor:
    """Estimates the distance over which levels and modes change, `[..., p]`.

    It is the change of a parameter that changes a matrix by as much as its levels are
    apart: `1 / max_ij |v_i^H dA/dr_k v_j| / |lambda_i - lambda_j|`, or the root of the
    same with the second derivatives where that is shorter. Units of parameters and
    levels drop out. The sizes of all matrix elements are estimated from a few products
    with random signs.

    Args:
        problem: A problem with one or several matrices.
        point: Result of its `evaluate`.

    Returns:
        `[..., p]`; 0 for a parameter on which no matrix depends.
    """
    rng = np.random.default_rng(0)
    r = problem.of_blocks(point.parameters)
    r = tf.repeat(r[..., tf.newaxis, :], _PROBES, axis=-2)
    ties, rates = problem.block_ties, []
    for structure, w, V in matrices_at(problem, point):
        n = w.shape[-1]
        signs = np.triu(rng.choice([-1.0, 1.0], [_PROBES, n, n]))
        signs += np.triu(signs, 1).transpose(0, 2, 1)
        inverse = _inverse_gaps(w)[..., tf.newaxis, :, :]
        V = V[..., tf.newaxis, :, :]
        Z = tf.cast(inverse * tf.constant(signs, inverse.dtype), V.dtype)
        G = tf.linalg.matmul(V, tf.linalg.matmul(Z, V, adjoint_b=True))
        rates.append(tf.abs(ties.pull(structure.pullback(r, G))))
        if not structure.is_linear:
            C = ties.pull_twice(structure.curvature(r, G))
            rates.append(tf.sqrt(tf.abs(tf.linalg.diag_part(C))))
    rate = tf.reduce_max(tf.concat(rates, axis=-2), axis=-2)
    moves = (rate > 0) & tf.math.is_finite(rate)
    length = 1 / tf.where(moves, rate, tf.ones_like(rate))
    return tf.where(moves, length, tf.zeros_like(rate))


def matrices_at(problem: Problem, point: Any) -> list[tuple[Any, tf.Tensor, tf.Tensor]]:
    """Gives structure, levels `[..., n]` and eigenvectors of each matrix."""
    levels = problem.split(point.eigenvalues)
    return [
        (block.structure, levels[k], problem.eigenvectors_of(k, point))
        for k, block in enumerate(problem.blocks)
    ]


def _inverse_gaps(w: tf.Tensor) -> tf.Tensor:
    # 1 / |w_i - w_j|; inside a cluster and on the diagonal, 1 / the largest level.
    largest = tf.reduce_max(tf.abs(w), axis=-1)
    largest = tf.where(largest > 0, largest, tf.ones_like(largest))
    gap = tf.abs(pairwise(w))
    width = rounding_width(w)[..., tf.newaxis, tf.newaxis]
    return 1 / tf.where(gap > width, gap, largest[..., tf.newaxis, tf.newaxis])
