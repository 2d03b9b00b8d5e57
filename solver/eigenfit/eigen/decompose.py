"""Picks the eigensolver by how the program is compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import tensorflow as tf

from eigenfit.eigen.jacobi import jacobi_eigh
from eigenfit.tensors.private_tf import inside_xla

_change: ContextVar[Callable[[tf.Tensor], tf.Tensor] | None] = ContextVar(
    "change", default=None
)


@contextlib.contextmanager
def perturbed(change: Callable[[tf.Tensor], tf.Tensor]) -> Iterator[None]:
    """Changes every matrix that goes through `rounded`, eagerly or in a trace.

    These are all matrices that are decomposed, and those of the equations of steps.

    An eigensolver returns the exact decomposition of a matrix that differs from its
    input by rounding. Changes of that size show how another solver, another machine or
    another order of summation would affect a whole computation.

    Args:
        change: Maps `[..., n, n]` to a Hermitian tensor of the same shape.

    Example:
        >>> with perturbed(lambda A: 2 * A):
        ...     w, _ = decompose(tf.constant([[1.0, 0.0], [0.0, 3.0]]))
        >>> w.numpy().tolist()
        [2.0, 6.0]
    """
    token = _change.set(change)
    try:
        yield
    finally:
        _change.reset(token)


def rounded(A: tf.Tensor, share: float = 1.0) -> tf.Tensor:
    """Returns a matrix `[..., n, n]` unchanged, or changed inside `perturbed`.

    Args:
        A: `[..., n, n]`, symmetric or Hermitian.
        share: Fraction of the change that is made.
    """
    change = _change.get()
    return A + share * (change(A) - A) if change else A


def decompose(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes Hermitian matrices; defines no gradient.

    Outside XLA this is TensorFlow's own solver. XLA's solver stops at a residual of
    4e-9 (n = 5) to 2e-6 (n = 100) in float64, so that a program compiled by XLA gets
    our Jacobi solver instead.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128. Only the lower
            triangle is read.

    Returns:
        `(w, V)`: `w` `[..., n]` real, ascending; `V` `[..., n, n]` with the
        eigenvectors in its columns. A member with a NaN or an infinity in its lower
        triangle gives NaN and does not affect the others.
    """
    A = rounded(A)
    if inside_xla():
        return jacobi_eigh(A)
    # SelfAdjointEigV2 reads the lower triangle only, but raises for the whole batch
    # when one member is not finite. Few operations are used: for a matrix of order 3
    # they would take longer than its decomposition.
    lower = tf.linalg.band_part(A - A, -1, 0)
    poison = tf.reduce_sum(lower, axis=[-2, -1], keepdims=True)  # 0 or NaN
    w, V = tf.linalg.eigh(tf.where(tf.equal(poison, 0), A, tf.zeros([], A.dtype)))
    w += tf.squeeze(poison, -1)
    return tf.math.real(w) if A.dtype.is_complex else w, V + poison
