"""The eigensolver as ONNX Runtime runs it best: Jacobi's method, few operations.

The same algorithm as `eigenfit.eigen.jacobi`, written for an interpreter: for small
matrices the time is set by the number of operations, some 0.7 us each, 45 in a round.
It is traced, never executed by TensorFlow, whose reciprocals are biased in float32:
that a pair at rest gets `c = 1` exactly relies on a square root and a division rounded
as IEEE 754 demands.

Layout. Inside, the batch is the last axis. ONNX Runtime adds up the last axis of a
tensor in an order that depends on where in memory a member lies, and moves a transpose
meant to prevent this behind the sum. So inexact sums are done by matrix products, one
per member: the result of a member does not depend on its neighbours, to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen.jacobi import jacobi_eigh
from eigenfit.eigen.jacobi_small import MAX_SWEEPS, SMALL, scale, tolerance2

# Added to a difference of diagonal entries, so that its sign is never 0. Even in
# float64, ONNX Runtime drops additions of constants that are 0 in float32; this is not.
_TINY = 1e-37


def symmetric_eigh(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes real symmetric matrices by operations that ONNX has.

    Args:
        A: `[batch, n, n]`, float32 or float64, n >= 1; batch and n may be unknown, but
            a known order n <= 4 runs three times as fast. Only the lower triangle is
            read.

    Returns:
        `(w, V)`: `w` `[batch, n]` ascending; `V` `[batch, n, n]` with the eigenvectors
        in its columns. A member with a NaN or an infinity gets NaN.

    Example:
        >>> w, V = symmetric_eigh(tf.constant([[[0.0, 9.0], [1.0, 0.0]]]))
        >>> w.numpy().tolist()
        [[-1.0, 1.0]]
    """
    n = A.shape[-1]
    if n is not None and n <= SMALL:
        return jacobi_eigh(A)
    order = tf.shape(A, tf.int64)[1]
    i = tf.range(order)[:, tf.newaxis]
    lower = tf.where(i >= tf.transpose(i), A, tf.transpose(A, [0, 2, 1]))
    (W,), size = scale((tf.transpose(lower, [1, 2, 0]),), order)
    rows = _diagonalised(W, order, size.noise2)
    # From [vector, component, batch] to vectors in the rows of each member.
    w, V = _polished(tf.transpose(W, [2, 0, 1]), tf.transpose(rows, [2, 0, 1]))
    w, V = _sorted(w, V, order)
    poison = size.poison[:, tf.newaxis]
    w = w / size.factor[:, tf.newaxis] + poison
    return w, tf.transpose(V, [0, 2, 1]) + poison[:, tf.newaxis]


class _Tables(NamedTuple):
    """Pairings of indices in m = N - 1 rounds; N is n rounded up to an even number."""

    diagonal: tf.Tensor  # [N, 1, 2], positions (i, i)
    partner: tf.Tensor  # [m, N]
    pair: tf.Tensor  # [m, N, 1, 2], positions (smaller, larger) of i and its partner
    side: tf.Tensor  # [m, N, 1, 1], _TINY where i is the smaller one, else -_TINY
    rounds: tf.Tensor  # m


