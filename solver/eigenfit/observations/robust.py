"""Losses that a few wrong data do not dominate, written as squares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.tensors.checks import positive

LossName = Literal["linear", "soft_l1", "huber", "cauchy"]
"""The names that `scipy.optimize.least_squares` has for them."""


class Robust(NamedTuple):
    """The loss `C^2 rho((f / C)^2)` of a weighted residual f, other than linear.

    With `z = (f / C)^2`, as in `scipy.optimize.least_squares(loss=..., f_scale=C)`:

    - `"soft_l1"`: `rho = 2 (sqrt(1 + z) - 1)`;
    - `"huber"`: `rho = z` up to 1, then `2 sqrt(z) - 1` (P. J. Huber, Ann. Math.
      Statist. 35 (1964) 73-101);
    - `"cauchy"`: `rho = log(1 + z)`.

    The loss is the square of its signed root `s = sign(f) C sqrt(rho)`, which is smooth
    at 0, so that least squares in s are those of the loss. All derivatives follow from
    s alone. Everything is elementwise, of any shape and floating dtype.

    Args:
        name: Name of the loss.
        scale: C, in the unit of f; residuals well below it count as squares.

    Example:
        >>> Robust("huber", 1.0).root(tf.constant([0.5, -5.0])).numpy().tolist()
        [0.5, -3.0]
    """

    name: str
    scale: float

    def root(self, f: tf.Tensor) -> tf.Tensor:
        """Computes the signed root s of the loss; see `taped_root` for derivatives."""
        C = tf.constant(self.scale, f.dtype)
        return C * _ROOTS[self.name](f / C)

    def taped_root(self, f: tf.Tensor) -> tf.Tensor:
        """Computes `root` for gradient tapes, which differentiate it twice.

        Where nothing is to be differentiated `root` is better: a SavedModel warns of
        derivatives of our own that it cannot keep.
        """
        root, slope = _ROOTS[self.name], _SLOPES[self.name]

        @tf.custom_gradient
        def of(x: tf.Tensor) -> Any:
            return root(x), lambda upstream: upstream * slope(of(x))

        C = tf.constant(self.scale, f.dtype)
        return C * of(f / C)

    def slope(self, s: tf.Tensor) -> tf.Tensor:
        """Computes `ds/df` from s; it lies in (0, 1]."""
        return _SLOPES[self.name](s / tf.constant(self.scale, s.dtype))

    def bend(self, s: tf.Tensor) -> tf.Tensor:
        """Computes `(d^2 s^2 / df^2) / 2 / (ds/df)^2` from s; 1 where s is f.

        It is by how much the true curvature of the loss differs from that of
        Gauss-Newton steps, negative where the loss is concave.
        """
        return _BENDS[self.name](s / tf.constant(self.scale, s.dtype))

    def weight(self, f: tf.Tensor) -> tf.Tensor:
        """Computes `rho'`, by which a datum counts less than in least squares."""
        return _WEIGHTS[self.name](f / tf.constant(self.scale, f.dtype))


def robust(loss: Any, loss_scale: Any) -> Robust | None:
    """Checks the arguments of an observation; None if its loss is linear.

    Raises:
        TypeError: If `loss_scale` is not a number.
        ValueError: If `loss` is unknown, or `loss_scale` is not positive and finite.
    """
    if loss not in get_args(LossName):
        known = ", ".join(map(repr, get_args(LossName)))
        raise ValueError(f"`loss` must be one of {known}, got {loss!r}.")
    scale = positive("loss_scale", loss_scale)
    return None if loss == "linear" else Robust(str(loss), scale)


OUTLYING = 5.0
"""Deviation, in standard deviations, beyond which a datum is an outlier: of two million
normal errors one is as large."""


def outlying(has_sigma: Any, loss: Robust | None) -> np.ndarray:
    """Returns the weighted deviation beyond which data are outliers.

    It is 5 standard deviations where these are known, else 5 times the scale of the
    loss, and infinite if that is linear.

    Args:
        has_sigma: Bool of any shape, whether weights come from standard deviations.
        loss: The loss; None for squares.
    """
    scale = np.inf if loss is None else loss.scale
    return OUTLYING * np.where(has_sigma, 1.0, scale)


class Losses:
    """The losses of all targets of a problem.

    Args:
        parts: Slice of the targets and loss of each observation, in order; None for
            the linear one.
    """

    def __init__(self, parts: Sequence[tuple[slice, Robust | None]]) -> None:
        self.parts = tuple(parts)

    def root(self, f: tf.Tensor) -> tf.Tensor:
        """Computes the residual s, `[..., m]`, from the weighted deviations f."""
        return self._each(f, lambda loss, x: loss.root(x), lambda x: x)

    def taped_root(self, f: tf.Tensor) -> tf.Tensor:
        """Computes the same for gradient tapes, which differentiate it twice."""
        return self._each(f, lambda loss, x: loss.taped_root(x), lambda x: x)

    def slope(self, s: tf.Tensor) -> tf.Tensor:
        """Computes `ds/df` from s, `[..., m]`."""
        return self._each(s, lambda loss, x: loss.slope(x), tf.ones_like)

    def bend(self, s: tf.Tensor) -> tf.Tensor:
        """Computes `Robust.bend` from s, `[..., m]`; 1 for linear losses."""
        return self._each(s, lambda loss, x: loss.bend(x), tf.ones_like)

    def _each(
        self,
        x: tf.Tensor,
        function: Callable[[Robust, tf.Tensor], tf.Tensor],
        linear: Callable[[tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        found = [
            linear(x[..., part]) if loss is None else function(loss, x[..., part])
            for part, loss in self.parts
        ]
        return found[0] if len(found) == 1 else tf.concat(found, axis=-1)


def _far(dtype: tf.DType) -> float:
    # From here on `1 + x^2` is `x^2` to rounding, and x^2 is still in range.
    return epsilon(dtype) ** -0.55


def _signed(x: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.where(x < 0, -size, size)


def _hypotenuse(x: tf.Tensor) -> tf.Tensor:
    # sqrt(1 + x^2) without overflow.
    size, far = tf.abs(x), _far(x.dtype)
    return tf.where(size > far, size, tf.sqrt(1 + tf.minimum(size, far) ** 2))


def _log1p_ratio(z: tf.Tensor) -> tf.Tensor:
    # log(1 + z) / z for z in [0, 1], to rounding. The logarithm is corrected by a
    # Newton step with `e^L - 1 = 2 t / (1 - t)`, `t = tanh(L / 2)`: log1p and expm1
    # are missing in ONNX.
    L = tf.math.log(1 + z)
    t = tf.tanh(L / 2)
    L -= (2 * t / (1 - t) - z) / (1 + z)
    small = z < epsilon(z.dtype) ** 1.5
    return tf.where(small, tf.ones_like(z), L / tf.where(small, tf.ones_like(z), z))


def _expm1_ratio(y: tf.Tensor) -> tf.Tensor:
    # (1 - e^-y) / y for y >= 0, to rounding.
    t = tf.tanh(y / 2)
    small = y < epsilon(y.dtype) ** 1.5
    ratio = 2 * t / (1 + t) / tf.where(small, tf.ones_like(y), y)
    return tf.where(small, tf.ones_like(y), ratio)


def _soft_l1_root(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sqrt(2 / (_hypotenuse(x) + 1))


def _huber_root(x: tf.Tensor) -> tf.Tensor:
    size = tf.abs(x)
    outer = tf.sqrt(2 * tf.maximum(size, 1) - 1)
    return tf.where(size <= 1, x, _signed(x, outer))


def _cauchy_root(x: tf.Tensor) -> tf.Tensor:
    size, far = tf.abs(x), _far(x.dtype)
    near = x * tf.sqrt(_log1p_ratio(tf.minimum(size, 1) ** 2))
    middle = tf.math.log(1 + tf.clip_by_value(size, 1, far) ** 2)
    outer = tf.where(size > far, 2 * tf.math.log(tf.maximum(size, far)), middle)
    return tf.where(size <= 1, near, _signed(x, tf.sqrt(outer)))


def _soft_l1_slope(s: tf.Tensor) -> tf.Tensor:
    size, far = tf.abs(s), _far(s.dtype)
    y = tf.minimum(size, far) ** 2
    inner = tf.sqrt(1 + y / 4) / (1 + y / 2)
    return tf.where(size > far, 1 / tf.maximum(size, far), inner)


def _huber_slope(s: tf.Tensor) -> tf.Tensor:
    size = tf.abs(s)
    return tf.where(size <= 1, tf.ones_like(s), 1 / tf.maximum(size, 1))


def _cauchy_slope(s: tf.Tensor) -> tf.Tensor:
    y = s**2
    return tf.exp(-y / 2) * tf.sqrt(_expm1_ratio(y))


def _soft_l1_bend(s: tf.Tensor) -> tf.Tensor:
    y = tf.minimum(tf.abs(s), _far(s.dtype)) ** 2
    return 1 / (1 + y / 2) / (1 + y / 4)


def _huber_bend(s: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.abs(s) <= 1, tf.ones_like(s), tf.zeros_like(s))


def _cauchy_bend(s: tf.Tensor) -> tf.Tensor:
    y = s**2
    return (2 * tf.exp(-y) - 1) / _expm1_ratio(y)


def _cauchy_weight(x: tf.Tensor) -> tf.Tensor:
    return 1 / _hypotenuse(x) ** 2


_Functions = dict[str, Callable[[tf.Tensor], tf.Tensor]]
_ROOTS: _Functions = {
    "soft_l1": _soft_l1_root,
    "huber": _huber_root,
    "cauchy": _cauchy_root,
}
_SLOPES: _Functions = {
    "soft_l1": _soft_l1_slope,
    "huber": _huber_slope,
    "cauchy": _cauchy_slope,
}
_BENDS: _Functions = {
    "soft_l1": _soft_l1_bend,
    "huber": _huber_bend,
    "cauchy": _cauchy_bend,
}
_WEIGHTS: _Functions = {
    "soft_l1": lambda x: 1 / _hypotenuse(x),
    "huber": lambda x: 1 / tf.maximum(tf.abs(x), 1),
    "cauchy": _cauchy_weight,
}
