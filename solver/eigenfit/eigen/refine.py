"""Eigenvectors improved by matrix products.

One step multiplies a basis of approximate eigenvectors by `I + E`, with E from
T. Ogita & K. Aishima, Japan J. Indust. Appl. Math. 35 (2018) 1007-1035: with
`R = I - V^H V`, Rayleigh quotients w and `F = V^H (A V - V diag(w))`

    E_ij = F_ij / (w_j - w_i)    outside of clusters,    R_ij / 2    inside of one,

which squares the error. A cluster is a chain of eigenvalues closer to each other than
`delta`, where the quotient means nothing: there V is turned by the eigenvectors of the
block of `V^H A V` (the same, part II, 36 (2019) 435-459). The paper's delta bounds the
error of the eigenvalues; here it is at least 20 times the largest of all
`|F_ij| + ||A|| |R_ij|`, so that no entry of E exceeds 1/20 and a few steps are enough.
From a bad basis everything is one cluster, and the block is the whole matrix.

Single precision is refined in double precision: it costs little, and a GPU would round
products of float32 to TensorFloat-32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.eigen.decompose import decompose
from eigenfit.eigen.jacobi_small import safe_factor
from eigenfit.eigen.rounding import epsilon

# Accepted residual and loss of orthogonality, in units of eps sqrt(n). A basis of full
# accuracy has 1 to 3 of these.
_ACCEPTED = 16.0
# Likewise, the size of entries inside clusters from which turning the basis pays.
_NOTICED = 2.0
# In units of ||A||: for smaller gaps the rounding of F alone makes E exceed sqrt(eps),
# and V then loses orthogonality by its square.
_NEAR = 4 * epsilon(tf.float64) ** 0.5
_STEPS = 3  # an error of 1/100 becomes 1e-16


class _Matrix(NamedTuple):
    """What does not change while a basis is refined; `b` is the flattened batch."""

    A: tf.Tensor  # [b, n, n], double precision, Hermitian, safe to square
    factor: tf.Tensor  # [b, 1], the power of two in it
    poison: tf.Tensor  # [b, 1], 0, or NaN for a member with a NaN or an infinity
    norm: tf.Tensor  # [b], Frobenius
    unit: tf.Tensor  # eps sqrt(n) for the dtype that was given


class _Basis(NamedTuple):
    w: tf.Tensor  # [b, n], Rayleigh quotients, ascending
    V: tf.Tensor  # [b, n, n]
    T: tf.Tensor  # [b, n, n], A V - V diag(w)
    R: tf.Tensor  # [b, n, n], I - V^H V


def refine(A: Any, V: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Makes one step of refinement; defines no gradient.

    The step squares the error of the eigenvectors of well separated eigenvalues, and
    solves clusters anew. It does not check the result: see `warm_start`.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128. Only the lower
            triangle is read.
        V: The same shape and dtype, approximate eigenvectors in columns, in any order.

    Returns:
        `(w, V)`: `w` `[..., n]` real, ascending; `V` `[..., n, n]` with the
        eigenvectors in its columns. A member that is not finite gives NaN.

    Example:
        >>> A = tf.constant([[2.0, 1e-4], [1e-4, 1.0]], tf.float64)
        >>> w, V = refine(A, tf.eye(2, dtype=tf.float64))
        >>> w.numpy().round(8).tolist()
        [0.99999999, 2.00000001]
    """
    A, V = tf.convert_to_tensor(A), tf.convert_to_tensor(V)
    matrix = _prepared(A)
    basis = _measured(matrix, _improved(matrix, _measured(matrix, _flat(V))))
    return _returned(A, matrix, basis)


