"""The derivative of a solution with respect to its targets, from the solution alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.eigen.derivatives import final, here
from eigenfit.eigen.pseudo_inverse import (
    Factors,
    factor,
    least_squares,
    restricted_inverse,
)
from eigenfit.methods import AbstractMethod
from eigenfit.methods.stepping import steps
from eigenfit.problem.differenced import hessian_at_solution
from eigenfit.problem.lengths import lengths
from eigenfit.problem.problem import Problem
from eigenfit.problem.sizes import natural_size
from eigenfit.results import Result

_CHANGE = 0.1
"""Fraction by which a singular value may change on the last step to a solution."""


def follow_targets(
    problem: Problem,
    method: AbstractMethod,
    initial: tf.Tensor,
    targets: tf.Tensor,
    answer: tuple[Any, ...],
) -> tuple[Any, ...]:
    """Makes the answer of a fit differentiable by its targets.

    With the residual R, its derivatives J by the parameters and B by the targets, and
    half the gradient `g = J^T R` of the loss, the implicit function theorem gives at a
    minimum `(dg/dr) dr = -(dg/dt) dt`, whatever the method did and however many steps
    it took. `dg/dr` is half the exact Hessian; `dg/dt` is `J^T B` plus, where values
    depend on their targets, `(dJ/dt)^T R`. Priors are rows of R. Robust losses multiply
    the rows of B by `Problem.bends_at`.

    A parameter that its bound holds back does not move, and the others move as if it
    were fixed. Where the targets are met by as many parameters or more, `dr` is the
    shortest step, in scaled parameters, that meets the moved targets, and all
    parameters on a bound stay there. There is no motion along a direction on which the
    residual does not depend, at the solution and near it.

    At coinciding targets this is the derivative of one branch of solutions: the one
    that has the eigenvectors of the answer.

    Args:
        problem: The problem that was fitted.
        method: The method that fitted it.
        initial: `[b, p]`, held constant; here and below `b` may be missing.
        targets: `[b, m]`.
        answer: Parameters, matrix, eigenvalues, loss, number of steps, result.

    Returns:
        The tensors of `answer`. Second derivatives are NaN. So is the derivative for
        members that ended neither `converged` nor at a `minimum` nor `stationary`, or
        where it is unknown: the Hessian is singular, a multiplier of a bound vanishes,
        or levels make a kink.
    """
    flat = tf.nest.flatten(answer)

    @tf.custom_gradient
    def attach(targets: tf.Tensor, *flat: tf.Tensor):
        def backward(*upstream: tf.Tensor):
            *floating, _, _ = upstream
            inputs = here(initial, targets, flat[0], flat[-1], *floating)
            one = targets.shape.rank == 1
            batch = [tf.expand_dims(x, 0) for x in inputs] if one else inputs
            by_targets = _backward(problem, method)(*batch)
            by_targets = by_targets[0] if one else by_targets
            return (by_targets, *(None for _ in flat))

        return tuple(tf.identity(x) for x in flat), backward

    return tf.nest.pack_sequence_as(answer, list(attach(targets, *flat)))


def _backward(problem: Problem, method: AbstractMethod) -> Any:
    @final
    def backward(
        initial: tf.Tensor,
        targets: tf.Tensor,
        parameters: tf.Tensor,
        result: tf.Tensor,
        r_bar: tf.Tensor,
        *others: tf.Tensor,
    ) -> tf.Tensor:
        *A_bar, w_bar, loss_bar = others
        unit = natural_size(problem, parameters, targets)[0]
        own = problem.in_unit(unit)
        point = own.evaluate(parameters, targets)
        if method.is_direct:
            # The closed form keeps the eigenvectors of the start.
            V = own.evaluate(initial, targets).eigenvectors
            point = point._replace(eigenvectors=V)
        levels = own.level_jacobian_at(point)
        r_bar += own.pull_matrix(
            point.parameters, tuple(A_bar) if len(A_bar) > 1 else A_bar[0]
        )
        r_bar += tf.linalg.matvec(levels, w_bar, transpose_a=True)
        here = _Solution(own, point, targets, result == Result.converged)
        by_targets = here.pull(r_bar, only_met=method.is_direct)
        # The loss is stationary in r: only its explicit dependence on targets counts.
        B = own.target_jacobian_at(point)
        by_loss = 2 * tf.linalg.matvec(B, point.residual, transpose_a=True)
        by_loss *= (unit * unit * loss_bar)[:, tf.newaxis]
        by_targets += tf.where(
            loss_bar[:, tf.newaxis] == 0, tf.zeros_like(by_loss), by_loss
        )
        known = (result == Result.converged) | (result == Result.stationary)
        known |= result == Result.minimum
        nan = tf.constant(float("nan"), by_targets.dtype)
        return tf.where(known[:, tf.newaxis], by_targets, nan)

    return backward


class _Solution:
    """A solution, in parameters scaled by the columns of its Jacobian.

    Args:
        problem: The problem in the unit of its residual.
        point: `[b, ...]`, its evaluation at the solution.
        targets: `[b, m]`.
        met: `[b]` bool, whether targets are met, so that the residual is zero.
    """

    def __init__(
        self, problem: Problem, point: Any, targets: tf.Tensor, met: tf.Tensor
    ) -> None:
        self.problem = problem
        self.point = point
        self.targets = targets
        self.met = met
        J = problem.jacobian_at(point)
        self.lengths = lengths(problem, point)
        # A column that is only rounding noise counts as zero.
        noise = 1e3 * epsilon(J.dtype)
        size = tf.sqrt(steps.squared_columns(J)) * self.lengths
        idle = size <= noise * tf.reduce_max(size, axis=-1, keepdims=True)
        idle &= self.lengths > 0  # Priors may depend on what no matrix depends on.
        J = tf.where(idle[:, tf.newaxis, :], tf.zeros_like(J), J)
        self.norms = steps.roots(steps.initial_scale(problem, J))
        self.J = J / self.norms[:, tf.newaxis, :]
        self.free, self.held, self.sure = self._bounds()

    def pull(self, r_bar: tf.Tensor, only_met: bool) -> tf.Tensor:
        """Applies the adjoint of dt -> dr: `[b, m]` from `[b, p]`."""
        s_bar = r_bar / self.norms
        # Nothing is needed for a member without an upstream gradient.
        quiet = tf.reduce_all((s_bar == 0) | self.held, axis=-1)
        s_bar *= tf.cast(self.free, s_bar.dtype)
        J = self.J * tf.cast(self.free, s_bar.dtype)[:, tf.newaxis, :]
        m, p = J.shape[-2], J.shape[-1]
        exact = _Pull(tf.zeros_like(s_bar), tf.zeros_like(self.met))
        if p >= m:
            exact = self._shortest(J, s_bar)
        found = exact
        if not only_met:
            rest = ~self.met if p >= m else tf.ones_like(self.met)
            curved = tf.cond(
                tf.reduce_any(rest),
                lambda: self._curved(J, s_bar),
                lambda: _Pull(tf.zeros_like(s_bar), tf.zeros_like(self.met)),
            )
            found = _Pull(
                tf.where(rest[:, tf.newaxis], curved.x, exact.x),
                tf.where(rest, curved.known, exact.known),
            )
        x = tf.where(quiet[:, tf.newaxis], tf.zeros_like(s_bar), found.x)
        nan = tf.constant(float("nan"), x.dtype)
        x = tf.where(((found.known & self.sure) | quiet)[:, tf.newaxis], x, nan)
        return self._by_targets(x / self.norms)

    def _by_targets(self, x: tf.Tensor) -> tf.Tensor:
        # -(dg/dt)^T x, for x in the unit of the parameters.
        problem, point = self.problem, self.point
        moved = tf.linalg.matvec(self.J * self.norms[:, tf.newaxis, :], x)
        B = problem.target_jacobian_at(point)
        if problem.is_robust:
            # g = J^T R changes with the curvature of the loss, not with (ds/df)^2.
            moved *= problem.bends_at(point)
        by_targets = -tf.linalg.matvec(B, moved, transpose_a=True)
        if not problem.observed.depends_on_targets:
            return by_targets
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.targets)
            J = problem.jacobian_at(point._replace(targets=self.targets))
            inner = tf.reduce_sum(point.residual * tf.linalg.matvec(J, x))
        return by_targets - tape.gradient(
            inner, self.targets, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    def _shortest(self, J: tf.Tensor, s_bar: tf.Tensor) -> _Pull:
        # Targets met by as many parameters or more: dr = -J^+ B dt.
        factors = factor(tf.linalg.matrix_transpose(J))
        x = least_squares(factors, s_bar)
        rank = tf.reduce_sum(tf.cast(factors.inside, tf.int32), axis=-1)
        sharp = ~factors.is_vague & ~self._rises(rank, rank < J.shape[-2])
        return _Pull(x, sharp & self._is_reached(J, factors, transposed=True))

    def _is_reached(
        self, J: tf.Tensor, factors: Factors, transposed: bool = False
    ) -> tf.Tensor:
        # Whether J hardly changes over the step that the residual still asks for: [b].
        # At a double root J halves with each step, however small it has become. Factors
        # are those of J, or of its transpose.
        problem, point = self.problem, self.point
        zero = tf.zeros_like(point.loss)
        step = steps.direction(J, point.residual, zero)
        size = tf.norm(self.norms * point.parameters, axis=-1)
        near = tf.norm(step, axis=-1) <= epsilon(J.dtype) ** 0.5 * size
        moved = problem.limit(point.parameters + step / self.norms)
        there = problem.evaluate(moved, self.targets)
        free = tf.cast(self.free, J.dtype)[:, tf.newaxis, :]
        change = problem.jacobian_at(there) / self.norms[:, tf.newaxis, :] * free - J
        change = tf.matmul(change, factors.V, transpose_a=transposed)
        small = tf.norm(change, axis=-2) <= _CHANGE * factors.sizes
        return near | tf.reduce_all(small | ~factors.inside, axis=-1)

    def _curved(self, J: tf.Tensor, s_bar: tf.Tensor) -> _Pull:
        # At a minimum: (H / 2) x = s_bar among the free parameters.
        factors = factor(J)
        rank = tf.reduce_sum(tf.cast(factors.inside, tf.int32), axis=-1)
        moving = tf.reduce_sum(tf.cast(self.free, tf.int32), axis=-1)
        rises = self._rises(rank, rank < moving)
        H = hessian_at_solution(self.problem, self.point, self.targets) / 2
        H /= self.norms[:, tf.newaxis, :] * self.norms[:, :, tf.newaxis]
        free = tf.cast(self.free, H.dtype)
        H *= free[:, tf.newaxis, :] * free[:, :, tf.newaxis]
        differenced = self.problem.has_modes
        least = epsilon(H.dtype) ** (0.4 if differenced else 0.6)
        # A direction that J does not see is a family of solutions, unless J sees it
        # nearby.
        flat = ~factors.inside & ~rises[:, tf.newaxis]
        held = tf.linalg.diag(1 - free)
        x, regular = restricted_inverse(H, held, factors.V, flat, s_bar, least)
        reached = self._is_reached(J, factors) | ~self.met
        return _Pull(x * free, regular & reached)

    def _bounds(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        # Parameters on no bound [b, p]; parameters surely held on theirs [b, p]; and
        # members whose other parameters on bounds need not move [b].
        at = self.problem.on_bounds(self.point.parameters)
        if self.problem.bounds is None:
            return at == 0, at != 0, tf.ones_like(self.met)
        side = tf.cast(at, self.J.dtype)
        push = -side * steps.gradient(self.J, self.point.residual)
        columns = tf.sqrt(steps.squared_columns(self.J))
        least = epsilon(push.dtype) ** 0.4
        least *= columns * tf.norm(self.point.residual, axis=-1, keepdims=True)
        strong = (at != 0) & (push > least) & ~self.met[:, tf.newaxis]
        weak = (at != 0) & ~strong & (columns > 0)
        free = at == 0
        J = self.J * tf.cast(free, push.dtype)[:, tf.newaxis, :]
        without = factor(tf.linalg.matrix_transpose(J)).inside
        J = self.J * tf.cast(free | weak, push.dtype)[:, tf.newaxis, :]
        whole = factor(tf.linalg.matrix_transpose(J)).inside
        count = [tf.reduce_sum(tf.cast(x, tf.int32), -1) for x in (without, whole)]
        enough = self.met & (count[0] == count[1])
        return free, strong, ~tf.reduce_any(weak, axis=-1) | enough

    def _rises(self, rank: tf.Tensor, lower: tf.Tensor) -> tf.Tensor:
        # Whether the rank of J is larger nearby, for members where it is low: [b].
        def look() -> tf.Tensor:
            problem, r = self.problem, self.point.parameters
            p = problem.num_parameters
            z = np.random.default_rng(1).uniform(0.5, 1.0, p) * (-1.0) ** np.arange(p)
            free = tf.cast(self.free, r.dtype)
            size = epsilon(r.dtype) ** 0.15
            near = r + free * size * self.lengths * tf.constant(z, r.dtype)
            J = problem.jacobian_at(problem.evaluate(near, self.targets))
            here = self.J * self.norms[:, tf.newaxis, :]
            norms = steps.squared_columns(here)
            norms = tf.where(norms > 0, norms, steps.squared_columns(J))
            J = J * free[:, tf.newaxis, :] / steps.roots(norms)[:, tf.newaxis, :]
            finite = tf.reduce_all(tf.math.is_finite(J), axis=[-2, -1])
            J = tf.where(finite[:, tf.newaxis, tf.newaxis], J, tf.zeros_like(J))
            if J.shape[-1] > J.shape[-2]:
                J = tf.linalg.matrix_transpose(J)
            sizes = factor(J).sizes
            least = epsilon(r.dtype) ** 0.5 * tf.reduce_max(sizes, -1, keepdims=True)
            above = tf.reduce_sum(tf.cast(sizes > least, tf.int32), axis=-1)
            return ~finite | (above > rank)

        nothing = tf.zeros_like(lower)
        return lower & tf.cond(tf.reduce_any(lower), look, lambda: nothing)


class _Pull(NamedTuple):
    x: tf.Tensor  # [b, p], in scaled parameters
    known: tf.Tensor  # [b]
