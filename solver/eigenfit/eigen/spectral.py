"""Eigenvalues, eigenvectors and spectral losses with valid derivatives everywhere."""

from __future__ import annotations

from typing import Any, Literal

import tensorflow as tf

from eigenfit.eigen.clusters import check_tolerances, cluster_width
from eigenfit.eigen.derivatives import (
    constant_pairs,
    here,
    levels_gradient,
    loss_gradient,
    vectors_gradient,
)
from eigenfit.tensors.types import TensorLike

Convention = Literal["symmetric", "lower"]


def eigvalsh(
    A: TensorLike,
    *,
    gradient: Convention = "symmetric",
    degenerate_atol: float = 0.0,
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
        gradient: `"symmetric"` gives the symmetric gradient G, where `<G, dA>` is the
            change for symmetric `dA`; `"lower"` the derivative by the entries that
            are read: zero above the diagonal, doubled below it.
        degenerate_atol: Two eigenvalues belong to one cluster, whose levels count as
            one, when they differ by at most `degenerate_atol + degenerate_rtol *
            max(abs(w))`. 0 by default, in the unit of the eigenvalues.
        degenerate_rtol: See `degenerate_atol`. By default the machine epsilon to the
            power 0.6: 4e-10 in double precision, 7e-5 in single precision.

    Returns:
        `[..., n]`, real, ascending.

    Raises:
        ValueError: If `A` is not a batch of square matrices of order at least 1, or
            a tolerance is negative or not finite.
        TypeError: If its dtype is not one of the four.

    Example:
        >>> eigvalsh([[0.0, 1.0], [1.0, 0.0]]).numpy().tolist()
        [-1.0, 1.0]
    """
    A = as_matrix(A, gradient)
    tolerances = check_tolerances(degenerate_atol, degenerate_rtol)

    @tf.custom_gradient
    def levels(A: tf.Tensor):
        w, V = constant_pairs(A)
        width = cluster_width(w, *tolerances)

        def backward(g: tf.Tensor):
            return levels_gradient(*here(A, w, V, g, width))

        return w, backward

    return levels(A)


def eigh(
    A: TensorLike,
    *,
    gradient: Convention = "symmetric",
    degenerate_atol: float = 0.0,
    degenerate_rtol: float | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decomposes Hermitian matrices, with a gradient for vectors as well.

    If only eigenvalues enter a loss, `eigvalsh` is cheaper. The gradient through
    the eigenvectors exists for a loss that does not depend on the basis chosen inside
    a cluster of eigenvalues, nor on the phase of a complex eigenvector (Kasim,
    arXiv:2011.04366), to the root of the machine epsilon relative to the largest
    derivative by the eigenvectors. For a loss that does depend on them
    `tape.gradient` raises a `ValueError` when executing eagerly, and compiled code
    gives the members concerned a NaN gradient. Second derivatives are defined for the
    eigenvalues only; where a loss uses the eigenvectors of any member they are NaN for
    the whole batch.

    Args:
        A: As for `eigvalsh`.
        gradient: As for `eigvalsh`.
        degenerate_atol: As for `eigvalsh`.
        degenerate_rtol: As for `eigvalsh`.

    Returns:
        `(w, V)`: eigenvalues `[..., n]`, ascending, and eigenvectors `[..., n, n]` in
        columns.

    Raises:
        ValueError: As for `eigvalsh`.
        TypeError: As for `eigvalsh`.

    Example:
        >>> w, V = eigh([[2.0, 0.0], [0.0, 1.0]])
        >>> w.numpy().tolist()
        [1.0, 2.0]
    """
    A = as_matrix(A, gradient)
    tolerances = check_tolerances(degenerate_atol, degenerate_rtol)

    @tf.custom_gradient
    def pairs(A: tf.Tensor):
        w, V = constant_pairs(A)
        width = cluster_width(w, *tolerances)

        def backward(g: tf.Tensor, V_bar: tf.Tensor):
            by_levels = levels_gradient(*here(A, w, V, g, width))
            return by_levels + vectors_gradient(*here(A, w, V, V_bar, width))

        return (w, V), backward

    return pairs(A)


def spectral_loss(
    A: TensorLike,
    targets: TensorLike,
    weights: TensorLike | None = None,
    *,
    gradient: Convention = "symmetric",
    degenerate_atol: float = 0.0,
    degenerate_rtol: float | None = None,
) -> tf.Tensor:
    """Computes `sum_i weights_i (targets_i - lambda_i)^2`, differentiable twice.

    Nested gradient tapes give the exact Hessian also where eigenvalues coincide, as
    long as weights and targets are equal there, the targets within the width of a
    cluster. (TensorFlow's own `tf.linalg.eigvalsh` gives 0 instead of 4 for
    off-diagonal entries at the identity matrix.) Where the targets inside a cluster
    differ, the loss has a kink: the gradient is then one element of the
    subdifferential and the second derivative NaN, as it is where their weights differ;
    eigenvalues further apart than `degenerate_atol` and `degenerate_rtol` allow are
    never a cluster. Third derivatives, and second ones by
    `tf.autodiff.ForwardAccumulator`, are NaN.

    Args:
        A: `[..., n, n]`, float32, float64, complex64 or complex128; only the lower
            triangle is read.
        targets: `[..., n]` real, ascending.
        weights: `[..., n]` real, not negative; 1 by default. A zero weight leaves its
            level out, whatever its (finite) target.
        gradient: As for `eigvalsh`.
        degenerate_atol: As for `eigvalsh`.
        degenerate_rtol: As for `eigvalsh`.

    Returns:
        `[...]`, the loss.

    Raises:
        ValueError: If shapes do not fit, or a tolerance is negative or not finite.
        TypeError: If the dtype of `A` is not one of the four.

    Example:
        >>> spectral_loss([[2.0, 0.0], [0.0, 5.0]], [1.0, 5.0]).numpy().item()
        1.0
    """
    matrix = as_matrix(A, gradient)
    tolerances = check_tolerances(degenerate_atol, degenerate_rtol)
    real, order = matrix.dtype.real_dtype, matrix.shape[-1]
    t = tf.convert_to_tensor(targets, real)
    c = tf.convert_to_tensor(tf.ones_like(t) if weights is None else weights, real)
    for name, value in (("targets", t), ("weights", c)):
        if value.shape.rank == 0 or not value.shape[-1:].is_compatible_with([order]):
            raise ValueError(
                f"`{name}` must have shape [..., {order}], one for each eigenvalue of "
                f"`A`, got {value.shape}."
            )
    batch = tf.broadcast_dynamic_shape(tf.shape(matrix)[:-2], tf.shape(t)[:-1])
    batch = tf.broadcast_dynamic_shape(batch, tf.shape(c)[:-1])
    shape = tf.concat([batch, tf.shape(matrix)[-1:]], axis=0)
    whole = tf.concat([shape, tf.shape(matrix)[-1:]], axis=0)
    matrix = tf.broadcast_to(matrix, whole)
    t, c = (tf.broadcast_to(x, shape) for x in (t, c))

    @tf.custom_gradient
    def loss(A: tf.Tensor, t: tf.Tensor, c: tf.Tensor):
        w, V = constant_pairs(A)
        width = cluster_width(w, *tolerances)

        def backward(u: tf.Tensor):
            return loss_gradient(*here(A, w, V, t, c, u, width))[:3]

        return tf.reduce_sum(c * (w - t) ** 2, axis=-1), backward

    return loss(matrix, t, c)


def as_matrix(A: Any, gradient: str = "symmetric") -> tf.Tensor:
    """Converts and checks matrices, with a convention for their gradient."""
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
        # Reading the lower triangle is a linear map; its adjoint gives the convention.
        strict = tf.linalg.band_part(A, -1, 0) - tf.linalg.band_part(A, 0, 0)
        diagonal = tf.linalg.band_part(A, 0, 0)
        diagonal = (diagonal + tf.linalg.adjoint(diagonal)) / 2
        return diagonal + strict + tf.linalg.adjoint(strict)
    if gradient != "symmetric":
        raise ValueError(
            f'`gradient` must be "symmetric" or "lower", got {gradient!r}.'
        )
    return A
