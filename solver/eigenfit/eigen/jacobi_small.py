"""Jacobi's method for orders up to 4, and the parts that all orders share.

Here a matrix of order n is a handful of rows `[1, batch]`: its diagonal, the entries
below it, and the components of the eigenvectors. All rotations are written out, so
that a round is straight-line arithmetic on rows.

The state is ONE tensor `[rows, batch]`, taken apart and put together again around
each round. XLA turns a round into a few small kernels and, for one float32 matrix
of order 3, the whole loop into a single function; a sweep over separate rows took
seven times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Complex numbers are pairs (re, im) of real tensors, real ones are singletons (re,):
# ONNX has no complex arithmetic.
Parts = tuple[tf.Tensor, ...]

MAX_SWEEPS = 30  # the worst of 10^6 matrices needed 22

# Pairs that are rotated together, and how the indices move up afterwards, so that the
# same positions meet the next pairs; _PERIOD such rounds are a sweep and restore the
# order. One round is the body of the loop: XLA compiles loops as small as this into
# a single function.
_PAIRS: dict[int, list[tuple[int, int]]] = {
    1: [],
    2: [(0, 1)],
    3: [(0, 1)],
    4: [(0, 1), (2, 3)],
}
_NEXT = {1: [0], 2: [0, 1], 3: [1, 2, 0], 4: [0, 2, 3, 1]}
_PERIOD = 3
# The comparators of a sorting network.
_NETWORK: dict[int, list[tuple[int, int]]] = {
    1: [],
    2: [(0, 1)],
    3: [(0, 1), (1, 2), (0, 1)],
    4: [(0, 1), (2, 3), (0, 2), (1, 3), (1, 2)],
}
SMALL = max(_PAIRS)


class _Precision(NamedTuple):
    # Powers of two bring the largest entry to where neither the squares of entries
    # overflow nor those of relevant ones underflow: (beyond this size, factor).
    eps: float
    large: list[tuple[float, float]]
    tiny: list[tuple[float, float]]


_PRECISION = {
    tf.float32: _Precision(
        2.0**-23,
        [(2.0**35, 2.0**-60), (2.0**95, 2.0**-60)],
        [(2.0**-25, 2.0**60), (2.0**-85, 2.0**60)],
    ),
    tf.float64: _Precision(
        2.0**-52,
        [(2.0**250, 2.0**-500), (2.0**750, 2.0**-500)],
        [(2.0**-250, 2.0**500), (2.0**-750, 2.0**500)],
    ),
}


class Scale(NamedTuple):
    """Numbers that depend on the size of a matrix, one per member."""

    factor: tf.Tensor  # [batch], a power of two: A * factor is safe to square
    noise2: tf.Tensor  # [batch], square of the entry that counts as zero
    poison: tf.Tensor  # [batch], 0, or NaN for a member with a NaN or an infinity


def safe_factor(largest: tf.Tensor) -> tf.Tensor:
    """Returns powers of two that make matrices with these entries safe to square."""
    precision = _PRECISION[largest.dtype]
    one = tf.ones_like(largest)
    factor = one
    for bound, power in precision.large:
        factor *= tf.where(largest > bound, tf.constant(power, largest.dtype), one)
    for bound, power in precision.tiny:
        factor *= tf.where(largest < bound, tf.constant(power, largest.dtype), one)
    return factor


def scale(parts: Parts, order: tf.Tensor | int) -> tuple[Parts, Scale]:
    """Scales matrices by powers of two, so that nothing is rounded.

    Args:
        parts: The entries, `[..., batch]`, real and, for complex ones, imaginary.
        order: Order n of the matrices.

    Returns:
        The scaled entries, and the `Scale`.
    """
    dtype = parts[0].dtype
    precision = _PRECISION[dtype]
    axes = list(range(parts[0].shape.rank - 1))
    largest = tf.reduce_max(tf.abs(parts[0]), axes)
    for x in parts[1:]:
        largest = tf.maximum(largest, tf.reduce_max(tf.abs(x), axes))
    factor = safe_factor(largest)
    parts = tuple(x * factor for x in parts)
    largest *= factor
    # A maximum may lose a NaN; a sum does not.
    total = tf.add_n([tf.reduce_sum(x, axes) for x in parts])
    poison = total - total
    # Below eps * floor * max|a| an off-diagonal entry is rounding noise of the null
    # space: rotating it away would never end.
    floor = max(precision.eps**0.5, 1e-6)
    noise2 = tolerance2(order, dtype) * (floor**2 * largest * largest)
    return parts, Scale(factor, noise2 + poison, poison)


def tolerance2(order: tf.Tensor | int, dtype: tf.DType) -> tf.Tensor:
    """Returns the square of the relative size at which an entry counts as zero."""
    return tf.cast(order, dtype) * tf.constant(_PRECISION[dtype].eps ** 2, dtype)


def is_active(
    a: Parts, dp: tf.Tensor, dq: tf.Tensor, tol2: tf.Tensor, noise2: tf.Tensor
) -> tf.Tensor:
    """Tells which off-diagonal entries still matter; NaN never does.

    The test is relative to the two diagonal entries (Demmel & Veselic, SIAM J. Matrix
    Anal. Appl. 13 (1992)), so that a small block beside a large one is resolved. It
    decides both whether to rotate and whether to go on: a member that has converged
    is never touched again, whatever its neighbours in the batch still do.
    """
    return squared(a) > tol2 * tf.abs(dp * dq) + noise2


def squared(a: Parts) -> tf.Tensor:
    """Returns `|a|^2`."""
    return a[0] * a[0] if len(a) == 1 else a[0] * a[0] + a[1] * a[1]


def rotation(
    a: Parts, x: tf.Tensor, rotate: tf.Tensor, side: tf.Tensor | float = 1.0
) -> tuple[tf.Tensor, Parts]:
    """Finds the plane rotations that make the entries `a = w_pq` zero.

    With x = w_qq - w_pp the smaller angle has

        h = sqrt(x^2 + 4 |a|^2),  c = sqrt((1 + |x|/h) / 2),
        t = s/c = 2 a sign(x) / (|x| + h)

    (Jacobi 1846; Golub & Van Loan, Matrix Computations, 8.5; for complex `a` the
    phase of `a` stays in `t`, which makes the rotation unitary). Only `sqrt` and true
    divisions occur: TensorFlow's reciprocals are biased in float32, and `V` would
    lose its orthogonality.

    Args:
        a: The entries `w_pq`.
        x: The differences `w_qq - w_pp`.
        rotate: 1 to rotate, 0 for exactly `c = 1`, `t = 0`.
        side: 1 for row p, -1 for row q, whose `x` and `t` have the opposite sign.

    Returns:
        `(c, t)`; row p becomes `c (row p - t row q)`.
    """
    dtype = x.dtype
    size = tf.abs(x)
    # Multiplied after the sum: TensorFlow reorders a chain of additions where shapes
    # are known, and results would depend on whether the size of the batch is known.
    h = tf.sqrt(x * x + 4 * rotate * squared(a))
    h = tf.maximum(h, size)  # x * x may underflow
    h += tf.cast(h <= 0, dtype)
    c = 1 - rotate * (1 - tf.sqrt(0.5 + 0.5 * (size / h)))
    # Written so that both partners get exactly opposite signs, also at x = 0.
    sign = side * (2 * tf.cast(side * x >= 0, dtype) - 1)
    sign *= 2 * rotate
    return c, tuple(sign * part / (size + h) for part in a)


def multiply(s: Parts, z: Parts) -> Parts:
    """Multiplies numbers given as parts."""
    if len(s) == 1:
        return (s[0] * z[0],)
    return s[0] * z[0] - s[1] * z[1], s[0] * z[1] + s[1] * z[0]


def conjugate(z: Parts) -> Parts:
    """Conjugates numbers given as parts."""
    return z if len(z) == 1 else (z[0], -z[1])


def _turn(c: tf.Tensor, s: Parts, x: Parts, y: Parts) -> Parts:
    # c x - s y
    return tuple(c * u - v for u, v in zip(x, multiply(s, y), strict=True))


class _Rows:
    """The state `[rows, batch]` taken apart: diagonal, lower entries, vectors."""

    def __init__(self, state: tf.Tensor, n: int, components: int) -> None:
        self.n = n
        self.places = [(i, j) for i in range(n) for j in range(i)]
        off = len(self.places)
        sizes = [1] * (n + off * components) + [n] * (n * components)
        rows = tf.split(state, sizes, 0)
        self.d = rows[:n]
        lower, vectors = rows[n : -n * components], rows[-n * components :]
        # entry[i, j] for i > j only; vector[i] is [n, batch], the i-th eigenvector.
        self.entry = {
            place: tuple(lower[k + off * m] for m in range(components))
            for k, place in enumerate(self.places)
        }
        self.vector = [
            tuple(vectors[i + n * m] for m in range(components)) for i in range(n)
        ]
        self.components = components

    def joined(self, order: list[int]) -> tf.Tensor:
        """Puts the state together, with index `order[i]` in place of i."""
        rows = [self.d[i] for i in order]
        entries = [self.get(order[i], order[j]) for i, j in self.places]
        for m in range(self.components):
            rows += [entry[m] for entry in entries]
        for m in range(self.components):
            rows += [self.vector[i][m] for i in order]
        return tf.concat(rows, 0)

    def get(self, i: int, j: int) -> Parts:
        return self.entry[i, j] if i > j else conjugate(self.entry[j, i])

    def put(self, i: int, j: int, value: Parts) -> None:
        if i > j:
            self.entry[i, j] = value
        else:
            self.entry[j, i] = conjugate(value)

    def stacked(
        self, pairs: list[tuple[int, int]]
    ) -> tuple[Parts, tf.Tensor, tf.Tensor]:
        """Returns w_pq, w_pp and w_qq of several pairs as `[pairs, batch]`."""
        a = [self.get(p, q) for p, q in pairs]
        return (
            tuple(tf.concat([z[m] for z in a], 0) for m in range(self.components)),
            tf.concat([self.d[p] for p, _ in pairs], 0),
            tf.concat([self.d[q] for _, q in pairs], 0),
        )


def eigh_small(
    diagonal: tf.Tensor, lower: Parts, noise2: tf.Tensor, n: int
) -> tuple[tf.Tensor, Parts]:
    """Decomposes scaled matrices of order at most 4.

    Args:
        diagonal: `[n, batch]`, the diagonal entries.
        lower: Parts `[n (n-1)/2, batch]`, the entries below the diagonal row by row.
        noise2: `[batch]`, from `scale`.
        n: Order of the matrices.

    Returns:
        `(d, V)`: `d` `[n, batch]` ascending; `V` parts `[n, n, batch]`, the i-th
        eigenvector in `V[i]`.
    """
    components, dtype = len(lower), diagonal.dtype
    tol2 = tolerance2(n, dtype)
    one = tf.ones_like(diagonal[:1])
    identity = tf.constant(np.eye(n).reshape(n * n, 1), dtype) * one
    vectors = [identity] + [tf.zeros_like(identity)] * (components - 1)
    state = tf.concat([diagonal, *lower, *vectors], 0)

    def one_round(state: tf.Tensor) -> tf.Tensor:
        rows = _Rows(state, n, components)
        _rotate(rows, _PAIRS[n], tol2, noise2)
        return rows.joined(_NEXT[n])

    every = [(i, j) for i in range(n) for j in range(i)]

    def unfinished(count: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        active = is_active(*_Rows(state, n, components).stacked(every), tol2, noise2)
        phase = tf.math.floormod(count, _PERIOD)
        # Only whole sweeps: the order of equal eigenvalues must not depend on when
        # the last member of the batch is done.
        left = (tf.reduce_max(tf.cast(active, dtype)) > 0) | (phase > 0)
        return (count < MAX_SWEEPS * _PERIOD) & left

    if n == 2:  # one rotation is the whole work
        state = one_round(state)
    elif n > 2:
        start = (tf.constant(0), state)
        _, state = tf.while_loop(unfinished, lambda k, z: (k + 1, one_round(z)), start)

    rows = _Rows(state, n, components)
    for i, j in _NETWORK[n]:
        swap = rows.d[j] < rows.d[i]
        rows.d[i], rows.d[j] = _exchanged(swap, rows.d[i], rows.d[j])
        parts = zip(rows.vector[i], rows.vector[j], strict=True)
        exchanged = [_exchanged(swap, u, v) for u, v in parts]
        rows.vector[i] = tuple(u for u, _ in exchanged)
        rows.vector[j] = tuple(v for _, v in exchanged)
    V = tuple(
        tf.stack([vector[m] for vector in rows.vector]) for m in range(components)
    )
    return tf.concat(rows.d, 0), V


def _rotate(
    rows: _Rows, pairs: list[tuple[int, int]], tol2: tf.Tensor, noise2: tf.Tensor
) -> None:
    # The pairs are disjoint, so their angles are found together.
    a, dp, dq = rows.stacked(pairs)
    rotate = tf.cast(is_active(a, dp, dq, tol2, noise2), dp.dtype)
    c, t = rotation(a, dq - dp, rotate)
    # dp and dq change by Re(conj(t) a); a becomes 0.
    change = sum(u * v for u, v in zip(t, a, strict=True))
    left = tuple(z - z * rotate for z in a)
    split = [tf.split(x, len(pairs), 0) for x in (c, change, *t, *left)]
    for k, (p, q) in enumerate(pairs):
        c, change, *rest = (column[k] for column in split)
        s = tuple(c * x for x in rest[: len(t)])
        back = tuple(-x for x in conjugate(s))
        rows.d[p], rows.d[q] = rows.d[p] - change, rows.d[q] + change
        rows.put(p, q, tuple(rest[len(t) :]))
        for r in set(range(rows.n)) - {p, q}:
            x, y = rows.get(p, r), rows.get(q, r)
            rows.put(p, r, _turn(c, s, x, y))
            rows.put(q, r, _turn(c, back, y, x))
        # V^H takes part in the rotation of the rows, hence V in the conjugate one.
        x, y = rows.vector[p], rows.vector[q]
        rows.vector[p] = _turn(c, conjugate(s), x, y)
        rows.vector[q] = _turn(c, conjugate(back), y, x)


def _exchanged(
    swap: tf.Tensor, x: tf.Tensor, y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.where(swap, y, x), tf.where(swap, x, y)
