"""A single fit as far as good steps lead.

A loop of good steps alone carries little state and is traced quickly. When a step is
not good, the whole method takes over as if it had made those steps itself.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.fitting import loop
from eigenfit.methods import AbstractMethod, Alternating, first_burst
from eigenfit.problem.problem import Problem
from eigenfit.results import RUNNING, Result
from eigenfit.tensors.batching import select


class Opened(NamedTuple):
    """What `resume` needs to go on."""

    origin: first_burst.Origin
    burst: first_burst.FirstBurst


def opens(method: AbstractMethod) -> bool:
    """Returns whether a method begins with a burst that can run by itself."""
    return isinstance(method, Alternating) and method.begins_with_newton


def advance(
    problem: Problem,
    method: Alternating,
    initial: tf.Tensor,
    targets: tf.Tensor,
    limits: loop.Limits,
) -> tuple[loop.Run, Opened]:
    """Makes Newton steps of a batch of one while each lowers the loss well.

    Args:
        problem: The problem to fit.
        method: A method for which `opens` is true.
        initial: `[1, p]`, the start.
        targets: `[1, m]`.
        limits: When members end.

    Returns:
        The run, without a state of the method, and what `resume` needs if the result
        is `RUNNING`.
    """
    run = loop.begin(problem, method, initial, targets, limits)
    members = run.members
    _, targets = loop.sanitise(members.result != Result.invalid_input, None, targets)
    data = loop.data_of(problem, targets, limits, run.scales)
    problem = problem.in_unit(data.unit)
    origin, burst = first_burst.begin(members.state)

    def unfinished(burst: first_burst.FirstBurst, result: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(first_burst.goes_well(burst) & (result == RUNNING))

    def body(
        burst: first_burst.FirstBurst, result: tf.Tensor
    ) -> tuple[first_burst.FirstBurst, tf.Tensor]:
        del result
        burst = first_burst.step(method, problem, origin, burst, targets)
        best = first_burst.best(burst)
        return burst, loop.classify(problem, best, data, burst.num_steps)

    burst, result = tf.while_loop(unfinished, body, (burst, members.result))
    moved = burst.num_steps > 0
    answer = select(moved, first_burst.best(burst), members.answer)
    members = loop.Members((), answer, burst.num_steps, result)
    return run._replace(members=members), Opened(origin, burst)


def resume(run: loop.Run, opened: Opened) -> loop.Run:
    """Returns the run that the whole method would have reached by the same steps.

    Args:
        run: Run from `advance` that has not ended.
        opened: The other result of `advance`.
    """
    state = first_burst.go_on(*opened)
    return run._replace(members=run.members._replace(state=state))
