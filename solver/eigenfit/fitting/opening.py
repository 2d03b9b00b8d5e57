"""A single fit as far as the first two bursts of `Alternating` lead.

Most of its steps need little state and few operations: first good Newton steps alone,
then the rest of that burst and the descent after it. When a step needs more, the whole
method takes over as if it had made all steps itself.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.fitting import loop
from eigenfit.methods import AbstractMethod, Alternating
from eigenfit.methods.bursts import good_steps, inner_steps
from eigenfit.methods.bursts.alternating import AlternatingState
from eigenfit.problem.problem import Problem
from eigenfit.results import RUNNING, Result
from eigenfit.tensors.batching import select


class Opened(NamedTuple):
    """What `go_on` needs."""

    origin: good_steps.Origin
    burst: good_steps.GoodSteps


class _Part(NamedTuple):
    """Loop variable of `go_on`, for a batch of one."""

    state: AlternatingState
    num_steps: tf.Tensor  # [1] int32
    result: tf.Tensor  # [1] int32, a Result or RUNNING
    ends: tf.Tensor  # [1] bool, whether the next step needs the whole method


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
        The run, without a state of the method, and what `go_on` needs if the result
        is `RUNNING`.
    """
    run = loop.begin(problem, method, initial, targets, limits)
    members = run.members
    problem, targets, data = _in_unit(problem, run, targets, limits)
    origin, burst = good_steps.begin(members.state)

    def unfinished(burst: good_steps.GoodSteps, result: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(good_steps.goes_well(burst) & (result == RUNNING))

    def body(
        burst: good_steps.GoodSteps, result: tf.Tensor
    ) -> tuple[good_steps.GoodSteps, tf.Tensor]:
        del result
        burst = good_steps.step(method, problem, origin, burst, targets)
        best = good_steps.best(burst)
        return burst, loop.classify(problem, best, data, burst.num_steps)

    burst, result = tf.while_loop(unfinished, body, (burst, members.result))
    moved = burst.num_steps > 0
    answer = select(moved, good_steps.best(burst), members.answer)
    members = loop.Members((), answer, burst.num_steps, result)
    return run._replace(members=members), Opened(origin, burst)


def go_on(
    problem: Problem,
    method: Alternating,
    run: loop.Run,
    opened: Opened,
    targets: tf.Tensor,
    limits: loop.Limits,
) -> loop.Run:
    """Ends the first burst and descends, until a step needs the whole method.

    Args:
        problem: The problem to fit.
        method: The method of `advance`.
        run: Run from `advance` that has not ended.
        opened: The other result of `advance`.
        targets: `[1, m]`.
        limits: When members end.

    Returns:
        The run that the whole method would have reached by the same steps.
    """
    problem, targets, data = _in_unit(problem, run, targets, limits)

    def step_of(newton: bool, part: _Part) -> tuple[_Part]:
        state, ends = inner_steps.inner_step(
            method, problem, part.state, targets, newton
        )
        num_steps = part.num_steps + tf.cast(~ends, tf.int32)
        result = loop.classify(problem, state.point, data, num_steps)
        return (_Part(state, num_steps, result, ends),)

    def burst_of(newton: bool, part: _Part) -> _Part:
        def unfinished(part: _Part) -> tf.Tensor:
            runs = (part.state.num_left > 0) & (part.result == RUNNING)
            return tf.reduce_all(runs & ~part.ends)

        return tf.while_loop(unfinished, lambda part: step_of(newton, part), (part,))[0]

    def descended(part: _Part) -> _Part:
        state = inner_steps.begin_descent(method, problem, part.state, targets)
        num_steps = part.num_steps + 1
        result = loop.classify(problem, state.point, data, num_steps)
        return burst_of(False, _Part(state, num_steps, result, part.ends))

    state = good_steps.go_on(*opened)
    members = run.members
    usable = state.code == int(Result.max_steps)
    part = burst_of(True, _Part(state, members.num_steps, members.result, ~usable))
    part = tf.cond(
        tf.reduce_all((part.result == RUNNING) & ~part.ends),
        lambda: descended(part),
        lambda: part,
    )
    return run._replace(
        members=loop.Members(part.state, part.state.point, part.num_steps, part.result)
    )


def _in_unit(
    problem: Problem, run: loop.Run, targets: tf.Tensor, limits: loop.Limits
) -> tuple[Problem, tf.Tensor, loop.Data]:
    valid = run.members.result != Result.invalid_input
    _, targets = loop.sanitise(valid, None, targets)
    data = loop.data_of(problem, targets, limits, run.scales)
    return problem.in_unit(data.unit), targets, data
