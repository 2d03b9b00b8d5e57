"""Derivatives of eigenvalues along a direction, first and second order."""

from __future__ import annotations

import functools
from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen.clusters import check_tolerances, cluster_width, pairwise
from eigenfit.eigen.derivatives import constant_pairs, final, rotate
from eigenfit.eigen.spectral import as_matrix
from eigenfit.tensors.types import TensorLike


class LevelDerivatives(NamedTuple):
    """Eigenvalues of A(s) and their derivatives at s = 0, from the right."""

    levels: tf.Tensor  # [..., n], ascending
    first: tf.Tensor  # [..., n], ascending inside a cluster
    second: tf.Tensor  # [..., n]


def level_derivatives(
    A: TensorLike,
    dA: TensorLike,
    d2A: TensorLike | None = None,
    *,
    degenerate_atol: float = 0.0,
    degenerate_rtol: float | None = None,
) -> LevelDerivatives:
    """Differentiates the ascending eigenvalues along `A + s dA + s^2/2 d2A`, twice.

    For a simple eigenvalue

        first_i  = v_i^H dA v_i
        second_i = v_i^H d2A v_i + 2 sum_{j != i} |v_i^H dA v_j|^2 / (w_i - w_j).

    Coinciding eigenvalues split as s grows. Their first derivatives are the
    eigenvalues of `V1^H dA V1`, with the eigenvectors V1 of the cluster; in the basis
    where that is diagonal the second ones are as above, with j outside the cluster.
    Where first derivatives coincide as well, the second ones are the eigenvalues of
    that second-order matrix (T. Kato, Perturbation Theory for Linear Operators, II.2).
    Such derivatives are one-sided, for s > 0: ascending levels may have a kink at 0.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128; only the lower
            triangle is read.
        dA: `[..., n, n]`, first derivative of the matrix; its Hermitian part is used.
        d2A: `[..., n, n]`, second derivative of the matrix; 0 by default.
        degenerate_atol: Eigenvalues belong to one cluster when each is at most
            `degenerate_atol + degenerate_rtol * max(abs(w))` above the one before;
            first derivatives coincide when they differ by at most `degenerate_rtol`
            times the Frobenius norm of `dA`. 0 by default.
        degenerate_rtol: See `degenerate_atol`. By default the machine epsilon to the
            power 0.6.

    Returns:
        Levels and derivatives, `[..., n]` each, real. Their own gradients are NaN.

    Raises:
        ValueError: If `A` is not a batch of square matrices, another shape does not
            fit it, or a tolerance is negative or not finite.
        TypeError: If the dtype of `A` is not one of the four.

    Example:
        >>> A, dA = [[1.0, 0.0], [0.0, 3.0]], [[0.0, 1.0], [1.0, 5.0]]
        >>> found = level_derivatives(A, dA)
        >>> found.first.numpy().tolist(), found.second.numpy().tolist()
        ([0.0, 5.0], [-1.0, 1.0])
    """
    base = as_matrix(A)
    tolerances = check_tolerances(degenerate_atol, degenerate_rtol)
    matrices = [base]
    none = tf.zeros_like(base)
    for name, value in (("dA", dA), ("d2A", none if d2A is None else d2A)):
        matrix = tf.convert_to_tensor(value, base.dtype)
        if not matrix.shape[-2:].is_compatible_with(base.shape[-2:]):
            raise ValueError(
                f"`{name}` must have shape [..., n, n] like `A`, {base.shape}, got "
                f"{matrix.shape}."
            )
        matrices.append(matrix)
    shape = functools.reduce(tf.broadcast_dynamic_shape, map(tf.shape, matrices))
    matrices = [tf.broadcast_to(x, shape) for x in matrices]

    @final
    def derivatives(A: tf.Tensor, dA: tf.Tensor, d2A: tf.Tensor):
        A, dA, d2A = (tf.stop_gradient(x) for x in (A, dA, d2A))
        return _derivatives(A, dA, d2A, *tolerances)

    return LevelDerivatives(*derivatives(*matrices))


def _derivatives(
    A: tf.Tensor, dA: tf.Tensor, d2A: tf.Tensor, atol: float, rtol: float | None
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    w, V = constant_pairs(A)
    H = rotate(V, dA)
    rank = tf.cumsum(_jumps(w, cluster_width(w, atol, rtol)), axis=-1)
    first, U = _diagonalize(H, rank)
    H = rotate(U, H)
    cluster = pairwise(rank) == 0
    # The mean level of each cluster, whose levels differ by rounding only.
    members = tf.cast(cluster, w.dtype)
    mean = tf.linalg.matvec(members, w) / tf.reduce_sum(members, axis=-1)
    gap = tf.where(cluster, tf.ones_like(members), pairwise(mean))
    quotient = tf.where(cluster, tf.zeros_like(H), H / tf.cast(gap, H.dtype))
    effective = rotate(U, rotate(V, d2A)) + 2 * tf.linalg.matmul(quotient, H)
    norm = tf.sqrt(tf.reduce_sum(tf.abs(dA) ** 2, axis=[-2, -1]))[..., tf.newaxis]
    parted = tf.maximum(
        _jumps(first, cluster_width(norm, 0.0, rtol)),
        _jumps(rank, tf.zeros_like(rank[..., 0])),
    )
    second, _ = _diagonalize(effective, tf.cumsum(parted, axis=-1))
    return w, first, second


def _jumps(x: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Marks with 1 entries that lie more than `width` above their predecessor."""
    wide = x[..., 1:] - x[..., :-1] > width[..., tf.newaxis]
    return tf.concat(
        [tf.zeros_like(x[..., :1], tf.int32), tf.cast(wide, tf.int32)], axis=-1
    )


def _diagonalize(H: tf.Tensor, rank: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Diagonalizes the diagonal blocks of `H` that `rank` marks.

    One decomposition does it all: the blocks are scaled to norm 1 and shifted apart, so
    that their eigenvalues neither mix nor change places.

    Returns:
        Eigenvalues `[..., n]`, ascending in each block, and the eigenvectors.
    """
    block = pairwise(rank) == 0
    real = H.dtype.real_dtype
    inside = tf.where(block, H, tf.zeros_like(H))
    squares = tf.reduce_sum(tf.abs(inside) ** 2, axis=-1)
    norm = tf.sqrt(tf.linalg.matvec(tf.cast(block, real), squares))
    norm = tf.where(norm > 0, norm, tf.ones_like(norm))
    places = tf.linalg.diag(3 * tf.cast(rank, real))
    _, U = constant_pairs(
        inside / tf.cast(norm[..., tf.newaxis], H.dtype) + tf.cast(places, H.dtype)
    )
    U = tf.where(block, U, tf.zeros_like(U))
    return tf.math.real(tf.linalg.diag_part(rotate(U, H))), U
