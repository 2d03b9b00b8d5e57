"""A single fit as far as good steps lead.

A loop of these alone carries little and is traced quickly. Where a step is not good it
hands over to the whole method, which goes on as if it had made those steps itself.
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
    """What it takes to go on."""

    origin: first_burst.Origin
    burst: first_burst.FirstBurst


def opens(method: AbstractMethod) -> bool:
    """Says whether a method begins with a burst that can be run by itself."""
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
        problem: What is fitted.
        method: For which `opens` is true.
        initial: `[1, p]`.
        targets: `[1, m]`.
        limits: When members end.

    Returns:
        The run without a state of the method, and what `resume` needs where the
        result is `RUNNING`.
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
    """Gives the run that the whole method would have made of the same steps.

    Args:
        run: From `advance`, not ended.
        opened: From `advance`.
    """
    state = first_burst.go_on(*opened)
    return run._replace(members=run.members._replace(state=state))
