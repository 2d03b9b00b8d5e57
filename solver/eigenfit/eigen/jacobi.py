"""Eigenvalues and eigenvectors of Hermitian matrices by Jacobi's method.

Only plain tensor operations are used, which XLA compiles and ONNX can express, to full
accuracy in either precision. Two-sided Jacobi in a parallel order: Brent & Luk, SIAM
J. Sci. Stat. Comput. 6 (1985) 69-84; its convergence: Luk & Park, SIAM J. Matrix Anal.
Appl. 10 (1989) 18-26. Orders up to 4 are written out in `jacobi_small`; under XLA
large ones use the layout of `jacobi_half`.

Layout. Inside, the batch is the LAST axis (`[n, n, batch]`), so that element-wise
operations run over contiguous numbers for a large batch and for a single matrix
alike. Every operation is element-wise in the batch, sums run over leading axes only
and matrix products are written as such sums: the result of a member does not depend
on its neighbours, and a GPU cannot round the products to TensorFloat-32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.eigen.jacobi_half import diagonalised as diagonalised_in_halves
from eigenfit.eigen.jacobi_small import (
    MAX_SWEEPS,
    SMALL,
    Parts,
    conjugate,
    eigh_small,
    is_active,
    multiply,
    rotation,
    scale,
    tolerance2,
)
from eigenfit.tensors.private_tf import inside_xla

# From this order on `jacobi_half` is faster under XLA, for a batch or a single matrix.
_HALVES = 9
_DTYPES = (tf.float32, tf.float64, tf.complex64, tf.complex128)


def jacobi_eigh(A: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes Hermitian matrices; defines no gradient.

    The residual `||A V - V diag(w)||` and the orthogonality `||V^H V - I||` are a few
    units of the last place times `sqrt(n)`. The sign (phase) of an eigenvector is
    arbitrary, and so is the basis of a multiple eigenvalue.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128, n >= 1; any
            dimension may be unknown while tracing, but a known order n <= 4 runs
            faster. Only the lower triangle is read, and of a complex diagonal only
            the real part.

    Returns:
        `(w, V)`: `w` `[..., n]` real, ascending; `V` `[..., n, n]` with the
        eigenvectors in its columns. Members are independent to the bit: one with a NaN
        or an infinity gives NaN and changes no other. (XLA compiles each batch size
        afresh and may then round differently in the last place.)

    Raises:
        ValueError: If `A` is not a batch of square matrices of order at least 1.
        TypeError: If its dtype is not one of the four.

    Example:
        >>> w, V = jacobi_eigh(tf.constant([[0.0, 9.0], [1.0, 0.0]]))
        >>> w.numpy().tolist()
        [-1.0, 1.0]
    """
    A = tf.convert_to_tensor(A)
    n = _checked_order(A)
    shape = tf.shape(A)
    flat = A
    if A.shape.rank != 3:
        rows = shape[-1] if n is None else n
        flat = tf.reshape(A, tf.stack([-1, rows, rows]))
        flat = tf.ensure_shape(flat, [None, n, n])
    last = tf.transpose(flat, [1, 2, 0])
    parts = (last,)
    if A.dtype.is_complex:
        parts = (tf.math.real(last), tf.math.imag(last))

    if n is not None and n <= SMALL:
        w, V = _small(parts, n)
    else:
        w, V = _general(parts, n)

    w = tf.transpose(w)
    V = tuple(tf.transpose(x, [2, 1, 0]) for x in V)  # from [vector, component, batch]
    vectors = V[0] if len(V) == 1 else tf.complex(*V)
    if A.shape.rank != 3:
        w = tf.ensure_shape(tf.reshape(w, shape[:-1]), A.shape[:-1])
        vectors = tf.ensure_shape(tf.reshape(vectors, shape), A.shape)
    return w, vectors


