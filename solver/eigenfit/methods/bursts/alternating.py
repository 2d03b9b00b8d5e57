"""Bursts of Newton and Levenberg-Marquardt in turn, each from its own start."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.methods.base import AbstractMethod
from eigenfit.methods.bursts.plan import FALL, LAST_DESCENT, NEWTON_STEPS, Bursts
from eigenfit.methods.bursts.votes import votes
from eigenfit.methods.cluster_newton import couplings_of
from eigenfit.methods.stepping import damping, flatness, steps
from eigenfit.problem.problem import Evaluation, Point, Problem, answer_at
from eigenfit.results import RUNNING, Result
from eigenfit.tensors.batching import select
from eigenfit.tensors.branches import where_any
from eigenfit.tensors.checks import positive_int

INITIAL_DAMPING = 1e-2
_FIRST_DAMPING = 1e-5  # if the first burst is damped
_AGREEMENT = 1e-6  # relative difference up to which losses are the same
LONGEST = 4.0  # longest Newton step, relative to the residual at the start
_LONGEST_DAMPED = 10.0  # longest damped step, relative to residual or parameters
_MOST_COUPLINGS = 2**14  # most numbers in the equations of clusters


class AlternatingState(NamedTuple):
    """Loop variable of `Alternating`."""

    point: Point  # the best point so far
    current: Evaluation  # where the burst is
    start: tf.Tensor  # [..., p] start given by the caller
    reach: tf.Tensor  # [...] norm of the residual there: the scale of all moves
    unit: tf.Tensor  # [..., p] squares of the scales D there
    scale: tf.Tensor  # [..., p] squares of D in this burst
    damping: damping.Damping
    burst: tf.Tensor  # [...] int32, even: Newton, odd: damped, or the other way round
    num_left: tf.Tensor  # [...] int32, steps left in the burst
    mark: tf.Tensor  # [...] loss of the burst when it last fell by enough
    idle: tf.Tensor  # [...] int32, steps since then
    agreeing: tf.Tensor  # [...] int32, votes of damped bursts for the best loss
    code: tf.Tensor  # [...] int32, the Result if the bursts are used up


class Move(NamedTuple):
    """A step, or the start of the next burst."""

    parameters: tf.Tensor  # [..., p]
    predicted: tf.Tensor  # [...], by how much a damped step lowers the loss
    length: tf.Tensor  # [...], of the scaled step before it is shortened
    scale: tf.Tensor  # [..., p], squared scales
    norms: tf.Tensor  # [..., p], scales
    half_gradient: tf.Tensor  # [..., p], of the loss by the scaled parameters
    usable: tf.Tensor  # [...], whether the gradient is finite
    damping: damping.Damping

    def is_short(self, point: Evaluation) -> tf.Tensor:
        """Returns whether the step from a point is rounding: `[...]`."""
        size = tf.norm(self.norms * point.parameters, axis=-1)
        return self.length <= epsilon(size.dtype) * size


class Alternating(AbstractMethod):
    """Bursts of Newton and Levenberg-Marquardt, for problems that can be met.

    Monotone descent is trapped by some inverse eigenvalue problems (Toeplitz) that
    undamped Newton steps jump over, and Newton diverges on others (shear frames) that
    descent solves. Here they take turns: up to 25 Newton steps (Method I of
    S. Friedland, J. Nocedal & M. L. Overton, SIAM J. Numer. Anal. 24 (1987) 634-667;
    least-squares or shortest steps where the Jacobian is not square), none longer
    than 4 times the residual at the start, then up to 40 steps of
    Levenberg-Marquardt, both from the start; and so on, from random points around the
    start and around the best point in turn. A burst ends early when its loss no
    longer falls. The last one descends from the best point until the loss stops
    falling, for 2000 steps at most. The best point is the answer. The random numbers
    are fixed and the same for each member, so that the answer depends only on the
    input.

    If no parameters meet the targets, all bursts are spent before the answer is a
    minimum, `stalled`, or `max_steps` if the last descent has not ended. With
    `agreement` a member ends when that many damped bursts have led to the best loss.
    One is enough if there are priors, if it ended on a bound, if the standard
    deviations of the data explain the loss (at most 3 per degree of freedom), or if
    at least four times as many data as unknowns are met to 1 %. If targets are equal
    and the problem is small, every step includes the equations of `ClusterNewton`.

    Args:
        num_bursts: Number of bursts, at least 1.
        descend_first: Whether the first burst is damped.
        agreement: Number of damped bursts that must lead to the best loss; None to run
            all bursts.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If `num_bursts` or `agreement` is not an integer of at least 1.

    Example:
        >>> Alternating()
        Alternating(num_bursts=64)
    """

    honours_bounds = True

    def __init__(
        self,
        num_bursts: int = 64,
        descend_first: bool = False,
        agreement: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.num_bursts = positive_int("num_bursts", num_bursts)
        self.descend_first = bool(descend_first)
        if agreement is not None:
            agreement = positive_int("agreement", agreement)
        self.agreement = agreement
        self.bursts = Bursts(self.num_bursts, self.descend_first)
        self.default_max_steps = self.bursts.default_max_steps
        self._clusters = True

    def __repr__(self) -> str:
        more = ", descend_first=True" if self.descend_first else ""
        if self.agreement is not None:
            more += f", agreement={self.agreement}"
        return f"Alternating(num_bursts={self.num_bursts}{more})"

    @property
    def begins_with_newton(self) -> bool:
        """Whether the first burst makes Newton steps."""
        return not self.descend_first and self.num_bursts > 2

    def for_distinct_targets(self, problem: Problem) -> Alternating:
        """Leaves out the equations of clusters; see the base class."""
        m, p = problem.num_targets, problem.num_parameters
        if problem.observation is None or m == 1 or m * m * p > _MOST_COUPLINGS:
            return self
        distinct = copy.copy(self)
        distinct._clusters = False
        return distinct

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> AlternatingState:
        """Starts the first burst; see the base class."""
        point = problem.evaluate(parameters, targets)
        J = problem.jacobian_at(point)
        scale = steps.initial_scale(problem, J, point)
        zeros = tf.zeros_like(point.loss, tf.int32)
        mu = _FIRST_DAMPING if self.descend_first else INITIAL_DAMPING
        return AlternatingState(
            point=answer_at(point),
            current=point,
            start=point.parameters,
            reach=tf.sqrt(point.loss),
            unit=scale,
            scale=scale,
            damping=damping.start(tf.ones_like(point.loss) * mu),
            burst=zeros,
            num_left=zeros + (LAST_DESCENT if self.descend_first else NEWTON_STEPS),
            mark=point.loss,
            idle=zeros,
            agreeing=zeros,
            code=zeros + int(Result.max_steps),
        )

    def step(
        self, problem: Problem, state: AlternatingState, targets: tf.Tensor
    ) -> AlternatingState:
        """Makes a step of the burst, or begins the next; see the base class."""
        current, begins = state.current, state.num_left <= 0
        newton = self.bursts.is_newton(state.burst)
        move = self.propose(problem, state, targets, newton, begins)
        trial = problem.evaluate(move.parameters, targets)
        fell = trial.loss < current.loss
        taken = tf.math.is_finite(trial.loss) & (begins | newton | fell)
        short = move.is_short(current)
        flat = flatness.is_level(current, trial.loss)
        flat &= flatness.is_orthogonal(problem, current, targets, move.half_gradient)
        falls = trial.loss < FALL * state.mark
        idle = tf.where(falls | begins, 0, state.idle + 1)
        lost = tf.where(
            newton,
            flatness.has_diverged(trial.loss, state.mark),
            flat | (~fell & short),
        )
        lost |= ~move.usable | (idle >= self.bursts.patience(state.burst))
        rest = tf.where(lost, 0, state.num_left - 1)

        point, code, agreeing = self._account(
            problem, state, targets, trial, move, flat, short
        )
        burst = state.burst + tf.cast(begins, tf.int32)
        adapted = damping.update(
            move.damping, (current.loss - trial.loss) / move.predicted, fell
        )
        fresh = damping.start(tf.ones_like(state.reach) * INITIAL_DAMPING)
        return AlternatingState(
            point=point,
            current=select(taken, trial, current),
            start=state.start,
            reach=state.reach,
            unit=state.unit,
            scale=select(begins, state.unit, move.scale),
            damping=select(begins | newton, fresh, adapted),
            burst=burst,
            num_left=tf.where(begins, self.bursts.most_steps(burst), rest),
            mark=tf.where(taken & (falls | begins), trial.loss, state.mark),
            idle=idle,
            agreeing=agreeing,
            code=code,
        )

    def propose(
        self,
        problem: Problem,
        state: AlternatingState,
        targets: tf.Tensor,
        newton: tf.Tensor | bool,
        begins: tf.Tensor | bool,
    ) -> Move:
        """Proposes the next step of the burst, or the start of the next burst.

        Args:
            problem: The problem to fit.
            state: Where the burst is.
            targets: `[..., m]`.
            newton: `[...]`, whether the burst is one of Newton steps.
            begins: `[...]`, whether the next burst begins instead.
        """
        current = state.current
        none = tf.zeros_like(state.reach)
        mu = select(newton, none, state.damping.mu)
        scaling = steps.scaled_at(problem, current, state.scale, mu)
        scale, norms, J, half_gradient, is_new = scaling
        before = damping.renewed(state.damping, is_new)
        mu = select(newton, none, before.mu)
        scaled = self.direction(problem, current, targets, J, norms, mu)
        length = tf.norm(scaled, axis=-1)
        far = steps.longest_step(norms, current, _LONGEST_DAMPED)
        longest = select(newton, LONGEST * state.reach, far)
        scaled = steps.shortened(scaled, longest)
        predicted = tf.reduce_sum(
            scaled * (mu[..., tf.newaxis] * scaled - half_gradient), axis=-1
        )
        moved = current.parameters + scaled / norms
        if begins is not False:
            moved = select(begins, self._next_start(state), moved)
        moved = problem.limit(moved)
        if problem.bounds is not None:
            step = (moved - current.parameters) * norms
            predicted = steps.fall(problem, current, J, step)
        usable = tf.reduce_all(tf.math.is_finite(half_gradient), axis=-1)
        return Move(
            moved, predicted, length, scale, norms, half_gradient, usable, before
        )

    def _account(
        self,
        problem: Problem,
        state: AlternatingState,
        targets: tf.Tensor,
        trial: Evaluation,
        move: Move,
        flat: tf.Tensor,
        short: tf.Tensor,
    ) -> tuple[Point, tf.Tensor, tf.Tensor]:
        """Keeps the best point so far, its code, and the votes of descents to it."""
        current, begins = state.current, state.num_left <= 0
        loss, best = current.loss, state.point.loss
        damped = ~self.bursts.is_newton(state.burst)
        better = tf.math.is_finite(trial.loss) & (trial.loss < best)
        # The loss does not show it, but the last step halves the count of wrong digits.
        last = flat & damped & ~begins & flatness.is_level(trial, loss)
        last &= loss <= (1 + 4 * epsilon(loss.dtype)) * best
        # Losses that differ by rounding are the same.
        lower = better & (trial.loss < (1 - _AGREEMENT) * best)
        code = tf.where(lower, int(Result.max_steps), state.code)
        at_best = ~begins & (loss <= (1 + _AGREEMENT) * best)
        agrees = at_best & damped & flat
        ended = at_best & damped & ~(trial.loss < loss) & short
        if problem.is_least_squares:
            agrees |= ended
        ended &= code == int(Result.max_steps)
        code = tf.where(ended, int(Result.stalled), code)
        code = tf.where(agrees & flat, int(Result.stationary), code)
        code = tf.where(at_best & ~move.usable, int(Result.nonfinite), code)
        worth = votes(problem, current, targets, self.agreement)
        agreeing = state.agreeing + tf.where(agrees, worth, 0)
        agreeing = tf.where(lower, 0, agreeing)
        return select(better | last, answer_at(trial), state.point), code, agreeing

    def terminate(self, problem: Problem, state: AlternatingState) -> tf.Tensor:
        """Ends with the last burst, or on agreement; see the base class."""
        over = (state.burst + 1 >= self.num_bursts) & (state.num_left <= 0)
        if self.agreement is not None:
            over |= state.agreeing >= self.agreement
        return tf.where(over, state.code, RUNNING)

    def direction(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        J: tf.Tensor,
        norms: tf.Tensor,
        mu: tf.Tensor,
    ) -> tf.Tensor:
        """Solves for a scaled step, with the equations of clusters if there are any.

        A Gauss-Newton step is blind to what splits the levels of a cluster. If targets
        are equal, the equations of `ClusterNewton` are added, which makes `J^T J` the
        exact Hessian there.
        """
        plain = steps.direction(*steps.model(problem, point, J), mu)
        if not self._clusters or self.for_distinct_targets(problem) is self:
            return plain
        order = np.argsort(problem.only_levels().positions(problem.order))
        t = tf.gather(targets, order, axis=-1)
        clustered = tf.reduce_any(t[..., 1:] == t[..., :-1], axis=-1)

        def with_clusters() -> tf.Tensor:
            rows = couplings_of(problem, point, targets)
            assert rows is not None
            rows = problem.in_own_unit(rows) / norms[..., tf.newaxis, :]
            step = steps.direction(J, point.residual, mu, rows)
            return select(clustered, step, plain)

        return where_any(clustered, with_clusters, plain)

    def _next_start(self, state: AlternatingState) -> tf.Tensor:
        burst, start = state.burst + 1, state.start
        around_start = (burst % 4 < 2) & ~self.bursts.is_last(burst)
        moves = self.bursts.move_to(burst, start.shape[-1], start.dtype)
        moves *= state.reach[..., tf.newaxis] / steps.roots(state.unit)
        return select(around_start, start, state.point.parameters) + moves
