"""Steps inside a burst of `Alternating`, with no more operations than these need.

What decides how a burst ends, and what it was worth, is left to the whole method: such
a step is not made, but reported.
"""

from __future__ import annotations

import tensorflow as tf

from eigenfit.methods.bursts.alternating import (
    INITIAL_DAMPING,
    Alternating,
    AlternatingState,
)
from eigenfit.methods.bursts.plan import FALL
from eigenfit.methods.stepping import damping, flatness
from eigenfit.problem.problem import Problem, answer_at
from eigenfit.tensors.batching import select

_FIRST, _SECOND = 0, 1


def inner_step(
    method: Alternating,
    problem: Problem,
    state: AlternatingState,
    targets: tf.Tensor,
    newton: bool,
) -> tuple[AlternatingState, tf.Tensor]:
    """Tries the next step of the first burst, or of the second one if that is damped.

    Args:
        method: The method, which begins with Newton steps.
        problem: The problem to fit.
        state: A state in the burst, with steps left.
        targets: `[..., m]`.
        newton: Whether it is in the first burst.

    Returns:
        The state that the whole method would reach, and whether the step needs the
        whole method, `[...]`: then the state is the one given.
    """
    current = state.current
    move = method.propose(problem, state, targets, newton, False)
    trial = problem.evaluate(move.parameters, targets)
    fell = trial.loss < current.loss
    ends = ~move.usable
    if newton:
        taken = tf.math.is_finite(trial.loss)
        adapted = state.damping
        lost = flatness.has_diverged(trial.loss, state.mark)
    else:
        taken = fell
        gain = (current.loss - trial.loss) / move.predicted
        adapted = damping.update(move.damping, gain, fell)
        lost = tf.zeros_like(fell)
        flat = flatness.is_orthogonal(problem, current, targets, move.half_gradient)
        level = flatness.is_level(current, trial.loss)
        ends |= level & (flat | move.is_short(current))
    falls = trial.loss < FALL * state.mark
    idle = tf.where(falls, 0, state.idle + 1)
    lost |= idle >= method.bursts.patience(tf.constant(_FIRST if newton else _SECOND))
    before = (state.scale, state.damping, state.num_left, state.mark, state.idle)
    after = (
        move.scale,
        adapted,
        tf.where(lost, 0, state.num_left - 1),
        tf.where(falls, trial.loss, state.mark),
        idle,
    )
    scale, adapted, num_left, mark, idle = select(ends, before, after)
    better = (trial.loss < state.point.loss) & ~ends
    return state._replace(
        point=select(better, answer_at(trial), state.point),
        current=select(taken & ~ends, trial, current),
        scale=scale,
        damping=adapted,
        num_left=num_left,
        mark=mark,
        idle=idle,
    ), ends


def begin_descent(
    method: Alternating, problem: Problem, state: AlternatingState, targets: tf.Tensor
) -> AlternatingState:
    """Makes the step that begins the second burst, at the start given by the caller.

    Args:
        method: The method, which begins with Newton steps.
        problem: The problem to fit.
        state: A state at the end of the first burst, without steps left.
        targets: `[..., m]`.
    """
    current = problem.evaluate(state.start, targets)
    burst = state.burst + 1
    return state._replace(
        current=current,
        scale=state.unit,
        damping=damping.start(tf.ones_like(state.reach) * INITIAL_DAMPING),
        burst=burst,
        num_left=method.bursts.most_steps(burst),
        mark=current.loss,
        idle=tf.zeros_like(state.idle),
    )
