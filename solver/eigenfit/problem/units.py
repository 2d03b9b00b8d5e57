"""The unit in which a fit measures residuals."""

from __future__ import annotations

import tensorflow as tf


class Unit:
    """Divides residuals and their derivatives, so that squares stay in range.

    Args:
        value: `[...]`, positive, one for each member; None for 1.

    Example:
        >>> Unit(tf.constant([2.0])).divide(tf.constant([[4.0, 6.0]])).numpy()
        array([[2., 3.]], dtype=float32)
    """

    def __init__(self, value: tf.Tensor | None = None) -> None:
        self.value = value
        if value is not None:
            wide = value[..., tf.newaxis]
            self._wide = (value, wide, wide[..., tf.newaxis])

    def divide(self, x: tf.Tensor, power: int = 1) -> tf.Tensor:
        """Divides a tensor by the unit to a power, which may be negative.

        Args:
            x: `[...]`, `[..., *]` or `[..., *, *]`, with the dimensions of the unit
                first.
            power: The power.
        """
        if self.value is None:
            return x
        unit = tf.cast(self._wide[x.shape.rank - self.value.shape.rank], x.dtype)
        for _ in range(abs(power)):  # A square may leave the range of the dtype.
            x = x / unit if power > 0 else x * unit
        return x
