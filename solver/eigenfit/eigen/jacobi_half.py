"""Jacobi's method in halves: the fastest layout under XLA.

The matrix is kept as four blocks of order m, so that index i meets index m + i: the
pairs are the diagonal of one block, and a rotation is arithmetic on whole blocks. Then
the indices move on to their next partners (the circle method; Brent & Luk, SIAM J.
Sci. Stat. Comput. 6 (1985) 69-84) by slices and concatenations, which XLA fuses with
the arithmetic, while the gathers of `jacobi` are not fused.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.eigen.jacobi_small import (
    MAX_SWEEPS,
    Parts,
    conjugate,
    is_active,
    multiply,
    rotation,
    tolerance2,
)


class _State(NamedTuple):
    # Blocks [m, m, batch] of the matrix, halves [m, n, batch] of the vectors.
    top_left: Parts
    top_right: Parts
    bottom_left: Parts
    bottom_right: Parts
    top: Parts
    bottom: Parts


def diagonalised(A: Parts, n: int, noise2: tf.Tensor) -> tuple[tf.Tensor, Parts]:
    """Diagonalises scaled Hermitian matrices.

    Args:
        A: Parts `[n, n, batch]`.
        n: Order of the matrices.
        noise2: `[batch]`, from `scale`.

    Returns:
        The diagonal `[n, batch]`, unsorted, and V^H, parts
        `[vector, component, batch]`.
    """
    dtype = A[0].dtype
    tol2 = tolerance2(n, dtype)
    m = (n + 1) // 2  # an odd order gets an extra index, which never rotates
    padding = [[0, 2 * m - n], [0, 2 * m - n], [0, 0]]
    W = tuple(tf.pad(x, padding) for x in A)
    Y = tuple(tf.zeros_like(x[:, :n]) for x in W)
    Y = (Y[0] + tf.constant(np.eye(2 * m, n)[:, :, np.newaxis], dtype), *Y[1:])
    state = _State(
        tuple(x[:m, :m] for x in W),
        tuple(x[:m, m:] for x in W),
        tuple(x[m:, :m] for x in W),
        tuple(x[m:, m:] for x in W),
        tuple(x[:m] for x in Y),
        tuple(x[m:] for x in Y),
    )
    different = 1 - tf.constant(np.eye(m)[:, :, np.newaxis], dtype)

    def one_round(k: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
        a, dp, dq = _diagonals(state)
        rotate = tf.cast(is_active(a, dp, dq, tol2, noise2), dtype)
        c, t = rotation(a, dq - dp, rotate)
        return k + 1, _moved(_rotated(state, c, tuple(c * x for x in t)))

    def sweep(count: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
        start = (tf.constant(0), state)
        _, state = tf.while_loop(lambda k, _: k < 2 * m - 1, one_round, start)
        right = _mean(state.top_right, _adjoint(state.bottom_left))
        return count + 1, state._replace(
            top_left=_mean(state.top_left, _adjoint(state.top_left)),
            top_right=right,
            bottom_left=_adjoint(right),
            bottom_right=_mean(state.bottom_right, _adjoint(state.bottom_right)),
        )

    def unfinished(count: tf.Tensor, state: _State) -> tf.Tensor:
        _, dp, dq = _diagonals(state)

        def left(a: Parts, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
            columns = tf.transpose(columns, [1, 0, 2])
            return tf.cast(is_active(a, rows, columns, tol2, noise2), dtype)

        inside = tf.maximum(
            left(state.top_left, dp, dp), left(state.bottom_right, dq, dq)
        )
        active = tf.maximum(different * inside, left(state.top_right, dp, dq))
        return (count < MAX_SWEEPS) & (tf.reduce_max(active) > 0)

    _, state = tf.while_loop(unfinished, sweep, (tf.constant(0), state))
    # A whole sweep brings every index back to its place.
    _, dp, dq = _diagonals(state)
    Y = tuple(
        tf.concat([x, y], 0) for x, y in zip(state.top, state.bottom, strict=True)
    )
    return tf.concat([dp, dq], 0)[:n, 0], tuple(x[:n] for x in Y)


def _diagonals(state: _State) -> tuple[Parts, tf.Tensor, tf.Tensor]:
    """Returns w_pq, w_pp and w_qq of all pairs, `[m, 1, batch]`."""
    m = state.top_left[0].shape[0]
    places = np.arange(m) * (m + 1)

    def picked(x: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.reshape(x, tf.stack([m * m, -1])), places)[:, tf.newaxis]

    return (
        tuple(picked(x) for x in state.top_right),
        picked(state.top_left[0]),
        picked(state.bottom_right[0]),
    )


def _rotated(state: _State, c: tf.Tensor, s: Parts) -> _State:
    # J^H W J and J^H Y: rows p <- c p - s q, q <- c q + s* p, columns conjugated.
    back = conjugate(s)

    def rows(p: Parts, q: Parts) -> tuple[Parts, Parts]:
        return _turn(c, s, p, q, -1), _turn(c, back, q, p, 1)

    across = tf.transpose(c, [1, 0, 2])
    s_across = tuple(tf.transpose(x, [1, 0, 2]) for x in s)
    back_across = conjugate(s_across)

    def columns(p: Parts, q: Parts) -> tuple[Parts, Parts]:
        return _turn(across, back_across, p, q, -1), _turn(across, s_across, q, p, 1)

    a, c_ = rows(state.top_left, state.bottom_left)
    b, d = rows(state.top_right, state.bottom_right)
    return _State(*columns(a, b), *columns(c_, d), *rows(state.top, state.bottom))


def _turn(c: tf.Tensor, s: Parts, x: Parts, y: Parts, sign: int) -> Parts:
    turned = zip(x, multiply(s, y), strict=True)
    return tuple(c * u - v if sign < 0 else c * u + v for u, v in turned)


def _moved(state: _State) -> _State:
    """Moves every index but the first one place around the circle."""
    a, c = _moved_on(state.top_left, state.bottom_left, 0)
    b, d = _moved_on(state.top_right, state.bottom_right, 0)
    return _State(
        *_moved_on(a, b, 1),
        *_moved_on(c, d, 1),
        *_moved_on(state.top, state.bottom, 0),
    )


def _moved_on(first: Parts, second: Parts, axis: int) -> tuple[Parts, Parts]:
    m = first[0].shape[axis]
    tops, bottoms = [], []
    for x, y in zip(first, second, strict=True):
        still, forward, out = tf.split(x, [1, m - 2, 1], axis)
        up, backward = tf.split(y, [1, m - 1], axis)
        tops.append(tf.concat([still, up, forward], axis))
        bottoms.append(tf.concat([backward, out], axis))
    return tuple(tops), tuple(bottoms)


def _adjoint(x: Parts) -> Parts:
    return conjugate(tuple(tf.transpose(part, [1, 0, 2]) for part in x))


def _mean(x: Parts, y: Parts) -> Parts:
    return tuple(0.5 * (u + v) for u, v in zip(x, y, strict=True))
