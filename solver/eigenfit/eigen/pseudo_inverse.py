"""Least squares and linear systems that are only partly regular."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import decompose, epsilon


class Factors(NamedTuple):
    """A matrix `A [..., m, k]` as `C diag(sizes) V^T`, with columns of C of norm 1.

    Columns of C are orthogonal to about `eps max(sizes)^2 / (sizes_i sizes_j)`; their
    Gram matrix accounts for the rest.
    """

    C: tf.Tensor  # [..., m, k], zero where not inside
    sizes: tf.Tensor  # [..., k], about the singular values
    V: tf.Tensor  # [..., k, k], orthogonal
    inside: tf.Tensor  # [..., k] bool, which sizes are above rounding
    is_vague: tf.Tensor  # [...] bool, whether some of these are not far above it


def factor(A: tf.Tensor) -> Factors:
    """Factors `A [..., m, k]`, resolving singular values down to a few eps.

    They are lengths `|A v|` along the eigenvectors of `A^T A`, which lose no accuracy
    by squaring.
    """
    _, V = decompose(tf.linalg.matmul(A, A, transpose_a=True))
    C = tf.linalg.matmul(A, V)
    sizes = tf.norm(C, axis=-2)
    largest = tf.reduce_max(sizes, axis=-1, keepdims=True)
    eps = epsilon(sizes.dtype)
    inside = sizes > 64 * A.shape[-1] * eps * largest
    vague = tf.reduce_any(inside & (sizes < eps**0.6 * largest), axis=-1)
    unit = tf.where(inside, sizes, tf.ones_like(sizes))[..., tf.newaxis, :]
    C = tf.where(inside[..., tf.newaxis, :], C / unit, tf.zeros_like(C))
    # NaN must not pass for a column without influence.
    vague |= ~tf.math.is_finite(largest[..., 0])
    return Factors(C, sizes, V, inside, vague)


def least_squares(factors: Factors, right: tf.Tensor) -> tf.Tensor:
    """Computes `A (A^T A)^+ A^+ right`, the transposed pseudo-inverse of `A^T` twice.

    With `J = A^T`, that is `(J^T J)^+ right`, for `right [..., m]`.
    """
    C, sizes, _, inside, _ = factors
    products = tf.linalg.matmul(C, C, transpose_a=True)
    outside = tf.cast(~inside, C.dtype)
    products += tf.linalg.diag(outside)
    inverse = 1 / tf.where(inside, sizes, tf.ones_like(sizes))
    inverse = tf.where(inside, inverse, tf.zeros_like(inverse))

    def solve(b: tf.Tensor) -> tf.Tensor:
        w, U = decompose(products)
        own = tf.linalg.matvec(U, b, transpose_a=True)
        return tf.linalg.matvec(U, own / w)

    y = inverse * solve(tf.linalg.matvec(C, right, transpose_a=True))
    return tf.linalg.matvec(C, solve(inverse * y))


def restricted_inverse(
    H: tf.Tensor,
    held: tf.Tensor,
    V: tf.Tensor,
    flat: tf.Tensor,
    right: tf.Tensor,
    least: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Solves `H x = right` for x orthogonal to some directions.

    Args:
        H: `[..., k, k]`, symmetric.
        held: `[..., k, k]`, added to the scaled H: diagonal, 1 for held unknowns.
        V: `[..., k, k]`, orthogonal.
        flat: `[..., k]` bool, the columns of V that x must not contain.
        right: `[..., k]`, the right-hand side.
        least: Smallest ratio of an eigenvalue to the largest in a regular system.

    Returns:
        x, `[..., k]`, and which members are regular, `[...]`.
    """
    chosen = V * tf.cast(flat, V.dtype)[..., tf.newaxis, :]
    P = tf.linalg.matmul(chosen, chosen, transpose_b=True)
    across = tf.eye(H.shape[-1], dtype=H.dtype) - P
    H = tf.linalg.matmul(across, tf.linalg.matmul(H, across))
    scale = tf.reduce_max(tf.abs(H), axis=[-2, -1], keepdims=True)
    scale = tf.where(scale > 0, scale, tf.ones_like(scale))
    S = H / scale + P
    S += tf.linalg.matmul(across, tf.linalg.matmul(held, across))
    finite = tf.reduce_all(tf.math.is_finite(S), axis=[-2, -1])
    safe = finite[..., tf.newaxis, tf.newaxis]
    S = tf.where(safe, S, tf.eye(H.shape[-1], dtype=H.dtype))
    w, U = decompose(S)
    size = tf.abs(w)
    regular = tf.reduce_min(size, -1) > least * tf.reduce_max(size, -1)
    right = tf.linalg.matvec(across, right) / scale[..., 0]
    own = tf.linalg.matvec(U, right, transpose_a=True)
    x = tf.linalg.matvec(U, own / tf.where(size > 0, w, tf.ones_like(w)))
    return tf.linalg.matvec(across, x), regular & finite
