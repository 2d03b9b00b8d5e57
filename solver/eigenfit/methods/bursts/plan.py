"""The plan of `Alternating`: which bursts there are, how long, and where they begin."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# BUILD_NOTES.md lists what was tried.
NEWTON_STEPS = 25  # most steps of a Newton burst
FALL = 0.7  # factor by which the loss of a burst must fall within its patience
_PATIENCE = (5, 3)  # steps for that in Newton and damped bursts
_DAMPED_STEPS = 40  # most steps of a damped burst
LAST_DESCENT = 2_000  # steps of the last burst, and of a first descent
_FIRST_PATIENCE = 150
# Lengths of the moves to the starts of bursts, in turn, relative to the residual at the
# start.
_MOVES = ((2.0, 4.0), (0.3, 0.3, 0.7, 0.7))


class Bursts:
    """Bursts of Newton and damped steps in turn, the last one a long descent.

    Args:
        number: Number of bursts.
        descend_first: Whether the first one is damped. A least-squares answer is worth
            the whole descent: damped bursts are then longer, and given up later.

    Attributes:
        default_max_steps: Most steps of all bursts together.
    """

    def __init__(self, number: int, descend_first: bool) -> None:
        self.number = number
        self._descend_first = descend_first
        self._longest = 200 if descend_first else _DAMPED_STEPS
        self._patience = 40 if descend_first else _PATIENCE[1]
        # Including the step that begins each burst but the first.
        self.default_max_steps = number * (self._longest + 1) + 2 * LAST_DESCENT

    def is_newton(self, burst: tf.Tensor) -> tf.Tensor:
        """Returns which bursts make Newton steps: `[...]`."""
        return (burst % 2 == int(self._descend_first)) & ~self.is_last(burst)

    def is_last(self, burst: tf.Tensor) -> tf.Tensor:
        """Returns which bursts are the last, if there is something to finish."""
        return burst == (self.number - 1 if self.number > 2 else -1)

    def most_steps(self, burst: tf.Tensor) -> tf.Tensor:
        """Returns the most steps of a burst: `[...]`."""
        whole = tf.where(self.is_newton(burst), NEWTON_STEPS, self._longest)
        return tf.where(self.is_last(burst), LAST_DESCENT, whole)

    def patience(self, burst: tf.Tensor) -> tf.Tensor:
        """Returns the steps within which the loss must fall: `[...]`."""
        patience = tf.where(self.is_last(burst), LAST_DESCENT, self._patience)
        if self._descend_first:
            patience = tf.where(burst == 0, _FIRST_PATIENCE, patience)
        return tf.where(self.is_newton(burst), _PATIENCE[0], patience)

    def move_to(self, burst: tf.Tensor, number: int, dtype: tf.DType) -> tf.Tensor:
        """Returns the move to the start of a burst, `[..., p]`, 1 being the residual.

        Args:
            burst: `[...]`; a state from outside may hold any number.
            number: Number p of unknowns.
            dtype: Dtype of the result.
        """
        table = tf.constant(self._table(number), dtype)
        return tf.gather(table, tf.clip_by_value(burst, 0, self.number - 1))

    def _table(self, p: int) -> np.ndarray:
        # The move to the start of each burst, [number, p].
        noise = np.random.default_rng(0).normal(size=[self.number, p]) / np.sqrt(p)
        for burst in range(self.number):
            lengths = _MOVES[(burst + int(self._descend_first)) % 2]
            noise[burst] *= lengths[burst // 2 % len(lengths)]
        noise[:2] = 0  # the first two begin at the start itself
        if self.number > 2:
            noise[-1] = 0  # and the last at the best point
        return noise