def _checked_order(A: tf.Tensor) -> int | None:
    if A.dtype not in _DTYPES:
        names = ", ".join(dtype.name for dtype in _DTYPES)
        raise TypeError(f"`A` has dtype {A.dtype.name}; cast it to one of {names}.")
    shape = A.shape
    if shape.rank is None:
        return None
    square = shape.rank >= 2 and shape[-1:].is_compatible_with(shape[-2:-1])
    n = (shape[-1] if shape[-1] is not None else shape[-2]) if square else 0
    if n == 0:
        raise ValueError(
            f"`A` has shape {shape}; it must be [..., n, n] with n at least 1."
        )
    return n


def _small(parts: Parts, n: int) -> tuple[tf.Tensor, Parts]:
    below = [(i, j) for i in range(n) for j in range(i)]
    places = [(i, i) for i in range(n)] + below
    entries = [_picked(parts[0], tf.constant([n * i + j for i, j in places]))]
    if len(parts) == 2:
        table = tf.constant([n * i + j for i, j in below], tf.int32)
        entries.append(_picked(parts[1], table))
    # One tensor for `scale`: the entries in rows, real then imaginary.
    (rows,), size = scale((tf.concat(entries, 0),), n)
    split = len(places)
    lower = (rows[n:split], rows[split:])[: len(parts)]
    d, V = eigh_small(rows[:n], lower, size.noise2, n)
    return d / size.factor + size.poison, tuple(x + size.poison for x in V)