def warm_start(A: Any, V: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes from a basis that is known to be near; defines no gradient.

    Refines the basis in at most three steps, and makes a full decomposition if that is
    not enough. Both run only if some member needs them, and change only the members
    that do.

    Args:
        A: `[..., n, n]`, as for `refine`.
        V: `[..., n, n]`, the eigenvectors of a matrix near `A`. A bad basis, even NaN,
            costs time but no accuracy.

    Returns:
        `(w, V)`, as `decompose`.

    Example:
        >>> A = tf.constant([[2.0, 1.0], [1.0, 2.0]], tf.float64)
        >>> _, V = warm_start(A, tf.eye(2, dtype=tf.float64))
        >>> w, _ = warm_start(A + 0.01, V)
        >>> w.numpy().tolist()
        [1.0, 3.02]
    """
    A, V = tf.convert_to_tensor(A), tf.convert_to_tensor(V)
    matrix = _prepared(A)

    def once_more(basis: _Basis) -> _Basis:
        return _measured(matrix, _improved(matrix, basis))

    def anew(basis: _Basis) -> _Basis:
        w, V = decompose(_flat(A))
        w = tf.cast(w, basis.w.dtype) * matrix.factor
        return basis._replace(w=w, V=tf.cast(V, basis.V.dtype))

    def unfinished(step: tf.Tensor, basis: _Basis) -> tf.Tensor:
        return (step < _STEPS) & tf.reduce_any(_is_bad(matrix, basis))

    def refined(step: tf.Tensor, basis: _Basis) -> tuple[tf.Tensor, _Basis]:
        return step + 1, _where_bad(matrix, basis, once_more)

    start = (tf.constant(0), _measured(matrix, _flat(V)))
    _, basis = tf.while_loop(unfinished, refined, start)
    basis = tf.cond(
        tf.reduce_any(_is_bad(matrix, basis)),
        lambda: _where_bad(matrix, basis, anew),
        lambda: basis,
    )
    return _returned(A, matrix, basis)


def _flat(A: tf.Tensor) -> tf.Tensor:
    if A.shape.rank == 3:
        return A
    n = A.shape[-1]
    flat = tf.reshape(A, tf.concat([[-1], tf.shape(A)[-2:]], 0))
    return tf.ensure_shape(flat, [None, n, n])


def _prepared(A: tf.Tensor) -> _Matrix:
    n = tf.cast(tf.shape(A)[-1], tf.float64)
    unit = epsilon(A.dtype) * tf.sqrt(n)
    lower = tf.linalg.band_part(_flat(A), -1, 0)
    lower = tf.cast(lower, tf.complex128 if A.dtype.is_complex else tf.float64)
    diagonal = tf.math.real(tf.linalg.diag_part(lower))
    A = lower + tf.linalg.adjoint(lower)
    A = tf.linalg.set_diag(A, tf.cast(diagonal, A.dtype))
    largest = tf.reduce_max(tf.abs(tf.math.real(A)), axis=[-2, -1])
    if A.dtype.is_complex:
        more = tf.reduce_max(tf.abs(tf.math.imag(A)), axis=[-2, -1])
        largest = tf.maximum(largest, more)
    factor = safe_factor(largest)[:, tf.newaxis]
    A *= tf.cast(factor, A.dtype)[:, tf.newaxis]
    poison = tf.math.real(tf.reduce_sum(A - A, axis=[-2, -1]))[:, tf.newaxis]
    return _Matrix(A, factor, poison, _norm(A), unit)


def _measured(matrix: _Matrix, V: tf.Tensor) -> _Basis:
    """Puts a basis in ascending order of its Rayleigh quotients."""
    V = tf.cast(V, matrix.A.dtype)
    image = tf.linalg.matmul(matrix.A, V)
    squares = tf.math.real(tf.reduce_sum(tf.math.conj(V) * V, -2))
    w = tf.math.real(tf.reduce_sum(tf.math.conj(V) * image, -2)) / squares
    order = tf.argsort(w, stable=True)
    w = tf.gather(w, order, batch_dims=1)
    V = tf.gather(V, order, axis=-1, batch_dims=1)
    image = tf.gather(image, order, axis=-1, batch_dims=1)
    T = image - V * tf.cast(w, V.dtype)[:, tf.newaxis]
    return _Basis(w, V, T, _identity(V) - tf.linalg.matmul(V, V, adjoint_a=True))


def _improved(matrix: _Matrix, basis: _Basis) -> tf.Tensor:
    w, V, T, R = basis
    F = tf.linalg.matmul(V, T, adjoint_a=True)
    off = F * (1 - _identity(F))
    size = tf.reduce_max(tf.abs(w), -1)
    delta = 20 * (_largest(off) + size * _largest(R)) + _NEAR * size
    apart = tf.cast(w[:, 1:] - w[:, :-1] > delta[:, tf.newaxis], tf.int32)
    cluster = tf.pad(tf.cumsum(apart, -1), [[0, 0], [1, 0]])  # [b, n], its number
    same = cluster[:, :, tf.newaxis] == cluster[:, tf.newaxis]
    gap = w[:, tf.newaxis] - w[:, :, tf.newaxis]
    # E gets exactly R / 2 as its Hermitian part: the rounding of F, divided by a small
    # gap, would make V less orthogonal than before.
    quotient = F / tf.cast(tf.where(same, tf.ones_like(gap), gap), F.dtype)
    turn_by = tf.where(same, tf.zeros_like(F), quotient)
    V += tf.linalg.matmul(V, R + turn_by - tf.linalg.adjoint(turn_by)) / 2

    inside = _norm(tf.where(same, off, tf.zeros_like(off)))
    turned = inside > _NOTICED * matrix.unit * matrix.norm

    def turn() -> tf.Tensor:
        S = tf.linalg.matmul(V, tf.linalg.matmul(matrix.A, V), adjoint_a=True)
        mask = same & turned[:, tf.newaxis, tf.newaxis]
        block = tf.where(mask, S, tf.zeros_like(S))
        _, W = decompose(block)
        return _chosen(turned, tf.linalg.matmul(V, W), V)

    return tf.cond(tf.reduce_any(turned), turn, lambda: V)


def _is_bad(matrix: _Matrix, basis: _Basis) -> tf.Tensor:
    allowed = _ACCEPTED * matrix.unit
    good = (_norm(basis.T) <= allowed * matrix.norm) & (_norm(basis.R) <= allowed)
    return ~good & (matrix.poison[:, 0] == 0)  # NaN is bad as well


def _where_bad(
    matrix: _Matrix, basis: _Basis, function: Callable[[_Basis], _Basis]
) -> _Basis:
    bad, new = _is_bad(matrix, basis), function(basis)
    return _Basis(*(_chosen(bad, x, y) for x, y in zip(new, basis, strict=True)))


def _returned(
    A: tf.Tensor, matrix: _Matrix, basis: _Basis
) -> tuple[tf.Tensor, tf.Tensor]:
    w = tf.cast(basis.w / matrix.factor + matrix.poison, A.dtype.real_dtype)
    V = basis.V + tf.cast(matrix.poison, basis.V.dtype)[:, tf.newaxis]
    V = tf.cast(V, A.dtype)
    if A.shape.rank == 3:
        return w, V
    shape = tf.shape(A)
    w = tf.ensure_shape(tf.reshape(w, shape[:-1]), A.shape[:-1])
    return w, tf.ensure_shape(tf.reshape(V, shape), A.shape)


def _identity(A: tf.Tensor) -> tf.Tensor:
    return tf.eye(tf.shape(A)[-1], dtype=A.dtype)


def _largest(A: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(tf.abs(A), axis=[-2, -1])


def _norm(A: tf.Tensor) -> tf.Tensor:
    squares = tf.math.real(A * tf.math.conj(A))
    return tf.sqrt(tf.reduce_sum(squares, axis=[-2, -1]))


def _chosen(mask: tf.Tensor, new: tf.Tensor, old: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(mask, [-1] + [1] * (new.shape.rank - 1)), new, old)
