"""Derivatives of spectral functions, first and second order.

With A = V diag(w) V^H and a function f of the eigenvalues,

    gradient       G = V diag(g) V^H,                    g_i = df/dw_i
    Hessian        dG = V (L o H) V^H,  H = V^H dA V,
                   L_ij = (g_i - g_j) / (w_i - w_j)      for i != j,

and on the diagonal the second derivative of f (Lewis, Math. Oper. Res. 21 (1996);
Lewis & Sendov, SIAM J. Matrix Anal. Appl. 23 (2001)). For the weighted sum of squares
g_i = 2 c_i (w_i - t_i) the quotient has a closed form without cancellation, whose
division disappears where weights and targets coincide: see `clusters.loewner`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen.clusters import loewner, nan_where, pairwise, same_cluster
from eigenfit.eigen.decompose import decompose
from eigenfit.eigen.rounding import epsilon


def from_spectrum(V: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Computes `V diag(values) V^H`: `[..., n, n]` from `[..., n, n]`, `[..., n]`."""
    scaled = V * tf.cast(values, V.dtype)[..., tf.newaxis, :]
    return tf.linalg.matmul(V, scaled, adjoint_b=True)


# In every product V is the left factor. `GradientTape.jacobian` gives the other factor
# one more dimension, and TensorFlow 2.21 on CPU (oneDNN, float32) reads outside its
# memory when a right factor of shape [1, 1, n, n] is broadcast.


def rotate(V: tf.Tensor, H: tf.Tensor) -> tf.Tensor:
    """Computes the Hermitian part of `V^H H V`."""
    left = tf.linalg.matmul(V, H, adjoint_a=True)
    transposed = tf.linalg.matmul(V, left, transpose_a=True, transpose_b=True)
    return (tf.linalg.matrix_transpose(transposed) + tf.math.conj(transposed)) / 2


def unrotate(V: tf.Tensor, H: tf.Tensor) -> tf.Tensor:
    """Computes `V H V^H`."""
    left = tf.linalg.matmul(V, H)
    return tf.linalg.matrix_transpose(
        tf.linalg.matmul(tf.math.conj(V), left, transpose_b=True)
    )


def _real_diag(H: tf.Tensor) -> tf.Tensor:
    return tf.math.real(tf.linalg.diag_part(H))


# In a tf.function the second derivative lives two graphs away from the forward pass
# and can reach only tensors of the graph between them. A gradient function is therefore
# given all it needs as arguments, made tensors of its own graph by `here`.


def constant_pairs(A: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes without leaving a trace on any tape.

    Gradients are stopped on both sides: a second-order tape would otherwise
    differentiate the loop inside the eigensolver, which XLA cannot compile.
    """
    w, V = decompose(tf.stop_gradient(A))
    return tf.stop_gradient(w), tf.stop_gradient(V)


def final(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the derivative of what `function` returns NaN.

    The formulas here treat the decomposition as constant: differentiating them once
    more would give a wrong number silently. Where nothing flows back the derivative
    is zero.
    """

    @tf.custom_gradient
    def finished(*inputs: tf.Tensor):
        def backward(*upstream: tf.Tensor, variables: Any = None):
            quiet = tf.add_n([_magnitude(x) for x in upstream]) == 0
            by_inputs = [nan_where(~quiet, tf.zeros_like(x)) for x in inputs]
            if variables is None:
                return by_inputs
            # Variables that a structure reads.
            return by_inputs, [nan_where(~quiet, tf.zeros_like(x)) for x in variables]

        return function(*inputs), backward

    return finished


def here(*tensors: tf.Tensor) -> list[tf.Tensor]:
    """Makes the tensors part of the current graph."""
    return [tf.identity(x) for x in tensors]


def _magnitude(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.abs(x))


@tf.custom_gradient
def levels_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, g: tf.Tensor, width: tf.Tensor
):
    """`V diag(g) V^H` as a function of `A` and `g`."""

    def backward(H: tf.Tensor):
        A_bar, g_bar = _levels_second(*here(w, V, g, width, H))
        return A_bar, None, None, g_bar, None

    return from_spectrum(V, g), backward