def _picked(W: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    # Entry (i, j) has number size * i + j; gather_nd would reject an empty batch.
    size = tf.shape(W)[0]
    return tf.gather(tf.reshape(W, tf.stack([size * size, -1])), table)


class _Tables(NamedTuple):
    """Index tables in int32, since XLA's loops take twice as long with int64.

    There are m = N - 1 rounds, N being n rounded up to an even number. Tables of
    entries hold N * row + column and have an extra axis of length 1, so that picking
    gives `[N, 1, batch]`.
    """

    diagonal: tf.Tensor  # [N, 1], entry (i, i)
    partner: tf.Tensor  # [m, N]
    pair: tf.Tensor  # [m, N, 1], entry (smaller, larger) of i and its partner
    side: tf.Tensor  # [m, N, 1, 1], 1 where i is the smaller one, else -1
    size: tf.Tensor  # N
    rounds: tf.Tensor  # m = N - 1


def _tables(n: tf.Tensor, dtype: tf.DType) -> _Tables:
    # The circle method: in round k the players with i + j = k (mod m) meet, and the
    # one that would meet itself meets player m. In m rounds each pair meets once.
    size = n + tf.math.floormod(n, 2)
    m = size - 1
    i = tf.range(size)[tf.newaxis, :]
    k = tf.range(m)[:, tf.newaxis]
    # ONNX truncates instead of flooring, so negative numbers are avoided.
    partner = tf.math.floormod(k - i + m, m)
    partner = tf.where(partner == i, m, partner)
    partner = tf.where(i == m, tf.math.floormod(k * (size // 2), m), partner)
    pair = size * tf.minimum(i, partner) + tf.maximum(i, partner)
    side = 2 * tf.cast(i < partner, dtype) - 1
    return _Tables(
        tf.transpose(i) * (size + 1),
        partner,
        pair[:, :, tf.newaxis],
        side[:, :, tf.newaxis, tf.newaxis],
        size,
        m,
    )


def _general(parts: Parts, n: int | None) -> tuple[tf.Tensor, Parts]:
    dtype = parts[0].dtype
    order = tf.shape(parts[0])[0] if n is None else tf.constant(n, tf.int32)
    A, size = scale(_hermitian(parts, order), order)
    if n is not None and n >= _HALVES and inside_xla():
        d, V = diagonalised_in_halves(A, n, size.noise2)
    else:
        d, V = _diagonalised(A, order, _tables(order, dtype), size.noise2)
    d, V = _polished(A, d, V)
    d, V = _sorted(d, V, order)
    return d / size.factor + size.poison, tuple(x + size.poison for x in V)


def _hermitian(parts: Parts, order: tf.Tensor) -> Parts:
    # Picks entries instead of masking: those above the diagonal may be NaN.
    i = tf.range(order)[:, tf.newaxis]
    j = tf.range(order)[tf.newaxis, :]
    table = order * tf.maximum(i, j) + tf.minimum(i, j)
    mirrored = tuple(_picked(x, table) for x in parts)
    if len(parts) == 1:
        return mirrored
    sign = tf.cast(i > j, mirrored[1].dtype) - tf.cast(i < j, mirrored[1].dtype)
    sign = sign[:, :, tf.newaxis]
    imaginary = mirrored[1]
    nothing = tf.zeros_like(imaginary)
    return mirrored[0], tf.where(sign == 0, nothing, sign * imaginary)


def _adjoint(parts: Parts) -> Parts:
    return conjugate(tuple(tf.transpose(x, [1, 0, 2]) for x in parts))


def _diagonalised(
    A: Parts, order: tf.Tensor, tables: _Tables, noise2: tf.Tensor
) -> tuple[tf.Tensor, Parts]:
    """Returns the diagonal `[n, batch]` and V^H, `[vector, component, batch]`."""
    dtype = A[0].dtype
    tol2 = tolerance2(order, dtype)
    # An odd order gets an extra index, which never rotates.
    more = tables.size - order
    paddings = tf.convert_to_tensor([[0, more], [0, more], [0, 0]])
    W = tuple(tf.pad(x, paddings) for x in A)
    i = tf.range(tables.size)[:, tf.newaxis]
    identity = tf.cast(i == tf.range(order)[tf.newaxis, :], dtype)[:, :, tf.newaxis]
    Y = tuple(tf.zeros_like(x[:, :order]) for x in W)
    Y = (Y[0] + identity, *Y[1:])
    off_diagonal = 1 - tf.cast(i == tf.transpose(i), dtype)[:, :, tf.newaxis]

    def turn(x: Parts, c: tf.Tensor, s: Parts, partner: tf.Tensor) -> Parts:
        # row i <- c_i row i - s_i row partner(i), for all rows at once
        other = multiply(s, tuple(tf.gather(part, partner) for part in x))
        return tuple(c * u - v for u, v in zip(x, other, strict=True))

    def one_round(k: tf.Tensor, W: Parts, Y: Parts) -> tuple[tf.Tensor, Parts, Parts]:
        partner = tf.gather(tables.partner, k)
        side = tf.gather(tables.side, k)
        d = _picked(W[0], tables.diagonal)
        dp = tf.gather(d, partner)
        # Both partners read the same entry, so that their angles agree to the bit.
        pair = tf.gather(tables.pair, k)
        a = tuple(_picked(x, pair) for x in W)
        if len(a) == 2:
            a = (a[0], side * a[1])
        rotate = tf.cast(is_active(a, d, dp, tol2, noise2), dtype)
        c, t = rotation(a, dp - d, rotate, side)
        s = tuple(c * x for x in t)
        # J^H W J: as W is Hermitian, the columns are the rows of the adjoint.
        W = turn(_adjoint(turn(W, c, s, partner)), c, s, partner)
        return k + 1, W, turn(Y, c, s, partner)

    def sweep(count: tf.Tensor, W: Parts, Y: Parts) -> tuple[tf.Tensor, Parts, Parts]:
        _, W, Y = _loop(lambda k, *_: k < tables.rounds, one_round, W, Y)
        mean = zip(W, _adjoint(W), strict=True)
        return count + 1, tuple(0.5 * (u + v) for u, v in mean), Y

    def unfinished(count: tf.Tensor, W: Parts, Y: Parts) -> tf.Tensor:
        d = _picked(W[0], tables.diagonal)
        active = is_active(W, d, tf.transpose(d, [1, 0, 2]), tol2, noise2)
        left = off_diagonal * tf.cast(active, dtype)
        return (count < MAX_SWEEPS) & (tf.reduce_max(left) > 0)

    _, W, Y = _loop(unfinished, sweep, W, Y)
    d = _picked(W[0], tables.diagonal)[:order, 0]
    return d, tuple(x[:order] for x in Y)


def _loop(condition: Callable, body: Callable, *state: Any) -> Any:
    return tf.while_loop(condition, body, (tf.constant(0), *state))


def _polished(A: Parts, d: tf.Tensor, Y: Parts) -> tuple[tf.Tensor, Parts]:
    """Removes the rounding errors that the rotations have accumulated.

    One Newton-Schulz step `Y + (I - Y Y^H) Y / 2` makes the vectors orthonormal
    (Higham, Functions of Matrices, 8.3), after which the Rayleigh quotients
    `v^H A v` are eigenvalues with an error of second order.

    Returns:
        The eigenvalues `[n, batch]` and V, `[vector, component, batch]`.
    """
    V = _adjoint(Y)  # [component, vector, batch]
    gram = _product(V, V)
    i = tf.range(tf.shape(d)[0])
    identity = tf.cast(i[:, tf.newaxis] == i, d.dtype)[:, :, tf.newaxis]
    error = (identity - gram[0], *(-x for x in gram[1:]))
    step = _product(error, Y)  # `error` is Hermitian
    Y = tuple(u + 0.5 * v for u, v in zip(Y, step, strict=True))
    V = _adjoint(Y)
    image = _product(A, V)

    def term(k: tf.Tensor) -> Parts:
        v = tuple(tf.gather(part, k) for part in V)
        u = tuple(tf.gather(part, k) for part in image)
        return multiply(conjugate(v), u)[:1]

    return _summed(term, (d,))[0], conjugate(Y)


def _product(X: Parts, Y: Parts) -> Parts:
    """Multiplies X^H Y."""

    def term(k: tf.Tensor) -> Parts:
        x = tuple(tf.gather(part, k)[:, tf.newaxis] for part in X)
        y = tuple(tf.gather(part, k)[tf.newaxis] for part in Y)
        return multiply(conjugate(x), y)

    return _summed(term, X)


def _summed(term: Callable, like: Parts) -> Parts:
    """Sums term(0), ..., term(n - 1), all shaped as `like`, in this order.

    TensorFlow's own sums change their order with the size of the batch.
    """

    def add(k: tf.Tensor, total: Parts) -> tuple[tf.Tensor, Parts]:
        return k + 1, tuple(u + v for u, v in zip(total, term(k), strict=True))

    order = tf.shape(like[0])[0]
    zero = tuple(tf.zeros_like(x) for x in like)
    return _loop(lambda k, _: k < order, add, zero)[1]


def _sorted(d: tf.Tensor, V: Parts, order: tf.Tensor) -> tuple[tf.Tensor, Parts]:
    """Sorts by counting; TopK would compare float64 as float32 in ONNX.

    The rank of i is the number of j with d_j < d_i, or d_j = d_i and j < i.
    """
    i = tf.range(order)
    less = tf.cast(d[tf.newaxis] < d[:, tf.newaxis], d.dtype)  # [i, j]: d_j < d_i
    after = tf.cast(i[:, tf.newaxis] < i, d.dtype)[:, :, tf.newaxis]
    not_more = 1 - tf.transpose(less, [1, 0, 2])
    before = tf.transpose(after, [1, 0, 2])
    rank = tf.reduce_sum(after * less + before * not_more, 1)
    index = tf.cast(i, d.dtype)[:, tf.newaxis, tf.newaxis]
    place = tf.cast(tf.equal(rank[tf.newaxis], index), d.dtype)  # [rank, i]
    source = tf.reduce_sum(place * tf.transpose(index, [1, 0, 2]), 1)
    source = tf.transpose(tf.cast(source, tf.int32))  # [batch, rank]
    d = tf.transpose(tf.gather(tf.transpose(d), source, batch_dims=1))
    V = tuple(
        tf.transpose(
            tf.gather(tf.transpose(x, [2, 0, 1]), source, batch_dims=1), [1, 2, 0]
        )
        for x in V
    )
    return d, V
