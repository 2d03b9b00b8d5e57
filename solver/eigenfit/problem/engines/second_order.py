"""The Hessian of a loss that depends on the levels of several matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from eigenfit.eigen import cluster_width, epsilon, from_spectrum, rounding_width
from eigenfit.eigen.clusters import pairwise
from eigenfit.problem.unknowns.ties import Ties
from eigenfit.structures import AbstractStructure


def spectral_hessian(
    structures: Sequence[AbstractStructure],
    ties: Ties,
    parameters: tf.Tensor,
    spectra: tuple[tf.Tensor, Sequence[tf.Tensor], tf.Tensor],
    by_levels: tuple[tf.Tensor, tf.Tensor],
) -> tf.Tensor:
    """Computes the Hessian by the unknowns, `[..., p, p]`, exact in clusters.

    For a loss F of all levels, with `g = dF/dlambda`, F'' its second derivatives and
    the derivatives J of the levels,

        H_kl = (J^T F'' J)_kl + sum_blocks sum_{i != j} L_ij Re((V^H A_k V)_ij
               conj(V^H A_l V)_ij) + <V diag(g) V^H, d2A/dr_k dr_l>

    with `L_ij = (g_i - g_j) / (lambda_i - lambda_j)`, and `F''_ii - F''_ij` where two
    levels coincide and F does not tell them apart (A. S. Lewis & H. S. Sendov, SIAM
    J. Matrix Anal. Appl. 23 (2001) 368-386). Where it does, to first or second order,
    the member gets NaN.

    Args:
        structures: Structure of each matrix.
        ties: Of the parameters of the matrices to the unknowns.
        parameters: `[..., P]`, those of the matrices.
        spectra: All levels, `[..., N]`; the eigenvectors of each matrix, `[..., n, n]`;
            the derivatives of all levels by the unknowns, `[..., N, p]`.
        by_levels: The derivatives g `[..., N]` and F'' `[..., N, N]`.
    """
    levels, vectors, J = spectra
    g, second = by_levels
    H = tf.linalg.matmul(J, tf.linalg.matmul(second, J), transpose_a=True)
    start = 0
    for structure, V in zip(structures, vectors, strict=True):
        end = start + structure.order
        w = levels[..., start:end]
        L = _quotients(w, g[..., start:end], second[..., start:end, :], start)
        D = ties.pull_matrices(structure.rotated_derivatives(parameters, V))
        weighted = D * tf.cast(L, D.dtype)[..., tf.newaxis, :, :]
        H += tf.math.real(tf.einsum("...kij,...lij->...kl", weighted, tf.math.conj(D)))
        if not structure.is_linear:
            C = structure.curvature(parameters, from_spectrum(V, g[..., start:end]))
            H += ties.pull_twice(C)
        start = end
    return H


def by_levels(
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    number: int,
    levels: tf.Tensor,
    targets: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Differentiates a loss by the levels: `[..., N]` and `[..., N, N]`.

    Args:
        loss: The function F of levels and targets.
        number: N.
        levels: `[..., N]`.
        targets: `[..., m]`.
    """
    w = tf.stop_gradient(levels)
    shape = tf.concat([tf.shape(w), [number]], axis=0)
    copies = tf.broadcast_to(w[..., tf.newaxis, :], shape)
    own = tf.concat([tf.shape(w), tf.shape(targets)[-1:]], axis=0)
    targets = tf.broadcast_to(targets[..., tf.newaxis, :], own)
    with tf.GradientTape() as outer:
        outer.watch(copies)
        with tf.GradientTape() as inner:
            inner.watch(copies)
            value = loss(copies, targets)
        gradient = inner.gradient(value, copies)
        # Row k of each copy k: its derivative is row k of the second derivatives.
        rows = tf.linalg.diag_part(gradient)
    second = outer.gradient(
        rows, copies, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return tf.linalg.diag_part(gradient), second


def _quotients(w: tf.Tensor, g: tf.Tensor, rows: tf.Tensor, start: int) -> tf.Tensor:
    # L off the diagonal, zero on it: [..., n, n]; `rows` are those of F'', [..., n, N].
    gap, rise = pairwise(w), pairwise(g)
    second = rows[..., start : start + w.shape[-1]]
    width = rounding_width(w)[..., tf.newaxis, tf.newaxis]
    close = tf.abs(gap) <= width
    diagonal = tf.linalg.diag_part(second)
    mean = (diagonal[..., :, tf.newaxis] + diagonal[..., tf.newaxis, :]) / 2
    limit = mean - second
    # F tells two levels apart if its derivatives differ by more than their gap allows,
    # or its second derivatives change when the two are exchanged. With a random z and
    # y = F'' z that is where y_i - y_j is not (F''_ii - F''_ij) (z_i - z_j).
    size = tf.abs(diagonal)
    size = size[..., :, tf.newaxis] + size[..., tf.newaxis, :]
    alike = tf.abs(rise) <= 2 * size * width
    z = np.random.default_rng(0).uniform(1.0, 2.0, rows.shape[-1])
    y = tf.linalg.matvec(rows, tf.constant(z, w.dtype))
    own = tf.constant(np.subtract.outer(*[z[start : start + w.shape[-1]]] * 2), w.dtype)
    least = epsilon(w.dtype) ** 0.3 * size
    alike &= tf.abs(pairwise(diagonal)) <= least
    alike &= tf.abs(pairwise(y) - limit * own) <= least
    nan = tf.constant(float("nan"), w.dtype)
    inside = tf.where(alike, limit, nan)
    # For wider gaps too the limit is better than a quotient that equals it to rounding.
    near = tf.abs(gap) <= cluster_width(w)[..., tf.newaxis, tf.newaxis]
    largest = tf.reduce_max(tf.abs(w), axis=-1)[..., tf.newaxis, tf.newaxis]
    slopes = tf.abs(g)[..., :, tf.newaxis] + tf.abs(g)[..., tf.newaxis, :]
    unsure = 16 * epsilon(w.dtype) * (slopes + size * largest)
    near &= tf.abs(rise - limit * gap) <= unsure
    L = tf.where(near, limit, rise / tf.where(close, tf.ones_like(gap), gap))
    L = tf.where(close, inside, L)
    return tf.linalg.set_diag(L, tf.zeros_like(w))
