"""Jacobi matrices straight from their spectra, without iteration.

A Jacobi matrix is real, symmetric and tridiagonal with positive entries beside the
diagonal. It is determined by its eigenvalues and the squares of the first entries of
its eigenvectors (weights); two spectra, or one and a symmetry, give these weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.tensors.types import TensorLike
from eigenfit.tensors.validation import as_tensor, broadcast_batch


def jacobi_from_two_spectra(levels: TensorLike, inner_levels: TensorLike) -> tf.Tensor:
    """Finds the Jacobi matrix from its spectra with and without its first row.

    There is exactly one (H. Hochstadt, Arch. Math. 18 (1967) 201-207; C. de Boor &
    G. H. Golub, Linear Algebra Appl. 21 (1978) 245-260). It takes O(n^2) operations, in
    float64 whatever the dtype of the result, in 2 n - 1 successive steps: compile it
    with `tf.function` if it is called often. It is not meant to be differentiated.

    Args:
        levels: `[..., n]`, strictly ascending eigenvalues of the matrix.
        inner_levels: `[..., n - 1]`, those of the matrix without its first row and
            column; one lies between each two neighbours of `levels`. Its batch
            dimensions broadcast with those of `levels`.

    Returns:
        `[..., 2 n - 1]`, the parameters of `Tridiagonal(n)`: the diagonal, then the
        positive entries beside it; float32 if `levels` is a float32 tensor or array,
        else float64. In compiled code a member whose levels are not finite, do not
        ascend or do not interlace gets NaN without affecting the others.

    Raises:
        TypeError: If an argument is not real.
        ValueError: If a shape does not fit, or if levels known before tracing are not
            finite, do not ascend or do not interlace.

    Example:
        >>> jacobi_from_two_spectra([1.0, 3.0], [2.0]).numpy().round(12)
        array([2., 2., 1.])
    """
    dtype = _dtype("levels", levels)
    outer = _levels("levels", levels, dtype)
    given = dtype
    if tf.is_tensor(inner_levels):
        given = tf.convert_to_tensor(inner_levels).dtype
    if given != dtype:
        raise TypeError(
            f"`inner_levels` must be {dtype.name} like `levels`, got a tensor of "
            f"{given.name}. Cast one of them."
        )
    inner = as_tensor("inner_levels", inner_levels, dtype, None)
    n = outer.shape[-1]
    if inner.shape.rank == 0 or inner.shape[-1] != n - 1:
        raise ValueError(
            f"`inner_levels` must have shape [..., {n - 1}], one less than the "
            f"{n} of `levels`, got {inner.shape.as_list()}."
        )
    _, (outer, inner) = broadcast_batch(levels=(outer, 1), inner_levels=(inner, 1))
    valid = _check_levels("levels", outer)
    finite = tf.reduce_all(tf.math.is_finite(inner), axis=-1)
    _refuse("inner_levels", inner, finite, "be finite", "Leave that member out.")
    between = (outer[..., :-1] < inner) & (inner < outer[..., 1:])
    interlace = tf.reduce_all(between, axis=-1)
    _refuse(
        "inner_levels",
        inner,
        interlace,
        "lie one between each two neighbours of `levels`",
        "They are the eigenvalues without the first row and column, ascending.",
    )
    valid &= finite & interlace

    x, y = tf.cast(outer, tf.float64), tf.cast(inner, tf.float64)
    # w_i = prod_k (x_i - y_k) / prod_{k != i} (x_i - x_k): each y_k is paired with the
    # level beyond it as seen from x_i, so that no factor exceeds 1.
    i, k = np.indices([n, n - 1])
    own = x[..., :, tf.newaxis]
    beyond = tf.gather(x, np.where(k < i, k, k + 1), axis=-1)
    ratios = (own - y[..., tf.newaxis, :]) / (own - beyond)
    return _parameters(x, tf.reduce_prod(ratios, axis=-1), valid, dtype)


def persymmetric_jacobi(levels: TensorLike) -> tf.Tensor:
    """Finds the Jacobi matrix with a given spectrum that equals its own mirror image.

    There is exactly one that is symmetric about both diagonals (H. Hochstadt, Arch.
    Math. 18 (1967) 201-207). It takes O(n^2) operations, in float64 whatever the dtype
    of the result, in 2 n - 1 successive steps: compile it with `tf.function` if it is
    called often. It is not meant to be differentiated.

    Args:
        levels: `[..., n]`, strictly ascending eigenvalues.

    Returns:
        `[..., 2 n - 1]`, the parameters of `Tridiagonal(n)`: the diagonal, then the
        positive entries beside it; float32 if `levels` is a float32 tensor or array,
        else float64. In compiled code a member whose levels are not finite or do not
        ascend gets NaN without affecting the others.

    Raises:
        TypeError: If `levels` are not real.
        ValueError: If their shape does not fit, or if levels known before tracing are
            not finite or do not ascend.

    Example:
        >>> persymmetric_jacobi([1.0, 2.0, 3.0]).numpy().round(3)
        array([2.   , 2.   , 2.   , 0.707, 0.707])
    """
    dtype = _dtype("levels", levels)
    t = _levels("levels", levels, dtype)
    valid = _check_levels("levels", t)
    x = tf.cast(t, tf.float64)
    n = t.shape[-1]
    i, k = np.indices([n, n - 1])
    others = tf.gather(x, np.where(k < i, k, k + 1), axis=-1)
    parameters = _parameters(
        x, _inverse_products(tf.abs(x[..., :, tf.newaxis] - others)), valid, tf.float64
    )
    # Rounding breaks the mirror symmetry in the last digits.
    a, b = parameters[..., :n], parameters[..., n:]
    a = (a + tf.reverse(a, [-1])) / 2
    b = (b + tf.reverse(b, [-1])) / 2
    return tf.cast(tf.concat([a, b], axis=-1), dtype)


def _inverse_products(factors: tf.Tensor) -> tf.Tensor:
    """Computes `1 / prod_k factors_ik` up to a common factor for all i, at most 1.

    Powers of 2 are summed separately, without overflow or rounding.

    Args:
        factors: `[..., n, k]`, positive.

    Returns:
        `[..., n]`.
    """
    exponents = tf.floor(_log2(factors))
    # Two halves: 2^-exponent may itself be out of range.
    half = tf.floor(exponents / 2)
    mantissas = factors * _power_of_2(-half) * _power_of_2(half - exponents)
    total = tf.reduce_sum(exponents, axis=-1)
    total -= tf.reduce_min(total, axis=-1, keepdims=True)
    return _power_of_2(-total) / tf.reduce_prod(mantissas, axis=-1)


def _parameters(
    x: tf.Tensor, weights: tf.Tensor, valid: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
    """Computes the Jacobi matrix of a discrete measure, NaN where it is not valid.

    Args:
        x: `[..., n]` float64, nodes.
        weights: `[..., n]`, positive; their sum does not matter.
        valid: `[...]` bool, members whose input is valid.
        dtype: Dtype of the result.
    """
    n = x.shape[-1]
    # A power of 2 as the unit changes no digit and keeps squares in range.
    spread = (x[..., -1:] - x[..., :1]) / 2
    unit = _power_of_2(tf.round(_log2(tf.where(spread > 0, spread, 1.0))))
    # A weight that underflows belongs to a level that hardly affects the matrix.
    weights = tf.maximum(weights, np.finfo(np.float64).tiny)
    a, squares = _rational_qr(x / unit, weights)
    b = tf.sqrt(squares[..., 1:]) * unit
    parameters = tf.concat([a * unit, b], axis=-1)
    nan = tf.constant(np.nan, tf.float64)
    parameters = tf.where(valid[..., tf.newaxis], parameters, nan)
    parameters = tf.ensure_shape(parameters, [*x.shape[:-1], 2 * n - 1])
    return tf.cast(parameters, dtype)


def _rational_qr(x: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Solves the inverse eigenvalue problem of a discrete measure.

    Algorithm RKPW of W. B. Gragg & W. J. Harwood, Numer. Math. 44 (1984) 317-335: the
    nodes are added one by one, each by a sweep of rotations down the matrix so far,
    with subtractions only between nodes and diagonal entries. The sweep of node j is
    at row k when that of node j - 1 is at row k + 1; all active sweeps make one step
    together, sweep j in lane j.

    Args:
        x: `[..., n]`, distinct nodes.
        weights: `[..., n]`, positive.

    Returns:
        The diagonal `[..., n]`, and, in `[..., n]`, the sum of the weights followed by
        the squares beside the diagonal.
    """
    n = x.shape[-1]
    lane = np.arange(n)
    one, zero = tf.ones_like(x), tf.zeros_like(x)

    def delayed(out: tf.Tensor) -> tf.Tensor:
        # Lane j takes the output of lane j - 1 in the step before.
        return tf.concat([zero[..., :1], out[..., :-1]], axis=-1)

    def step(s, a, b, left, gamma, sigma, t, diagonal, squares):
        row = s - lane
        # The last row of a sweep is new: its node, as yet without weight.
        last = tf.equal(row, lane)
        a, b = tf.where(last, x, delayed(a)), tf.where(last, zero, delayed(b))
        begins = tf.equal(row, 0)
        left = tf.where(begins, weights, left)
        gamma = tf.where(begins, one, gamma)
        sigma = tf.where(begins, zero, sigma)
        t = tf.where(begins, zero, t)

        rho = b + left
        positive = rho > 0
        divisor = tf.where(positive, rho, one)
        new_gamma = tf.where(positive, b / divisor, one)
        new_sigma = tf.where(positive, left / divisor, zero)
        new_t = new_sigma * (a - x) - new_gamma * t
        new_a = a - (new_t - t)
        turned = new_sigma > 0
        new_left = tf.where(
            turned, new_t**2 / tf.where(turned, new_sigma, one), sigma * b
        )
        new_b = gamma * rho
        # The last lane gives the answer row by row.
        diagonal = tf.concat([diagonal[..., 1:], new_a[..., -1:]], axis=-1)
        squares = tf.concat([squares[..., 1:], new_b[..., -1:]], axis=-1)
        return (
            s + 1,
            new_a,
            new_b,
            new_left,
            new_gamma,
            new_sigma,
            new_t,
            diagonal,
            squares,
        )

    state = (tf.constant(0), zero, zero, zero, one, zero, zero, zero, zero)
    run = tf.while_loop(
        lambda s, *_: s < 2 * n - 1, step, state, maximum_iterations=2 * n - 1
    )
    return run[-2], run[-1]


