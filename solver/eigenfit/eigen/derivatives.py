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
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from eigenfit.eigen.decompose import decompose

Convention = Literal["symmetric", "lower"]


def eigvalsh(
    A: Any,
    *,
    gradient: Convention = "symmetric",
    degenerate_rtol: float | None = None,
) -> tf.Tensor:
    """Computes eigenvalues of Hermitian matrices, differentiable twice.

    The gradient is `V diag(g) V^H` from the decomposition of the forward pass: one
    decomposition in all, and no NaN where eigenvalues coincide. The second
    derivative of a general function of the eigenvalues is not determined by its
    first one inside a cluster: such entries are NaN, never a wrong number. Use
    `spectral_loss` where the Hessian is wanted at coinciding eigenvalues.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128; only the lower
            triangle is read.
        gradient: `"symmetric"` gives the symmetric gradient G with `<G, dA>` the
            change for symmetric `dA`; `"lower"` the derivative by the entries that
            are read: zero above the diagonal, doubled below it.
        degenerate_rtol: Two eigenvalues belong to one cluster when they differ by at
            most this times the largest modulus; default `n` times the machine
            epsilon.

    Returns:
        `[..., n]`, real, ascending.

    Raises:
        ValueError: If `A` is not a batch of square matrices of order at least 1.
        TypeError: If its dtype is none of the four.

    Example:
        >>> eigvalsh([[0.0, 1.0], [1.0, 0.0]]).numpy().tolist()
        [-1.0, 1.0]
    """
    A = _as_matrix(A, gradient)

    @tf.custom_gradient
    def levels(A: tf.Tensor):
        w, V = _constant(A)
        rtol = _tolerance(w, degenerate_rtol)

        def backward(g: tf.Tensor):
            return _levels_gradient(*_here(A, w, V, g, rtol))

        return w, backward

    return levels(A)


