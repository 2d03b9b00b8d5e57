"""Derivatives of spectral functions, first and second order.

With A = V diag(w) V^H and a function f of the eigenvalues,

    gradient       G = V diag(g) V^H,                    g_i = df/dw_i
    Hessian        dG = V (L o H) V^H,  H = V^H dA V,
                   L_ij = (g_i - g_j) / (w_i - w_j)      for i != j,

and on the diagonal the second derivative of f (Lewis, Math. Oper. Res. 21 (1996);
Lewis & Sendov, SIAM J. Matrix Anal. Appl. 23 (2001)). For the weighted sum of squares
g_i = 2 c_i (w_i - t_i) the quotient has a closed form without cancellation, whose
division disappears where weights and targets coincide: see `_loewner`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from eigenfit.eigen.decompose import decompose
from eigenfit.eigen.rounding import epsilon


def from_spectrum(V: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Computes `V diag(values) V^H`: `[..., n, n]` from `[..., n, n]`, `[..., n]`."""
    scaled = V * tf.cast(values, V.dtype)[..., tf.newaxis, :]
    return tf.linalg.matmul(V, scaled, adjoint_b=True)


# In every product V stands on the left. `GradientTape.jacobian` gives the other factor
# one more dimension, and TensorFlow 2.21 on CPU (oneDNN, float32) reads outside of its
# memory when the right factor of shape [1, 1, n, n] is broadcast.


def _rotate(V: tf.Tensor, H: tf.Tensor) -> tf.Tensor:
    """Computes the Hermitian part of `V^H H V`."""
    left = tf.linalg.matmul(V, H, adjoint_a=True)
    transposed = tf.linalg.matmul(V, left, transpose_a=True, transpose_b=True)
    return (tf.linalg.matrix_transpose(transposed) + tf.math.conj(transposed)) / 2


def _unrotate(V: tf.Tensor, H: tf.Tensor) -> tf.Tensor:
    """Computes `V H V^H`."""
    left = tf.linalg.matmul(V, H)
    return tf.linalg.matrix_transpose(
        tf.linalg.matmul(tf.math.conj(V), left, transpose_b=True)
    )


def _real_diag(H: tf.Tensor) -> tf.Tensor:
    return tf.math.real(tf.linalg.diag_part(H))


def _pairwise(x: tf.Tensor) -> tf.Tensor:
    # [..., i, j] = x_i - x_j
    return x[..., :, tf.newaxis] - x[..., tf.newaxis, :]


def degeneracy_tolerance(w: tf.Tensor, rtol: float | None) -> tf.Tensor:
    """Gives the relative width of a cluster: eps^0.6 by default.

    That is 4e-10 in double precision (M. F. Kasim, arXiv:2011.04366, takes the same).
    A level has an error of a few eps, so that a quotient by a wider gap is right to
    1e-6; a double level that comes out a few eps apart lies well inside.
    """
    if rtol is None:
        rtol = epsilon(w.dtype) ** 0.6
    elif not rtol >= 0:
        raise ValueError(f"`degenerate_rtol` must be 0 or greater, got {rtol!r}.")
    return tf.constant(rtol, w.dtype)


def _degenerate(w: tf.Tensor, rtol: tf.Tensor) -> tf.Tensor:
    """Marks pairs in one cluster, `[..., n, n]`; the diagonal is always marked."""
    scale = tf.reduce_max(tf.abs(w), axis=-1)[..., tf.newaxis, tf.newaxis]
    return tf.abs(_pairwise(w)) <= rtol * scale