def _tables(order: tf.Tensor, dtype: tf.DType) -> _Tables:
    # The circle method, see `eigenfit.eigen.jacobi`. ONNX truncates instead of
    # flooring, so no negative number goes into `floormod`.
    size = order + tf.math.floormod(order, 2)
    m = size - 1
    i = tf.range(size)[tf.newaxis, :]
    k = tf.range(m)[:, tf.newaxis]
    partner = tf.math.floormod(k - i + m, m)
    partner = tf.where(partner == i, m, partner)
    partner = tf.where(i == m, tf.math.floormod(k * (size // 2), m), partner)
    pair = tf.stack([tf.minimum(i, partner), tf.maximum(i, partner)], axis=-1)
    side = _TINY * (2 * tf.cast(i < partner, dtype) - 1)
    return _Tables(
        tf.transpose(tf.stack([i, i], axis=-1), [1, 0, 2]),
        partner,
        pair[:, :, tf.newaxis],
        side[:, :, tf.newaxis, tf.newaxis],
        m,
    )


def _diagonalised(A: tf.Tensor, order: tf.Tensor, noise2: tf.Tensor) -> tf.Tensor:
    """Returns the eigenvectors in rows, `[n, n, batch]`, from `[n, n, batch]`."""
    dtype = A.dtype
    tables = _tables(order, dtype)
    tol2 = tolerance2(order, dtype)
    # An odd order gets one more index, which never rotates.
    more = tables.rounds + 1 - order
    zero = tf.zeros_like(more)
    W = tf.pad(A, tf.reshape(tf.stack([zero, more, zero, more, zero, zero]), [3, 2]))
    i = tf.range(tables.rounds + 1)
    off_diagonal = 1 - tf.cast(i[:, tf.newaxis] == i, dtype)[:, :, tf.newaxis]
    identity = tf.cast(i[:, tf.newaxis] == tf.range(order), dtype)[:, :, tf.newaxis]
    Y = identity + tf.zeros_like(W[:, :1])

    def is_active(a: tf.Tensor, d: tf.Tensor, dp: tf.Tensor) -> tf.Tensor:
        return a * a > tol2 * tf.abs(d * dp) + noise2

    def one_round(k: tf.Tensor, W: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, ...]:
        partner = tf.gather(tables.partner, k)
        d = tf.gather_nd(W, tables.diagonal)
        dp = tf.gather(d, partner)
        a = tf.gather_nd(W, tf.gather(tables.pair, k))
        a = tf.where(is_active(a, d, dp), a, tf.zeros([], dtype))
        x = dp - d + tf.gather(tables.side, k)
        size = tf.abs(x)
        h = tf.maximum(tf.sqrt(x * x + 4 * (a * a)), size)
        c = tf.sqrt(0.5 + 0.5 * (size / h))  # 1 where a = 0: then h is |x| exactly
        s = a * tf.sign(x) / (c * h)
        # J^T W J; as W is symmetric, its columns are the rows of the transpose.
        W = tf.transpose(c * W - s * tf.gather(W, partner), [1, 0, 2])
        W = c * W - s * tf.gather(W, partner)
        return k + 1, W, c * Y - s * tf.gather(Y, partner)

    def sweep(count: tf.Tensor, W: tf.Tensor, Y: tf.Tensor) -> tuple[tf.Tensor, ...]:
        _, W, Y = tf.while_loop(
            lambda k, *_: k < tables.rounds, one_round, (tf.zeros_like(more), W, Y)
        )
        return count + 1, 0.5 * (W + tf.transpose(W, [1, 0, 2])), Y

    def unfinished(count: tf.Tensor, W: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        d = tf.gather_nd(W, tables.diagonal)
        active = tf.cast(is_active(W, d, tf.transpose(d, [1, 0, 2])), dtype)
        return (count < MAX_SWEEPS) & (tf.reduce_max(off_diagonal * active) > 0)

    _, _, Y = tf.while_loop(unfinished, sweep, (tf.constant(0.0), W, Y))
    return Y[:order]


def _polished(A: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Removes the rounding errors that the rotations have accumulated.

    One Newton-Schulz step makes the vectors orthonormal (Higham, Functions of
    Matrices, 8.3); the eigenvalues are then Rayleigh quotients.

    Returns:
        The eigenvalues `[batch, n]` and eigenvectors in rows, `[batch, n, n]`.
    """
    gram = tf.linalg.matmul(rows, tf.transpose(rows, [0, 2, 1]))
    rows = 1.5 * rows - 0.5 * tf.linalg.matmul(gram, rows)
    image = tf.linalg.matmul(rows, A)
    quotients = tf.linalg.matmul(image, tf.transpose(rows, [0, 2, 1]))
    # Only the diagonal counts: the sum adds zeros to it, so its order does not matter.
    i = tf.range(tf.shape(A)[1])
    identity = tf.cast(tf.equal(i[:, tf.newaxis], i), A.dtype)
    return tf.reduce_sum(identity * quotients, axis=2), rows


def _sorted(
    w: tf.Tensor, rows: tf.Tensor, order: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts by counting, since TopK would compare float64 as float32.

    The rank of i is the number of j with w_j < w_i, or w_j = w_i and j < i; NaN gets
    a rank as well.
    """
    i = tf.range(order)
    before = tf.cast(i[:, tf.newaxis] > i, w.dtype)  # [i, j]: j < i
    after = tf.transpose(before)
    less = tf.cast(w[:, tf.newaxis] < w[:, :, tf.newaxis], w.dtype)  # w_j < w_i
    not_more = 1 - tf.transpose(less, [0, 2, 1])
    rank = tf.reduce_sum(after * less + before * not_more, axis=2)
    index = tf.cast(i, w.dtype)[:, tf.newaxis]
    # A product with a permutation only moves numbers.
    moves = tf.cast(tf.equal(rank[:, tf.newaxis], index), w.dtype)
    w = tf.linalg.matmul(moves, w[:, :, tf.newaxis])
    return w[:, :, 0], tf.linalg.matmul(moves, rows)
