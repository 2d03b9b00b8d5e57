"""Linear algebra that ONNX lacks, built from operations that it has.

The loops over columns are element-wise in the batch: a member that is not finite or not
positive definite gets NaN and leaves the others alone, where TensorFlow's own
operations raise for the whole batch.
"""

from __future__ import annotations

import tensorflow as tf


def cholesky(S: tf.Tensor) -> tf.Tensor:
    """Factors positive definite matrices, `S = L L^T`.

    Args:
        S: Positive definite matrices, `[batch, k, k]`.

    Returns:
        `L`, lower triangular, `[batch, k, k]`.

    Example:
        >>> cholesky(tf.constant([[[4.0, 2.0], [2.0, 5.0]]])).numpy().tolist()
        [[[2.0, 0.0], [1.0, 2.0]]]
    """
    size = _order(S)
    index = tf.range(size, dtype=tf.float32)

    def column(
        j: tf.Tensor, S: tf.Tensor, L: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        own = tf.gather(S, j, axis=2)
        pivot = tf.sqrt(tf.gather(own, j, axis=1))
        place = tf.cast(j, tf.float32)
        below = tf.where(index >= place, own / pivot[:, tf.newaxis], _zero(S))
        left = S - below[:, :, tf.newaxis] * below[:, tf.newaxis]
        L = tf.where(tf.equal(index, place), below[:, :, tf.newaxis], L)
        return j + 1, left, L

    start = (tf.zeros_like(size), S, tf.zeros_like(S))
    return tf.while_loop(lambda j, *_: j < size, column, start)[2]


def triangular_solve(
    L: tf.Tensor, B: tf.Tensor, lower: bool = True, adjoint: bool = False
) -> tf.Tensor:
    """Solves `L X = B` or `L^T X = B` by substitution.

    Args:
        L: Triangular matrices, `[batch, k, k]`.
        B: Right-hand sides, `[batch, k, c]`.
        lower: Whether `L` is lower triangular; the other triangle is not read.
        adjoint: Whether to solve with the transpose.

    Returns:
        `X`, `[batch, k, c]`.

    Example:
        >>> L = tf.constant([[[2.0, 0.0], [1.0, 2.0]]])
        >>> triangular_solve(L, tf.constant([[[2.0], [5.0]]])).numpy().tolist()
        [[[1.0], [2.0]]]
    """
    size = _order(L)
    index = tf.range(size, dtype=tf.float32)[:, tf.newaxis]
    forward = lower != adjoint

    def row(
        count: tf.Tensor, B: tf.Tensor, X: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        j = count if forward else size - 1 - count
        own = tf.gather(L, j, axis=1 if adjoint else 2)[:, :, tf.newaxis]
        found = tf.gather(B, j, axis=1) / tf.gather(own, j, axis=1)
        place = tf.cast(j, tf.float32)
        later = index > place if forward else index < place
        change = tf.where(later, own, _zero(L)) * found[:, tf.newaxis]
        X = tf.where(tf.equal(index, place), found[:, tf.newaxis], X)
        return count + 1, B - change, X

    start = (tf.zeros_like(size), B, tf.zeros_like(B))
    return tf.while_loop(lambda j, *_: j < size, row, start)[2]


def sort_descending(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts by counting: ONNX's TopK would compare float64 as float32.

    Args:
        values: Numbers to sort, `[batch, k]`.

    Returns:
        The sorted values, and the index each came from, int32, both `[batch, k]`.

    Example:
        >>> values, source = sort_descending(tf.constant([[1.0, 3.0, 2.0]]))
        >>> values.numpy().tolist(), source.numpy().tolist()
        ([[3.0, 2.0, 1.0]], [[1, 2, 0]])
    """
    i = tf.range(tf.shape(values)[1])
    before = tf.cast(i[:, tf.newaxis] > i, values.dtype)  # [i, j]: j < i
    more = tf.cast(
        values[:, tf.newaxis] > values[:, :, tf.newaxis], values.dtype
    )  # [batch, i, j]: value j is larger
    not_less = 1 - tf.transpose(more, [0, 2, 1])
    rank = tf.reduce_sum(
        tf.transpose(before) * more + before * not_less, axis=2
    )  # [batch, i]
    index = tf.cast(i, values.dtype)
    moves = tf.cast(
        tf.equal(rank[:, tf.newaxis], index[:, tf.newaxis]), values.dtype
    )  # [batch, rank, i]
    source = tf.reduce_sum(moves * index, axis=2)
    sorted_values = tf.linalg.matmul(moves, values[:, :, tf.newaxis])[:, :, 0]
    return sorted_values, tf.cast(source, tf.int32)


def diagonal(A: tf.Tensor) -> tf.Tensor:
    """Returns the diagonal of `[batch, n, n]`, `[batch, n]`.

    Example:
        >>> diagonal(tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
        [[1.0, 4.0]]
    """
    n = _order(A)
    flat = tf.reshape(A, tf.stack([tf.shape(A)[0], n * n]))
    return tf.gather(flat, tf.range(n) * (n + 1), axis=1)


def with_diagonal(A: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    """Replaces diagonals, `[batch, k]`, of square matrices `[batch, k, k]`.

    Example:
        >>> A = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
        >>> with_diagonal(A, tf.constant([[5.0, 6.0]])).numpy().tolist()
        [[[5.0, 2.0], [3.0, 6.0]]]
    """
    index = tf.range(_order(A))
    return tf.where(tf.equal(index[:, tf.newaxis], index), d[:, tf.newaxis], A)


def _order(A: tf.Tensor) -> tf.Tensor:
    return tf.shape(A)[-1]


def _zero(like: tf.Tensor) -> tf.Tensor:
    return tf.zeros([], like.dtype)