def eigh(
    A: Any,
    *,
    gradient: Convention = "symmetric",
    degenerate_rtol: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes Hermitian matrices, with a gradient for vectors as well.

    Where only eigenvalues enter a loss, `eigvalsh` is cheaper. The gradient through
    the eigenvectors exists for a loss that does not depend on the basis chosen inside
    a cluster of eigenvalues, nor on the phase of a complex eigenvector (Kasim,
    arXiv:2011.04366); a member whose loss does depend on it gets a NaN gradient.
    Second derivatives are defined for the eigenvalues only; through the eigenvectors
    they are NaN.

    Args:
        A: As for `eigvalsh`.
        gradient: As for `eigvalsh`.
        degenerate_rtol: As for `eigvalsh`.

    Returns:
        `(w, V)`: eigenvalues `[..., n]`, ascending, and eigenvectors `[..., n, n]` in
        columns.

    Raises:
        ValueError: As `eigvalsh`.
        TypeError: As `eigvalsh`.

    Example:
        >>> w, V = eigh([[2.0, 0.0], [0.0, 1.0]])
        >>> w.numpy().tolist()
        [1.0, 2.0]
    """
    A = _as_matrix(A, gradient)

    @tf.custom_gradient
    def pairs(A: tf.Tensor):
        w, V = _constant(A)
        rtol = _tolerance(w, degenerate_rtol)

        def backward(g: tf.Tensor, V_bar: tf.Tensor):
            by_levels = _levels_gradient(*_here(A, w, V, g, rtol))
            return by_levels + _vectors_gradient(*_here(A, w, V, V_bar, rtol))

        return (w, V), backward

    return pairs(A)


def spectral_loss(
    A: Any,
    targets: Any,
    weights: Any = None,
    *,
    gradient: Convention = "symmetric",
) -> tf.Tensor:
    """Computes `sum_i weights_i (targets_i - lambda_i)^2`, differentiable twice.

    Nested gradient tapes give the exact Hessian also where eigenvalues coincide, as
    long as weights and targets are equal there. (TensorFlow's own
    `tf.linalg.eigvalsh` gives 0 instead of 4 for off-diagonal entries at the
    identity matrix.) Where the targets inside a cluster differ the loss has a kink:
    the gradient is then one element of the subdifferential, the second derivative
    infinite or NaN. Third derivatives are NaN.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128; only the lower
            triangle is read.
        targets: `[..., n]` real, ascending.
        weights: `[..., n]` real, not negative; 1 by default. A zero weight leaves its
            level out, whatever its (finite) target.
        gradient: As for `eigvalsh`.

    Returns:
        `[...]`, the loss.

    Raises:
        ValueError: If shapes do not fit.
        TypeError: If the dtype of `A` is not a float or complex one.

    Example:
        >>> spectral_loss([[2.0, 0.0], [0.0, 5.0]], [1.0, 5.0]).numpy().item()
        1.0
    """
    A = _as_matrix(A, gradient)
    real = A.dtype.real_dtype
    targets = tf.convert_to_tensor(targets, real)
    if weights is None:
        weights = tf.ones_like(targets)
    weights = tf.convert_to_tensor(weights, real)
    order = A.shape[-1]
    for name, value in (("targets", targets), ("weights", weights)):
        if value.shape.rank == 0 or not value.shape[-1:].is_compatible_with([order]):
            raise ValueError(
                f"`{name}` must have shape [..., {order}], one for each eigenvalue of "
                f"`A`, got {value.shape}."
            )
    batch = tf.broadcast_dynamic_shape(tf.shape(A)[:-2], tf.shape(targets)[:-1])
    batch = tf.broadcast_dynamic_shape(batch, tf.shape(weights)[:-1])
    shape = tf.concat([batch, tf.shape(A)[-1:]], axis=0)
    A = tf.broadcast_to(A, tf.concat([shape, tf.shape(A)[-1:]], axis=0))
    return _loss(A, tf.broadcast_to(targets, shape), tf.broadcast_to(weights, shape))


def from_spectrum(V: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Computes `V diag(values) V^H`: `[..., n, n]` from `[..., n, n]`, `[..., n]`."""
    scaled = V * tf.cast(values, V.dtype)[..., tf.newaxis, :]
    return tf.linalg.matmul(V, scaled, adjoint_b=True)


def _as_matrix(A: Any, gradient: str) -> tf.Tensor:
    A = tf.convert_to_tensor(A)
    if A.dtype not in (tf.float32, tf.float64, tf.complex64, tf.complex128):
        raise TypeError(
            f"`A` must be float32, float64, complex64 or complex128, got "
            f"{A.dtype.name}. Cast it with tf.cast."
        )
    rank = A.shape.rank
    if rank is not None and (
        rank < 2
        or A.shape[-1] == 0
        or not A.shape[-1:].is_compatible_with(A.shape[-2:-1])
    ):
        raise ValueError(f"`A` must have shape [..., n, n] with n >= 1, got {A.shape}.")
    if gradient == "lower":
        # Reading the lower triangle is a linear map; its adjoint is the convention.
        strict = tf.linalg.band_part(A, -1, 0) - tf.linalg.band_part(A, 0, 0)
        diagonal = tf.linalg.band_part(A, 0, 0)
        diagonal = (diagonal + tf.linalg.adjoint(diagonal)) / 2
        return diagonal + strict + tf.linalg.adjoint(strict)
    if gradient != "symmetric":
        raise ValueError(
            f'`gradient` must be "symmetric" or "lower", got {gradient!r}.'
        )
    return A


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


def _tolerance(w: tf.Tensor, rtol: float | None) -> tf.Tensor:
    if rtol is None:
        return tf.cast(tf.shape(w)[-1], w.dtype) * _epsilon(w.dtype)
    return tf.constant(rtol, w.dtype)


def _degenerate(w: tf.Tensor, rtol: tf.Tensor) -> tf.Tensor:
    """Marks pairs in one cluster, `[..., n, n]`; the diagonal is always marked."""
    scale = tf.reduce_max(tf.abs(w), axis=-1)[..., tf.newaxis, tf.newaxis]
    return tf.abs(_pairwise(w)) <= rtol * scale


def _nan_where(mask: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    return tf.where(mask, tf.cast(float("nan"), x.dtype), x)


# In a tf.function the second derivative lives two graphs away from the forward pass
# and can reach only tensors of the graph between them. What a gradient function needs
# is therefore handed to it as an argument, made a tensor of its own graph by `_here`.


def _constant(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
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


def _here(*tensors: tf.Tensor) -> list[tf.Tensor]:
    return [tf.identity(x) for x in tensors]


def _magnitude(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.abs(x))


@tf.custom_gradient
def _levels_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, g: tf.Tensor, rtol: tf.Tensor
):
    """`V diag(g) V^H` as a function of `A` and `g`."""

    def backward(H: tf.Tensor):
        A_bar, g_bar = _levels_second(*_here(w, V, g, rtol, H))
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
def _vectors_gradient(
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
    allowed = _epsilon(w.dtype) ** 0.5 * tf.reduce_max(tf.abs(X), axis=[-2, -1])
    depends = tf.reduce_max(skew, axis=[-2, -1]) > allowed
    A_bar = _nan_where(depends[..., tf.newaxis, tf.newaxis], _unrotate(V, inner))

    def backward(H: tf.Tensor):
        # Zero where no loss used the vectors, else not known here.
        quiet = (_magnitude(H) == 0) | (_magnitude(V_bar) == 0)
        A_bar, V_bar_bar = (_nan_where(~quiet, tf.zeros_like(x)) for x in (A, V_bar))
        return A_bar, None, None, V_bar_bar, None

    return A_bar, backward


@tf.custom_gradient
def _loss(A: tf.Tensor, t: tf.Tensor, c: tf.Tensor):
    """`sum c (w - t)^2`; all arguments have the same batch shape."""
    w, V = _constant(A)

    def backward(u: tf.Tensor):
        return _loss_gradient(*_here(A, w, V, t, c, u))

    return tf.reduce_sum(c * (w - t) ** 2, axis=-1), backward


@tf.custom_gradient
def _loss_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, t: tf.Tensor, c: tf.Tensor, u: tf.Tensor
):
    """Derivatives of `u sum c (w - t)^2` by A, t and c."""
    residual = w - t
    u_ = u[..., tf.newaxis]
    slope = 2 * u_ * c * residual

    def backward(H: tf.Tensor, q: tf.Tensor, s: tf.Tensor):
        inputs = _here(w, V, t, c, u, H, q, s)
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
    zero, so that nothing is divided, where weights and targets agree.
    """
    total = c[..., :, tf.newaxis] + c[..., tf.newaxis, :]
    excess = w - t
    excess = excess[..., :, tf.newaxis] + excess[..., tf.newaxis, :]
    N = total * _pairwise(t) - _pairwise(c) * excess
    same = N == 0
    gap = tf.where(same, tf.ones_like(N), _pairwise(w))
    return total - tf.where(same, N, N / gap)


def _epsilon(dtype: tf.DType) -> float:
    return float(np.finfo(dtype.as_numpy_dtype).eps)