@final
def _levels_second(
    w: tf.Tensor, V: tf.Tensor, g: tf.Tensor, width: tf.Tensor, H: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    H = rotate(V, H)
    cluster = same_cluster(w, width)
    gap = tf.where(cluster, tf.ones_like(H, w.dtype), pairwise(w))
    L = tf.cast(pairwise(g) / gap, H.dtype)
    off = tf.linalg.set_diag(H, tf.zeros_like(H[..., 0]))
    inside = nan_where(off != 0, tf.zeros_like(off))
    return unrotate(V, tf.where(cluster, inside, L * off)), _real_diag(H)


@tf.custom_gradient
def vectors_gradient(
    A: tf.Tensor, w: tf.Tensor, V: tf.Tensor, V_bar: tf.Tensor, width: tf.Tensor
):
    """`V herm(F o X) V^H` with `X = V^H V_bar` and `F_ij = 1 / (w_j - w_i)`.

    Raises:
        ValueError: When executing eagerly, if the loss depends on the basis inside a
            cluster or on a phase. Compiled code gives NaN.
    """
    X = tf.linalg.matmul(V, V_bar, adjoint_a=True)
    cluster = same_cluster(w, width)
    gap = tf.where(cluster, tf.ones_like(X, w.dtype), pairwise(w))
    inner = tf.where(cluster, tf.zeros_like(X), -X / tf.cast(gap, X.dtype))
    inner = (inner + tf.linalg.adjoint(inner)) / 2
    # Inside a cluster (and, complex, on the diagonal: the phase) X is Hermitian
    # exactly when the loss does not see a rotation of the basis.
    skew = tf.abs(tf.where(cluster, X - tf.linalg.adjoint(X), tf.zeros_like(X)))
    allowed = epsilon(w.dtype) ** 0.5 * tf.reduce_max(tf.abs(X), axis=[-2, -1])
    depends = tf.reduce_max(skew, axis=[-2, -1]) > allowed
    if tf.executing_eagerly():
        _refuse(w.numpy(), width.numpy(), skew.numpy(), depends.numpy())
    A_bar = nan_where(depends[..., tf.newaxis, tf.newaxis], unrotate(V, inner))

    def backward(H: tf.Tensor):
        # Zero where no loss used the vectors, unknown otherwise.
        quiet = (_magnitude(H) == 0) | (_magnitude(V_bar) == 0)
        A_bar, V_bar_bar = (nan_where(~quiet, tf.zeros_like(x)) for x in (A, V_bar))
        return A_bar, None, None, V_bar_bar, None

    return A_bar, backward


def _refuse(
    w: np.ndarray, width: np.ndarray, skew: np.ndarray, depends: np.ndarray
) -> None:
    """Raises for the first member whose loss `depends` on an arbitrary choice."""
    if not depends.any():
        return
    index = tuple(map(int, np.argwhere(depends)[0]))
    where = f" (member {list(index)} of the batch)" if index else ""
    i, j = np.unravel_index(skew[index].argmax(), skew.shape[-2:])
    levels = w[index]
    if i == j:
        raise ValueError(
            f"This gradient does not exist: the loss depends on the phase of the "
            f"complex eigenvector at eigenvalue {levels[i]:.9g}{where}, which is "
            f"arbitrary. Use the vector through what no phase changes, such as "
            f"tf.abs(v) or its projector v v^H."
        )
    cluster = np.abs(levels[:, None] - levels[[i, j]]).min(axis=1) <= width[index]
    values = ", ".join(f"{x:.9g}" for x in levels[cluster])
    raise ValueError(
        f"This gradient does not exist: the loss depends on the basis chosen for the "
        f"eigenvectors of the coinciding eigenvalues {values}{where}, which is "
        f"arbitrary. Use these vectors together, as in their projector V1 V1^H, or, if "
        f"the eigenvalues differ by more than rounding, pass smaller "
        f"`degenerate_atol` and `degenerate_rtol`."
    )


@tf.custom_gradient
def loss_gradient(
    A: tf.Tensor,
    w: tf.Tensor,
    V: tf.Tensor,
    t: tf.Tensor,
    c: tf.Tensor,
    u: tf.Tensor,
    width: tf.Tensor,
):
    """Derivatives of `u sum c (w - t)^2` by A, t and c."""
    residual = w - t
    u_ = u[..., tf.newaxis]
    slope = 2 * u_ * c * residual

    def backward(H: tf.Tensor, q: tf.Tensor, s: tf.Tensor):
        inputs = here(w, V, t, c, u, width, H, q, s)
        A_bar, t_bar, c_bar, u_bar = _loss_second(*inputs)
        return A_bar, None, None, t_bar, c_bar, u_bar, None

    return (from_spectrum(V, slope), -slope, u_ * residual**2), backward


@final
def _loss_second(
    w: tf.Tensor,
    V: tf.Tensor,
    t: tf.Tensor,
    c: tf.Tensor,
    u: tf.Tensor,
    width: tf.Tensor,
    H: tf.Tensor,
    q: tf.Tensor,
    s: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    # H, q, s flow back into the derivatives by A, t, c.
    residual = w - t
    u_ = u[..., tf.newaxis]
    H = rotate(V, H)
    h = _real_diag(H)
    diagonal = 2 * c * (h - q) + 2 * residual * s
    curved = tf.linalg.set_diag(
        tf.cast(loewner(w, t, c, width), H.dtype) * H, tf.cast(diagonal, H.dtype)
    )
    return (
        tf.cast(u_[..., tf.newaxis], H.dtype) * unrotate(V, curved),
        -u_ * diagonal,
        2 * u_ * residual * (h - q),
        tf.reduce_sum(2 * c * residual * (h - q) + residual**2 * s, axis=-1),
    )
