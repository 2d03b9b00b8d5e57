"""Bursts of Newton and Levenberg-Marquardt in turn, from points of their own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.batching import select
from eigenfit.eigen import epsilon
from eigenfit.methods import damping, gauss_newton
from eigenfit.methods.base import AbstractMethod
from eigenfit.problem import Evaluation, Point, Problem, answer_at
from eigenfit.results import RUNNING, Result
from eigenfit.structures.base import positive_int

# Even bursts are of Newton, odd ones damped. BUILD_NOTES.md has what was tried.
_STEPS = (25, 40)  # longest burst
_PATIENCE = (8, 5)  # steps in which the loss of a burst must fall by _FALL at least
_FALL = 0.7
_DIVERGED = 1e3  # rise of the loss at which a Newton burst is given up
_INITIAL_DAMPING = 1e-2
# Lengths relative to the residual at the start: of a Newton step at most, and of the
# moves to the starts of bursts, in turn.
_LONGEST = 4.0
_MOVES = ((2.0, 4.0), (0.3, 0.3, 0.7, 0.7))


class AlternatingState(NamedTuple):
    """Loop variable of `Alternating`."""

    point: Point  # the best so far
    current: Evaluation  # where the burst is
    start: tf.Tensor  # [..., p] given by the caller
    reach: tf.Tensor  # [...] norm of the residual there: the scale of all moves
    unit: tf.Tensor  # [..., p] squares of the scales D there
    scale: tf.Tensor  # [..., p] the same in this burst
    damping: damping.Damping
    burst: tf.Tensor  # [...] int32, even: Newton, odd: damped
    num_left: tf.Tensor  # [...] int32, steps left of the burst
    mark: tf.Tensor  # [...] loss of the burst when it last fell by enough
    idle: tf.Tensor  # [...] int32, steps since
    code: tf.Tensor  # [...] int32, a Result for when the bursts are used up


class Alternating(AbstractMethod):
    """Bursts of Newton and of Levenberg-Marquardt, for problems that can be met.

    Monotone descent is trapped by some inverse eigenvalue problems (Toeplitz) that
    undamped Newton steps jump over, and Newton diverges on others (shear frames) that
    descent solves. Here they take turns: up to 25 Newton steps (Method I of
    S. Friedland, J. Nocedal & M. L. Overton, SIAM J. Numer. Anal. 24 (1987) 634-667;
    least-squares or shortest steps where the Jacobian is not square), none longer
    than 4 times the residual at the start, then up to 40 steps of
    Levenberg-Marquardt, both from the start; and so on from random points around the
    start and around the best point in turn. A burst ends early when its loss no
    longer falls. The best point is the answer. The random numbers are fixed and the
    same for each member, so that the answer depends on nothing but the input.

    Where no parameters meet the targets all bursts are spent before the answer is
    `stationary` or `stalled`: use `LevenbergMarquardt` for such problems.

    Args:
        num_bursts: Number of bursts.
        name: Of the module.

    Raises:
        ValueError: If `num_bursts` is not an integer of at least 1.

    Example:
        >>> Alternating()
        Alternating(num_bursts=64)
    """

    def __init__(self, num_bursts: int = 64, name: str | None = None) -> None:
        super().__init__(name=name)
        self.num_bursts = positive_int("num_bursts", num_bursts)
        # With the step that begins each burst but the first.
        self.default_max_steps = num_bursts * (max(_STEPS) + 1)

    def __repr__(self) -> str:
        return f"Alternating(num_bursts={self.num_bursts})"

    def check(self, problem: Problem) -> None:
        """Accepts every problem."""

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> AlternatingState:
        """Starts the first burst; see the base class."""
        point = problem.evaluate(parameters, targets)
        scale = gauss_newton.initial_scale(problem, problem.jacobian_at(point))
        zeros = tf.zeros_like(point.loss, tf.int32)
        return AlternatingState(
            point=answer_at(point),
            current=point,
            start=point.parameters,
            reach=tf.sqrt(point.loss),
            unit=scale,
            scale=scale,
            damping=damping.start(tf.ones_like(point.loss) * _INITIAL_DAMPING),
            burst=zeros,
            num_left=zeros + _STEPS[0],
            mark=point.loss,
            idle=zeros,
            code=zeros + int(Result.stalled),
        )

    def step(
        self, problem: Problem, state: AlternatingState, targets: tf.Tensor
    ) -> AlternatingState:
        """Makes a step of the burst, or begins the next; see the base class."""
        current = state.current
        begins = state.num_left <= 0
        newton = state.burst % 2 == 0
        J = problem.jacobian_at(current)
        scale = gauss_newton.updated_scale(problem, state.scale, J)
        norms = gauss_newton.roots(scale)
        J /= norms[..., tf.newaxis, :]
        mu = tf.where(newton, tf.zeros_like(state.reach), state.damping.mu)
        scaled = gauss_newton.direction(J, current.residual, mu)
        length = tf.norm(scaled, axis=-1)
        longest = tf.where(newton, _LONGEST * state.reach, length)
        scaled *= tf.minimum(tf.math.divide_no_nan(longest, length), 1.0)[
            ..., tf.newaxis
        ]
        half_gradient = gauss_newton.gradient(J, current.residual)
        predicted = tf.reduce_sum(
            scaled * (mu[..., tf.newaxis] * scaled - half_gradient), axis=-1
        )

        moved = select(
            begins, self._next_start(state), current.parameters + scaled / norms
        )
        trial = problem.evaluate(moved, targets)
        finite = tf.math.is_finite(trial.loss)
        fell = trial.loss < current.loss
        taken = finite & (begins | newton | fell)

        unit = epsilon(scaled.dtype)
        short = length <= unit * tf.norm(norms * current.parameters, axis=-1)
        cosine = tf.reduce_max(tf.abs(half_gradient), axis=-1) / tf.sqrt(current.loss)
        flat = ~(trial.loss < current.loss * (1 - 4 * unit)) & (cosine <= 8 * unit**0.5)
        falls = trial.loss < _FALL * state.mark
        idle = tf.where(falls | begins, 0, state.idle + 1)
        lost = tf.where(
            newton,
            ~(trial.loss <= _DIVERGED * state.mark) | (idle >= _PATIENCE[0]),
            flat | (~fell & short) | (idle >= _PATIENCE[1]),
        )

        better = finite & (trial.loss < state.point.loss)
        code = tf.where(better, int(Result.stalled), state.code)
        at_best = current.loss <= state.point.loss
        stationary = ~begins & ~newton & flat & at_best
        code = tf.where(stationary, int(Result.stationary), code)
        burst = state.burst + tf.cast(begins, tf.int32)
        whole = tf.where(burst % 2 == 0, *_STEPS)
        adapted = damping.update(
            state.damping, (current.loss - trial.loss) / predicted, fell
        )
        fresh = damping.start(tf.ones_like(mu) * _INITIAL_DAMPING)
        return AlternatingState(
            point=select(better, answer_at(trial), state.point),
            current=select(taken, trial, current),
            start=state.start,
            reach=state.reach,
            unit=state.unit,
            scale=select(begins, state.unit, scale),
            damping=select(begins | newton, fresh, adapted),
            burst=burst,
            num_left=tf.where(begins, whole, tf.where(lost, 0, state.num_left - 1)),
            mark=tf.where(taken & (falls | begins), trial.loss, state.mark),
            idle=idle,
            code=code,
        )

    def terminate(self, problem: Problem, state: AlternatingState) -> tf.Tensor:
        """Ends when the last burst has; see the base class."""
        over = (state.burst + 1 >= self.num_bursts) & (state.num_left <= 0)
        return tf.where(over, state.code, RUNNING)

    def _next_start(self, state: AlternatingState) -> tf.Tensor:
        burst = state.burst + 1
        table = tf.constant(self._moves(state.start.shape[-1]), state.start.dtype)
        moves = tf.gather(table, tf.minimum(burst, self.num_bursts - 1))
        moves *= state.reach[..., tf.newaxis] / gauss_newton.roots(state.unit)
        around_start = burst % 4 < 2
        base = select(around_start, state.start, state.point.parameters)
        return base + moves

    def _moves(self, p: int) -> np.ndarray:
        """Tabulates the move to the start of each burst, `[num_bursts, p]`."""
        noise = np.random.default_rng(0).normal(size=[self.num_bursts, p]) / np.sqrt(p)
        for burst in range(self.num_bursts):
            lengths = _MOVES[burst % 2]
            noise[burst] *= lengths[burst // 2 % len(lengths)]
        noise[:2] = 0  # the first two begin at the start itself
        return noise