def _log2(x: tf.Tensor) -> tf.Tensor:
    return tf.math.log(x) / np.log(2.0)


def _power_of_2(exponent: tf.Tensor) -> tf.Tensor:
    return tf.pow(tf.constant(2.0, tf.float64), exponent)


def _dtype(name: str, value: Any) -> tf.DType:
    if tf.is_tensor(value) or isinstance(value, tf.Variable):
        if value.dtype not in (tf.float32, tf.float64):
            raise TypeError(
                f"`{name}` must be float32 or float64, got a tensor of "
                f"{value.dtype.name}."
            )
        return tf.as_dtype(value.dtype)
    single = getattr(value, "dtype", None) == np.float32
    return tf.float32 if single else tf.float64


def _levels(name: str, value: Any, dtype: tf.DType) -> tf.Tensor:
    levels = as_tensor(name, value, dtype, None)
    if levels.shape.rank in (None, 0) or not levels.shape[-1]:
        raise ValueError(
            f"`{name}` must have shape [..., n] with n of at least 1 known before "
            f"tracing, got {levels.shape}."
        )
    return levels


def _check_levels(name: str, levels: tf.Tensor) -> tf.Tensor:
    """Returns which members are finite and ascend strictly: `[...]` bool."""
    finite = tf.reduce_all(tf.math.is_finite(levels), axis=-1)
    _refuse(name, levels, finite, "be finite", "Leave that member out.")
    ascend = tf.reduce_all(levels[..., :-1] < levels[..., 1:], axis=-1)
    _refuse(
        name,
        levels,
        ascend,
        "ascend strictly",
        "Sort them; a Jacobi matrix has no eigenvalue twice.",
    )
    return finite & ascend


def _refuse(
    name: str, values: tf.Tensor, good: tf.Tensor, wanted: str, remedy: str
) -> None:
    """Raises for a bad member that is known before tracing."""
    mask = tf.get_static_value(good)
    if mask is None or mask.all():
        return
    member = tuple(int(i) for i in np.argwhere(~mask)[0])
    where = f" of member {member}" if member else ""
    shown = tf.get_static_value(values)
    got = "" if shown is None else f", got {_short(shown[member].tolist())}"
    raise ValueError(f"`{name}`{where} must {wanted}{got}. {remedy}")


def _short(values: list[float]) -> str:
    text = repr(values)
    return text if len(text) <= 80 else f"{text[:77]}..."
