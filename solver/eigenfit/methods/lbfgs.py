"""L-BFGS: second derivatives from the changes of the gradient."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.methods.stepping import proposal, steps
from eigenfit.methods.stepping.line_search import AbstractLineSearch
from eigenfit.methods.stepping.proposal import Proposal
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.tensors.batching import select
from eigenfit.tensors.checks import positive_int


class History(NamedTuple):
    """What `LBFGS` remembers, the newest pair first; in scaled parameters `D r`."""

    half_gradient: tf.Tensor  # [..., p] half the gradient of the loss at the point
    scale: tf.Tensor  # [..., p] squares of the scales D
    steps: tf.Tensor  # [..., memory, p] s
    changes: tf.Tensor  # [..., memory, p] y, of the half gradient
    inverses: tf.Tensor  # [..., memory] 1 / (s y), 0 for a pair that does not exist yet
    gamma: tf.Tensor  # [...] the inverse Hessian before any pair is applied


class LBFGS(AbstractLineSearch):
    """Limited-memory BFGS: needs only the gradient, no Jacobian, in each step.

    The direction is `-H g`, where two sweeps build the inverse Hessian H from the last
    pairs of step s and gradient change y, starting with `gamma = s y / y y` of the
    newest pair (J. Nocedal, Math. Comp. 35 (1980) 773-782; D. C. Liu & J. Nocedal,
    Math. Prog. 45 (1989) 503-528). A pair with `s y <= 0` is left out, so that H stays
    positive definite under a line search by backtracking. A step takes `4 p memory`
    products besides the gradient. Use it for many parameters or as a baseline; if the
    Jacobian is affordable, other methods need far fewer steps. For the way a fit ends
    see `AbstractLineSearch`.

    Args:
        memory: Number of pairs kept, at least 1.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If `memory` is not an integer of at least 1.

    Example:
        >>> LBFGS()
        LBFGS(memory=10)
    """

    default_max_steps = 5_000
    takes_many_steps = True

    def __init__(self, memory: int = 10, name: str | None = None) -> None:
        super().__init__(name=name)
        self.memory = positive_int("memory", memory)

    def __repr__(self) -> str:
        return f"LBFGS(memory={self.memory})"

    def first_memory(self, problem: Problem, point: Evaluation) -> History:
        """Starts without pairs; see the base class."""
        scale = proposal.scale_of(problem, point)
        half_gradient = _half_gradient(problem, point, steps.roots(scale))
        none = tf.zeros_like(tf.stack([half_gradient] * self.memory, axis=-2))
        return History(
            half_gradient=half_gradient,
            scale=scale,
            steps=none,
            changes=none,
            inverses=none[..., 0],
            # The step of `LiftAndProject`, if the matrices dA/dr_k are orthogonal.
            gamma=tf.ones_like(point.loss),
        )

    def propose(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        memory: History,
    ) -> Proposal:
        """Multiplies the gradient by the inverse Hessian; see the base class."""
        del problem, point, targets
        return Proposal(
            step=-_times_inverse_hessian(memory, memory.half_gradient),
            half_gradient=memory.half_gradient,
            norms=steps.roots(memory.scale),
            memory=memory,
        )

    def learn(
        self,
        problem: Problem,
        proposed: Proposal,
        point: Evaluation,
        trial: Evaluation,
    ) -> History:
        """Adds a pair, dropping the oldest; see the base class."""
        old: History = proposed.memory
        g = _half_gradient(problem, trial, proposed.norms)
        s = (trial.parameters - point.parameters) * proposed.norms
        y = g - old.half_gradient
        sy, yy = tf.reduce_sum(s * y, axis=-1), tf.reduce_sum(y * y, axis=-1)
        ss = tf.reduce_sum(s * s, axis=-1)
        usable = sy > epsilon(s.dtype) * tf.sqrt(ss) * tf.sqrt(yy)
        added = History(
            half_gradient=g,
            scale=old.scale,
            steps=_pushed(s, old.steps, -2),
            changes=_pushed(y, old.changes, -2),
            inverses=_pushed(tf.math.reciprocal_no_nan(sy), old.inverses, -1),
            gamma=tf.math.divide_no_nan(sy, yy),
        )
        return select(usable, added, old._replace(half_gradient=g))


def _half_gradient(problem: Problem, point: Evaluation, norms: tf.Tensor) -> tf.Tensor:
    return problem.gradient_at(point) / (2 * norms)


def _pushed(newest: tf.Tensor, kept: tf.Tensor, axis: int) -> tf.Tensor:
    size = kept.shape[axis] - 1
    older = kept[..., :size, :] if axis == -2 else kept[..., :size]
    return tf.concat([tf.expand_dims(newest, axis), older], axis=axis)


def _times_inverse_hessian(history: History, g: tf.Tensor) -> tf.Tensor:
    pairs = list(
        zip(
            tf.unstack(history.steps, axis=-2),
            tf.unstack(history.changes, axis=-2),
            tf.unstack(history.inverses[..., tf.newaxis], axis=-2),
            strict=True,
        )
    )
    parts = []
    for s, y, inverse in pairs:
        part = inverse * tf.reduce_sum(s * g, axis=-1, keepdims=True)
        parts.append(part)
        g = g - part * y
    g = history.gamma[..., tf.newaxis] * g
    for (s, y, inverse), part in zip(reversed(pairs), reversed(parts), strict=True):
        other = inverse * tf.reduce_sum(y * g, axis=-1, keepdims=True)
        g = g + (part - other) * s
    return g
