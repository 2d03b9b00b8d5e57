"""Gaussian priors on combinations of parameters, as further residuals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Prior:
    """Adds `((sum_k coefficients_k r_k - mean) / sigma)^2` to the loss.

    Args:
        coefficients: `{name: factor}` for any parameters; fixed and tied ones enter
            with their values.
        mean: Expected value of the combination, in its unit.
        sigma: Its standard deviation, positive.

    Raises:
        TypeError: If `coefficients` is not a mapping.
        ValueError: If it is empty or all zero, `sigma` is not positive, or a number is
            not finite.

    Example:
        >>> Prior({"a": 1.0, "b": -2.0, "c": 1.0}, mean=0.0, sigma=0.1)
        Prior(coefficients={'a': 1.0, 'b': -2.0, 'c': 1.0}, mean=0.0, sigma=0.1)
    """

    coefficients: Mapping[str, float]
    mean: float
    sigma: float

    def __post_init__(self) -> None:
        given = self.coefficients
        if not isinstance(given, Mapping):
            raise TypeError(
                f"`coefficients` of a Prior must be {{name: factor}}, such as "
                f"{{'a': 1.0, 'b': -1.0}}, got {given!r}."
            )
        numbers = {k: _number(f"coefficients[{k!r}]", x) for k, x in given.items()}
        if not any(numbers.values()):
            raise ValueError(
                f"`coefficients` of a Prior must name a parameter with a factor that "
                f"is not 0, got {given!r}."
            )
        sigma = _number("sigma", self.sigma)
        if sigma <= 0:
            raise ValueError(
                f"`sigma` of a Prior must be above 0, got {self.sigma!r}. To hold a "
                f"combination, give a tie."
            )
        # Frozen, so that it can be shared; its fields are set once, bypassing that.
        object.__setattr__(self, "coefficients", numbers)
        object.__setattr__(self, "mean", _number("mean", self.mean))
        object.__setattr__(self, "sigma", sigma)


def smoothness(names: Sequence[str], sigma: float, order: int = 2) -> list[Prior]:
    """Makes priors that keep the differences of successive parameters small.

    Args:
        names: Names of the parameters, in order and equally spaced.
        sigma: Standard deviation of each difference, in the unit of the parameters.
        order: Order of the differences: 1 for `b - a`, 2 for `a - 2 b + c`, which does
            not penalise straight lines, and so on.

    Returns:
        `len(names) - order` priors of mean 0, for `Parameters(prior=...)`.

    Raises:
        ValueError: If there are too few names, one is repeated, or `order` is not a
            positive integer.

    Example:
        >>> [prior.coefficients for prior in smoothness(["a", "b", "c", "d"], 0.1)]
        [{'a': 1.0, 'b': -2.0, 'c': 1.0}, {'b': 1.0, 'c': -2.0, 'd': 1.0}]
    """
    names = [names] if isinstance(names, str) else list(names)
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"`order` must be a positive integer, got {order!r}.")
    if len(names) <= order:
        raise ValueError(
            f"`names` must be more than {order} for differences of order {order}, got "
            f"{names!r}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"`names` has a name twice: {names!r}.")
    factors = [(-1.0) ** (order - k) * math.comb(order, k) for k in range(order + 1)]
    return [
        Prior(dict(zip(names[k : k + order + 1], factors, strict=True)), 0.0, sigma)
        for k in range(len(names) - order)
    ]


class PriorRows(NamedTuple):
    """q priors as residuals `(rows x - mean) / sigma` of the unknowns x."""

    rows: np.ndarray  # [q, p]
    mean: np.ndarray  # [q]
    sigma: np.ndarray  # [q]

    def extend(self, residual: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Appends `(rows x - mean) / sigma`: `[..., m + q]` from `[..., m]`."""
        dtype = parameters.dtype
        rows, mean, sigma = (tf.constant(x, dtype) for x in self)
        # One product for all members, which sums in the same order for each.
        own = tf.tensordot(parameters, rows, axes=[[-1], [1]])
        return tf.concat([residual, (own - mean) / sigma], axis=-1)

    def extend_jacobian(self, J: tf.Tensor) -> tf.Tensor:
        """Appends their derivatives: `[..., m + q, p]` from `[..., m, p]`."""
        rows = self.rows / self.sigma[:, np.newaxis]
        shape = tf.concat([tf.shape(J)[:-2], rows.shape], axis=0)
        rows = tf.broadcast_to(tf.constant(rows, J.dtype), shape)
        return tf.concat([J, rows], axis=-2)

    def hessian(self) -> np.ndarray:
        """Returns the Hessian of the sum of squares, `[p, p]`."""
        rows = self.rows / self.sigma[:, np.newaxis]
        return 2 * rows.T @ rows


def _number(where: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(
            f"`{where}` of a Prior must be a finite number, got {value!r}."
        )
    return number
