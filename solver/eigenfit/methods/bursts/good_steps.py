"""The good steps that `Alternating` begins with, with no more operations than needed.

Most problems that can be met need only a few Newton steps, each better than the last.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.methods.bursts.alternating import (
    INITIAL_DAMPING,
    LONGEST,
    Alternating,
    AlternatingState,
)
from eigenfit.methods.bursts.plan import FALL, NEWTON_STEPS
from eigenfit.methods.stepping import damping, flatness, steps
from eigenfit.problem.problem import Evaluation, Point, Problem, answer_at
from eigenfit.results import Result
from eigenfit.tensors.batching import select


class Origin(NamedTuple):
    """What stays constant during a burst."""

    start: tf.Tensor  # [..., p] start given by the caller
    reach: tf.Tensor  # [...] norm of the residual there
    unit: tf.Tensor  # [..., p] squares of the scales D there


class GoodSteps(NamedTuple):
    """Loop variable: the last step, with its first and last point."""

    before: Evaluation
    after: Evaluation
    scale: tf.Tensor  # [..., p] squares of the scales D
    usable: tf.Tensor  # [...] bool, whether the direction was finite
    num_steps: tf.Tensor  # [...] int32


def begin(state: AlternatingState) -> tuple[Origin, GoodSteps]:
    """Takes what the burst needs from the first state of `Alternating`."""
    point = state.current
    usable = tf.ones_like(state.burst, tf.bool)
    burst = GoodSteps(point, point, state.scale, usable, state.burst)
    return Origin(state.start, state.reach, state.unit), burst


def step(
    method: Alternating,
    problem: Problem,
    origin: Origin,
    burst: GoodSteps,
    targets: tf.Tensor,
) -> GoodSteps:
    """Makes the step that `Alternating` would make, even if the loss rises."""
    point = burst.after
    scale, norms, J, half_gradient, _ = steps.scaled_at(problem, point, burst.scale)
    mu = tf.zeros_like(origin.reach)
    scaled = method.direction(problem, point, targets, J, norms, mu)
    scaled = steps.shortened(scaled, LONGEST * origin.reach)
    moved = problem.limit(point.parameters + scaled / norms)
    return GoodSteps(
        before=point,
        after=problem.evaluate(moved, targets),
        scale=scale,
        usable=tf.reduce_all(tf.math.is_finite(half_gradient), axis=-1),
        num_steps=burst.num_steps + 1,
    )


def goes_well(burst: GoodSteps) -> tf.Tensor:
    """Returns whether the last step was good and another may follow: `[...]`."""
    fell = burst.after.loss < FALL * burst.before.loss
    return (fell | (burst.num_steps == 0)) & (burst.num_steps < NEWTON_STEPS)


def best(burst: GoodSteps) -> Point:
    """Returns the best point of a burst whose steps but the last were all good."""
    better = burst.after.loss < burst.before.loss
    return select(better, answer_at(burst.after), answer_at(burst.before))


def go_on(origin: Origin, burst: GoodSteps) -> AlternatingState:
    """Returns the state that `Alternating` would have after the same steps."""
    before, after, scale, usable, num_steps = burst
    fell = after.loss < FALL * before.loss
    lost = flatness.has_diverged(after.loss, before.loss) | ~usable
    zeros = tf.zeros_like(num_steps)
    return AlternatingState(
        point=best(burst),
        current=select(tf.math.is_finite(after.loss), after, before),
        start=origin.start,
        reach=origin.reach,
        unit=origin.unit,
        scale=scale,
        damping=damping.start(tf.ones_like(origin.reach) * INITIAL_DAMPING),
        burst=zeros,
        num_left=tf.where(lost, 0, NEWTON_STEPS - num_steps),
        mark=tf.where(fell, after.loss, before.loss),
        idle=tf.where(fell, 0, 1),
        agreeing=zeros,
        code=tf.where(usable, int(Result.max_steps), int(Result.nonfinite)),
    )
