"""Step control of damped methods: Nielsen's rule.

Source: H. B. Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05,
Technical University of Denmark (1999), section 3.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.tensors.batching import select


class Damping(NamedTuple):
    """State of the rule; one value for each member."""

    mu: tf.Tensor  # [...] the damping
    growth: tf.Tensor  # [...] factor of the next increase


def start(mu: tf.Tensor) -> Damping:
    """Starts the rule with a damping `[...]`."""
    return Damping(mu, tf.fill(tf.shape(mu), tf.constant(2, mu.dtype)))


def renewed(damping: Damping, is_new: tf.Tensor | bool) -> Damping:
    """Starts the rule anew for members `[...]` whose scales are new."""
    if isinstance(is_new, bool):
        return damping
    return select(is_new, start(tf.ones_like(damping.mu)), damping)


def update(damping: Damping, gain: tf.Tensor, accepted: tf.Tensor) -> Damping:
    """Adapts the damping to a step.

    Args:
        damping: State of the rule used for the step.
        gain: `[...]`, actual over predicted reduction of the loss.
        accepted: `[...]` bool, whether the step was taken.

    Returns:
        The new state: after a good step less damping, by at most a factor of 3; after
        rejected ones more, by factors of 2, 4, 8, ... in a row.
    """
    shrink = tf.maximum(1 - (2 * gain - 1) ** 3, 1 / 3)
    ceiling = damping.mu.dtype.max / damping.growth
    grown = tf.minimum(damping.mu, ceiling) * damping.growth
    fresh = start(damping.mu).growth
    return Damping(
        mu=tf.where(accepted, damping.mu * shrink, grown),
        growth=tf.where(accepted, fresh, tf.minimum(2 * damping.growth, 1e6)),
    )
