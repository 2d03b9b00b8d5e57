"""Tolerances of outputs: how far rounding may move them.

No tolerance here is guessed. A function is run again with every matrix that it
decomposes, and every point at which it begins, perturbed within rounding (the backward
error of an eigensolver; see `eigenfit.eigen.decompose`). The scatter shows how much of
each output a runtime that rounds differently can reproduce.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.eigen.decompose import perturbed

Arrays = dict[str, np.ndarray]
Function = Callable[[Arrays], Arrays]

RERUNS = 16
"""Number of perturbed copies of every member."""

SAFETY = 5.0
"""Tolerance in multiples of the largest change that was seen."""

BACKWARD = 4.0
"""Norm of a matrix perturbation, in `sqrt(n) eps |A|`: twice the residual that LAPACK
and our Jacobi solver leave (n = 2 to 40)."""

ULPS = 8.0
"""Least tolerance, in ulps of the largest number of an output."""

POINTS = ("initial", "parameters", "vector", "matrix", "matrix_real", "matrix_imag")
"""Inputs that are perturbed as well, by an ulp or so."""


class Measured(NamedTuple):
    """Outputs of b members and how well they are conditioned."""

    outputs: Arrays  # [b, ...] each, unperturbed
    allowed: Arrays  # [b] each: largest differences that rounding explains
    stable: np.ndarray  # [b] bool: finite, and integers survive all perturbations


def measure(
    function: Function,
    inputs: Arrays,
    dtype: tf.DType,
    again: Function | None = None,
) -> Measured:
    """Runs a function, and again under perturbations of the size of rounding.

    Args:
        function: Takes and returns arrays `[b, ...]` by name.
        inputs: Its inputs.
        dtype: Dtype in which runtimes compute; sets the size of the perturbations.
        again: The same function, run eagerly or not traced before, since perturbations
            act at tracing; `function` by default.

    Example:
        >>> from eigenfit.eigen import decompose
        >>> def levels(given):
        ...     w, V = decompose(tf.constant(given["matrix"]))
        ...     return {"eigenvalues": w.numpy(), "first": V[:, :, 0].numpy() ** 2}
        >>> close = np.array([[1.0, 1e-6], [1e-6, 1.0]])
        >>> found = measure(levels, {"matrix": close[np.newaxis]}, tf.float64)
        >>> level, first = found.allowed["eigenvalues"][0], found.allowed["first"][0]
        >>> bool(level < 1e-13 < first)
        True
    """
    rng = np.random.default_rng(20200213)
    outputs = function(inputs)
    given = {name: np.repeat(x, RERUNS, axis=0) for name, x in inputs.items()}
    eps = epsilon(dtype)
    for name in [x for x in POINTS if x in given]:
        x = given[name]
        given[name] = (x * (1 + eps * rng.uniform(-1, 1, x.shape))).astype(x.dtype)
    with perturbed(lambda A: A + _rounding(A, eps)):
        changed = (again or function)(given)
    b = len(next(iter(outputs.values())))
    stable = np.ones(b, bool)
    allowed = {}
    for name, x in outputs.items():
        others = changed[name].reshape(b, RERUNS, *x.shape[1:])
        if x.dtype.kind in "iub":
            stable &= _all(others == x[:, np.newaxis], b)
            continue
        stable &= _all(np.isfinite(x), b) & _all(np.isfinite(others), b)
        allowed[name] = allowed_of(x, others, eps)
    return Measured(outputs, allowed, stable)


def allowed_of(x: np.ndarray, others: np.ndarray, eps: float) -> np.ndarray:
    """Computes the tolerance of an output.

    Args:
        x: Unperturbed output, `[b, ...]`.
        others: Perturbed outputs, `[b, k, ...]`.
        eps: Machine epsilon of the dtype.

    Returns:
        One absolute difference per member, `[b]`.
    """
    with np.errstate(invalid="ignore"):
        apart = _largest(others - x[:, np.newaxis])
        return SAFETY * apart + ULPS * eps * sizes(x)


def sizes(x: np.ndarray) -> np.ndarray:
    """Returns the largest magnitude in each member, `[b]`."""
    return _largest(x)


def _rounding(A: tf.Tensor, eps: float) -> tf.Tensor:
    # Only the lower triangle is read, so this need not be made Hermitian.
    real, size = A.dtype.real_dtype, tf.shape(A)
    norm = tf.math.real(tf.norm(A, axis=[-2, -1], keepdims=True))
    entry = BACKWARD * eps * norm / tf.sqrt(tf.cast(size[-1], real))
    noise = tf.random.normal(size, dtype=real, seed=1)
    if A.dtype.is_complex:
        turned = tf.linalg.set_diag(
            tf.random.normal(size, dtype=real, seed=2), tf.zeros(size[:-1], real)
        )
        return tf.complex(entry * noise, entry * turned)
    return entry * noise


def _largest(x: np.ndarray) -> np.ndarray:
    return np.abs(x).reshape(len(x), -1).max(axis=1, initial=0.0)


def _all(x: np.ndarray, b: int) -> np.ndarray:
    return np.all(x.reshape(b, -1), axis=1)
