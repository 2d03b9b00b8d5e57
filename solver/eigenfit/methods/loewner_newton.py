"""Newton's method on the loss, with a Hessian made positive by the Loewner matrix."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.eigen import decompose, epsilon
from eigenfit.methods.stepping import steps
from eigenfit.methods.stepping.damped_method import AbstractDamped
from eigenfit.problem.problem import Evaluation, Problem


class LoewnerNewton(AbstractDamped):
    """Damped Newton steps on the loss, for targets that coincide or cannot be met.

    With `L_ij = (g_i - g_j) / (lambda_i - lambda_j)` for the derivatives g of the loss
    by the levels, the Hessian is
    `H_kl = sum_ij L_ij Re((V^H A_k V)_ij conj(V^H A_l V)_ij)` for a linear structure
    (A. S. Lewis & H. S. Sendov, SIAM J. Matrix Anal. Appl. 23 (2001) 368-386). The
    diagonal of L alone gives Gauss-Newton steps, `L = 2` those of `LiftAndProject`;
    this method takes `max(L, 0)`, which makes H positive semidefinite. Inside a cluster
    of equal targets L is 2: convergence stays quadratic at multiple levels, where that
    of Gauss-Newton steps becomes linear. If a structure is not linear, its curvature is
    added and negative eigenvalues of H change their sign.

    A step takes `n^2 p^2` products besides those of `LevenbergMarquardt`. For
    damping, scales and the way a fit ends see `AbstractDamped`.

    Args:
        initial_damping: Damping of the first step, relative to the largest squared
            norm of a scaled column.
        orthogonality: Cosine below which a residual counts as orthogonal to J.
        name: Name of the `tf.Module`.

    Example:
        >>> LoewnerNewton()
        LoewnerNewton(initial_damping=1e-06)
    """

    honours_bounds = False
    needs_levels = True

    def __init__(
        self,
        initial_damping: float = 1e-6,
        orthogonality: float | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(initial_damping, orthogonality, name)

    def direction(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        J: tf.Tensor,
        norms: tf.Tensor,
        mu: tf.Tensor,
    ) -> tf.Tensor:
        """Solves `(H / 2 + mu) d = -J^T residual`; see the base class."""
        H = problem.hessian_at(point, targets, positive=True)
        H /= 2 * norms[..., :, tf.newaxis] * norms[..., tf.newaxis, :]
        g = steps.gradient(J, point.residual)
        H, g, _ = steps.finite_system(H, g)
        if problem.structure.is_linear:
            return _solved(H, g, mu)
        return _solved_absolute(H, g, mu)


def _floor(size: tf.Tensor, p: int) -> tf.Tensor:
    # Rounding error of a matrix of order p with entries up to `size`.
    return 8 * p * epsilon(size.dtype) * tf.where(size > 0, size, tf.ones_like(size))


def _solved(H: tf.Tensor, g: tf.Tensor, mu: tf.Tensor) -> tf.Tensor:
    """Solves with a positive semidefinite H by Cholesky."""
    largest = tf.reduce_max(tf.linalg.diag_part(H), axis=-1)
    shift = tf.maximum(mu, _floor(largest, H.shape[-1]))
    shifted = H + shift[..., tf.newaxis, tf.newaxis] * tf.eye(
        H.shape[-1], dtype=H.dtype
    )
    factor = tf.linalg.cholesky(shifted)
    return tf.linalg.cholesky_solve(factor, -g[..., tf.newaxis])[..., 0]


def _solved_absolute(H: tf.Tensor, g: tf.Tensor, mu: tf.Tensor) -> tf.Tensor:
    """Solves with `|H|`, whose eigenvalues are the magnitudes of those of H."""
    w, U = decompose(H)
    w = tf.abs(w)
    shift = tf.maximum(mu, _floor(tf.reduce_max(w, axis=-1), H.shape[-1]))
    along = tf.linalg.matvec(U, g, transpose_a=True)
    return -tf.linalg.matvec(U, along / (w + shift[..., tf.newaxis]))