def _nan_where(mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    return tf.where(mask, tf.cast(float("nan"), x.dtype), x)


# In a tf.function the second derivative lives two graphs away from the forward pass
# and can reach only tensors of the graph between them. What a gradient function needs
# is therefore handed to it as an argument, made a tensor of its own graph by `here`.


def constant_pairs(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes without a trace on any tape.

    Stopped on both sides: a tape of second order would otherwise differentiate the
    loop inside the eigensolver, before it or after it, which XLA cannot compile.
    """
    w, V = decompose(tf.stop_gradient(A))
    return tf.stop_gradient(w), tf.stop_gradient(V)


def _final(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the derivative of what `function` returns NaN.

    The formulas here treat the decomposition as constant: differentiating them once
    more would give a wrong number silently. Where nothing flows back the derivative
    is zero.
    """

    @tf.custom_gradient
    def final(*inputs: tf.Tensor):
        def backward(*upstream: tf.Tensor):
            quiet = tf.add_n([_magnitude(x) for x in upstream]) == 0
            return [_nan_where(~quiet, tf.zeros_like(x)) for x in inputs]

        return function(*inputs), backward

    return final


def here(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """Makes tensors of the current graph."""
    return [tf.identity(x) for x in tensors]


def _magnitude(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.abs(x))


@tf.custom_gradient
def levels_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, g: tf.Tensor, rtol: tf.Tensor
):
    """`V diag(g) V^H` as a function of `A` and `g`."""

    def backward(H: tf.Tensor):
        A_bar, g_bar = _levels_second(*here(w, V, g, rtol, H))
        return A_bar, None, None, g_bar, None

    return from_spectrum(V, g), backward


@_final
def _levels_second(
    w: tf.Tensor, V: tf.Tensor, g: tf.Tensor, rtol: tf.Tensor, H: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    H = _rotate(V, H)
    cluster = _degenerate(w, rtol)
    gap = tf.where(cluster, tf.ones_like(H, w.dtype), _pairwise(w))
    loewner = tf.cast(_pairwise(g) / gap, H.dtype)
    off = tf.linalg.set_diag(H, tf.zeros_like(H[..., 0]))
    inside = _nan_where(off != 0, tf.zeros_like(off))
    return _unrotate(V, tf.where(cluster, inside, loewner * off)), _real_diag(H)


@tf.custom_gradient
def vectors_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, V_bar: tf.Tensor, rtol: tf.Tensor
):
    """`V herm(F o X) V^H` with `X = V^H V_bar` and `F_ij = 1 / (w_j - w_i)`."""
    X = tf.linalg.matmul(V, V_bar, adjoint_a=True)
    cluster = _degenerate(w, rtol)
    gap = tf.where(cluster, tf.ones_like(X, w.dtype), _pairwise(w))
    inner = tf.where(cluster, tf.zeros_like(X), -X / tf.cast(gap, X.dtype))
    inner = (inner + tf.linalg.adjoint(inner)) / 2
    # Inside a cluster (and, complex, on the diagonal: the phase) X is Hermitian
    # exactly when the loss does not see a rotation of the basis.
    skew = tf.abs(tf.where(cluster, X - tf.linalg.adjoint(X), tf.zeros_like(X)))
    allowed = epsilon(w.dtype) ** 0.5 * tf.reduce_max(tf.abs(X), axis=[-2, -1])
    depends = tf.reduce_max(skew, axis=[-2, -1]) > allowed
    A_bar = _nan_where(depends[..., tf.newaxis, tf.newaxis], _unrotate(V, inner))

    def backward(H: tf.Tensor):
        # Zero where no loss used the vectors, else not known here.
        quiet = (_magnitude(H) == 0) | (_magnitude(V_bar) == 0)
        A_bar, V_bar_bar = (_nan_where(~quiet, tf.zeros_like(x)) for x in (A, V_bar))
        return A_bar, None, None, V_bar_bar, None

    return A_bar, backward


@tf.custom_gradient
def loss_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, t: tf.Tensor, c: tf.Tensor, u: tf.Tensor
):
    """Derivatives of `u sum c (w - t)^2` by A, t and c."""
    residual = w - t
    u_ = u[..., tf.newaxis]
    slope = 2 * u_ * c * residual

    def backward(H: tf.Tensor, q: tf.Tensor, s: tf.Tensor):
        inputs = here(w, V, t, c, u, H, q, s)
        A_bar, t_bar, c_bar, u_bar = _loss_second(*inputs)
        return A_bar, None, None, t_bar, c_bar, u_bar

    return (from_spectrum(V, slope), -slope, u_ * residual**2), backward


@_final
def _loss_second(
    w: tf.Tensor,
    V: tf.Tensor,
    t: tf.Tensor,
    c: tf.Tensor,
    u: tf.Tensor,
    H: tf.Tensor,
    q: tf.Tensor,
    s: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    # H, q, s flow back into the derivatives by A, t, c.
    residual = w - t
    u_ = u[..., tf.newaxis]
    H = _rotate(V, H)
    h = _real_diag(H)
    diagonal = 2 * c * (h - q) + 2 * residual * s
    curved = tf.linalg.set_diag(
        tf.cast(_loewner(w, t, c), H.dtype) * H, tf.cast(diagonal, H.dtype)
    )
    return (
        tf.cast(u_[..., tf.newaxis], H.dtype) * _unrotate(V, curved),
        -u_ * diagonal,
        2 * u_ * residual * (h - q),
        tf.reduce_sum(2 * c * residual * (h - q) + residual**2 * s, axis=-1),
    )


def _loewner(w: tf.Tensor, t: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    """`(g_i - g_j) / (w_i - w_j)` for `g = 2 c (w - t)`, `[..., n, n]`.

    Written out it is `c_i + c_j - N_ij / (w_i - w_j)` with
    `N_ij = (c_i + c_j) (t_i - t_j) - (c_i - c_j) (w_i + w_j - t_i - t_j)`, which is
    zero, so that nothing is divided, where weights and targets agree. Where they do
    not, levels that coincide make a kink, and the result is NaN.
    """
    total = c[..., :, tf.newaxis] + c[..., tf.newaxis, :]
    excess = w - t
    excess = excess[..., :, tf.newaxis] + excess[..., tf.newaxis, :]
    N = total * _pairwise(t) - _pairwise(c) * excess
    same = (_pairwise(c) == 0) & (_pairwise(t) == 0)
    kink = ~same & _degenerate(w, degeneracy_tolerance(w, None))
    gap = tf.where(same | kink, tf.ones_like(N), _pairwise(w))
    return _nan_where(kink, total - tf.where(same, tf.zeros_like(N), N / gap))
