"""The loop of every fit: freezing, finiteness, result codes, compaction.

All tensors are batch-major with exactly one batch dimension `b`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from eigenfit.fitting import recording
from eigenfit.fitting.recording import Recorder
from eigenfit.fitting.starting import start
from eigenfit.fitting.tolerance import Scales, relative_tolerance, scales_of
from eigenfit.methods import AbstractMethod
from eigenfit.problem.problem import Point, Problem, answer_at
from eigenfit.problem.sizes import rounding
from eigenfit.results import RUNNING, Result
from eigenfit.tensors.batching import select
from eigenfit.tensors.private_tf import inside_xla

T = TypeVar("T")

WORTH_COMPACTING = 32
"""Batch size from which members that have ended are taken out of the loop."""


class Limits(NamedTuple):
    """When members end, as given by the caller."""

    tolerance: tf.Tensor  # [b] loss at which a member has converged; 0 for the default
    max_steps: tf.Tensor  # [b] int32


class Members(NamedTuple):
    """What is kept for each member; every tensor has the batch dimension first."""

    state: Any  # state of the method; goes on changing after a member has ended
    answer: Point  # frozen when a member has ended
    num_steps: tf.Tensor  # [b] int32
    result: tf.Tensor  # [b] int32, a Result or RUNNING


class Data(NamedTuple):
    """What a step needs to know about the members besides their state."""

    targets: tf.Tensor  # [b, m]
    limits: Limits
    unit: tf.Tensor  # [b] unit of residuals
    enough: tf.Tensor  # [b] residual norm at which a member has converged, in `unit`
    weights: tf.Tensor | tuple[()] = ()  # [b, m] if members have their own


class Run(NamedTuple):
    """A fit that can be advanced, inspected and advanced further."""

    step: tf.Tensor  # [] int32, steps of the member that has run longest
    members: Members  # with losses in squares of the unit
    scales: Any  # Scales; () inside the loop
    recorder: Recorder | tuple[()]  # () when nothing is recorded


def begin(
    problem: Problem,
    method: AbstractMethod,
    initial: tf.Tensor,
    targets: tf.Tensor,
    limits: Limits,
    record_every: tf.Tensor | None = None,
    record_limit: int = 0,
    recorded: tuple[str, ...] = (),
) -> Run:
    """Evaluates the start and sorts out members that have already ended.

    Args:
        problem: The problem to fit.
        method: The method that makes the steps.
        initial: `[b, p]`, start of each member.
        targets: `[b, m]`.
        limits: When members end.
        record_every: `[]` int32, steps between snapshots; None for no history.
        record_limit: Most snapshots kept; even.
        recorded: Fields of a `Point` kept in snapshots.

    Returns:
        The run before its first step.
    """
    valid = is_valid(problem, initial, targets, limits)
    initial, targets = sanitise(valid, initial, targets)
    scales = scales_of(problem, initial, targets)
    problem = problem.in_unit(scales.unit)
    state, answer = start(problem, method, initial, targets)
    data = data_of(problem, targets, limits, scales)
    result = classify(problem, answer, data, tf.zeros_like(limits.max_steps))
    result = tf.where(is_finite(answer), result, int(Result.nonfinite))
    result = tf.where(valid, result, int(Result.invalid_input))
    recorder: Recorder | tuple[()] = ()
    if record_every is not None:
        recorder = recording.start(record_every, record_limit, answer, recorded)
    members = Members(state, answer, tf.zeros_like(result), result)
    return Run(tf.constant(0), members, scales, recorder)


def advance(
    problem: Problem,
    method: AbstractMethod,
    run: Run,
    targets: tf.Tensor,
    limits: Limits,
    until: tf.Tensor,
    enough: tf.Tensor | int = 0,
) -> Run:
    """Makes steps until members end or a limit is reached.

    Members that have ended leave the loop each time the number of running ones has
    halved; not under XLA, whose shapes are fixed, nor while a history is recorded.

    Args:
        problem: The problem to fit.
        method: The method that makes the steps.
        run: Result of `begin` or `advance`.
        targets: `[b, m]`.
        limits: When members end.
        until: `[]` int32, number of steps of the run at which to stop.
        enough: `[]` int32, number of running members at which to stop.

    Returns:
        The run, its members in their order.
    """
    _, targets = sanitise(run.members.result != Result.invalid_input, None, targets)
    data = data_of(problem, targets, limits, run.scales)
    if method.is_direct:
        return _take_step(problem.in_unit(data.unit), method, run, data)
    size = run.members.result.shape[0]
    few = size is not None and size < WORTH_COMPACTING
    if isinstance(run.recorder, Recorder) or inside_xla() or few:
        return _iterate(problem, method, run, data, until, enough)

    def unfinished(step: tf.Tensor, members: Members) -> tf.Tensor:
        return (_num_running(members) > enough) & (step < until)

    def compacted(step: tf.Tensor, members: Members) -> tuple[tf.Tensor, Members]:
        running = tf.reshape(tf.where(members.result == RUNNING), [-1])
        number = tf.size(running)
        size = tf.size(members.result)
        whole = (number == size) | (size < WORTH_COMPACTING)
        part = tf.cond(
            whole,
            lambda: (members, data),
            lambda: gather((members, data), running),
        )
        part = tf.nest.map_structure(_of_any_size, part)
        half = tf.where(number < WORTH_COMPACTING, 0, number // 2)
        inner = _iterate(
            problem,
            method,
            Run(step, part[0], (), ()),
            part[1],
            until,
            tf.maximum(half, enough),
        )
        members = tf.cond(
            whole,
            lambda: inner.members,
            lambda: scatter(members, running, inner.members),
        )
        return inner.step, tf.nest.map_structure(_of_any_size, members)

    start = tf.nest.map_structure(_of_any_size, run.members)
    step, members = tf.while_loop(
        unfinished,
        compacted,
        (run.step, start),
        shape_invariants=tf.nest.map_structure(lambda x: x.shape, (run.step, start)),
    )
    return run._replace(step=step, members=members)


def losses(run: Run) -> tf.Tensor:
    """Returns the losses of the members in the unit of the targets, `[b]`."""
    return run.members.answer.loss * run.scales.unit * run.scales.unit


def snapshots(run: Run) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Returns the snapshots: losses in the unit of the targets, NaN for invalid input.

    Returns:
        The steps `[b, h]` int32, and fields of a `Point` there, `[b, h, ...]` each.
    """
    assert isinstance(run.recorder, Recorder)
    members = run.members
    steps, values = recording.snapshots(run.recorder, members.num_steps, members.answer)
    unit = run.scales.unit[:, tf.newaxis]
    values["loss"] = values["loss"] * unit * unit
    nothing = {name: x * float("nan") for name, x in values.items()}
    return steps, select(members.result != Result.invalid_input, values, nothing)


def gather(nest: T, index: tf.Tensor) -> T:
    """Takes the members numbered `index`, `[c]`."""
    return tf.nest.map_structure(lambda x: tf.gather(x, index), nest)


def scatter(nest: T, index: tf.Tensor, part: T) -> T:
    """Puts members back in the places `index`, `[c]`."""
    at = index[:, tf.newaxis]
    return tf.nest.map_structure(
        lambda x, y: tf.tensor_scatter_nd_update(x, at, y), nest, part
    )


def _of_any_size(x: tf.Tensor) -> tf.Tensor:
    # Forgets the size of the batch, which changes within the loop.
    return tf.compat.v1.placeholder_with_default(x, [None, *x.shape[1:]])


def _num_running(members: Members) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(members.result == RUNNING, tf.int32))


def _iterate(
    problem: Problem,
    method: AbstractMethod,
    run: Run,
    data: Data,
    until: tf.Tensor,
    enough: tf.Tensor | int,
) -> Run:
    # Here, so that the loop need not do it in every step.
    problem = problem.in_unit(data.unit, data.weights)

    def unfinished(run: Run) -> tf.Tensor:
        return (_num_running(run.members) > enough) & (run.step < until)

    def body(run: Run) -> tuple[Run]:
        return (_take_step(problem, method, run, data),)

    return tf.while_loop(unfinished, body, (run,))[0]


def _take_step(
    problem: Problem,
    method: AbstractMethod,
    run: Run,
    data: Data,
) -> Run:
    members = run.members
    state = method.step(problem, members.state, data.targets)
    answer = answer_at(state.point)
    active = members.result == RUNNING
    finite = is_finite(answer)
    taken = active & finite
    num_steps = members.num_steps + tf.cast(taken, tf.int32)
    result = classify(problem, answer, data, num_steps)
    code = method.terminate(problem, state)
    ends = (code != RUNNING) & (result != Result.converged)
    result = tf.where(ends, code, result)
    result = tf.where(finite, result, int(Result.nonfinite))
    answer = select(taken, answer, members.answer)
    result = tf.where(active, result, members.result)
    step = run.step + 1
    recorder = run.recorder
    if isinstance(recorder, Recorder):
        running = result == RUNNING
        recorder = recording.record_when_due(recorder, step, running, answer)
    members = Members(state, answer, num_steps, result)
    return run._replace(step=step, members=members, recorder=recorder)


def is_valid(
    problem: Problem, initial: tf.Tensor, targets: tf.Tensor, limits: Limits
) -> tf.Tensor:
    """Returns which members can be fitted: `[b]`."""
    valid = tf.reduce_all(tf.math.is_finite(initial), axis=-1)
    valid &= tf.reduce_all(tf.math.is_finite(targets), axis=-1)
    valid &= problem.ordered(targets) & problem.inside(initial)
    return valid & (limits.tolerance >= 0) & (limits.max_steps >= 0)


def sanitise(
    valid: tf.Tensor, initial: tf.Tensor | None, targets: tf.Tensor
) -> tuple[Any, tf.Tensor]:
    """Replaces invalid input by zeros; such members never run."""
    zero = tf.zeros_like(targets)
    targets = select(valid, targets, zero)
    if initial is not None:
        initial = select(valid, initial, tf.zeros_like(initial))
    return initial, targets


def data_of(
    problem: Problem, targets: tf.Tensor, limits: Limits, scales: Scales
) -> Data:
    """Collects what steps need, with the residual norm that counts as converged."""
    asked = tf.sqrt(limits.tolerance) / scales.unit
    relative = relative_tolerance(problem, scales.size, scales.unit)
    enough = tf.where(limits.tolerance > 0, asked, relative)
    return Data(targets, limits, scales.unit, enough, problem.member_weights)


def is_finite(answer: Point) -> tf.Tensor:
    """Returns which members have a finite answer: `[b]`."""
    finite = tf.math.is_finite(answer.loss)
    finite &= tf.reduce_all(tf.math.is_finite(answer.parameters), axis=-1)
    return finite & tf.reduce_all(tf.math.is_finite(answer.eigenvalues), axis=-1)


def classify(
    problem: Problem, answer: Point, data: Data, num_steps: tf.Tensor
) -> tf.Tensor:
    """Returns which members have converged or met their limit: `[b]` int32."""
    over = num_steps >= data.limits.max_steps
    result = tf.where(over, int(Result.max_steps), RUNNING)
    norm = tf.sqrt(answer.loss)
    hidden = rounding(problem, answer.eigenvalues, data.targets)
    # A loss below the tolerance does not count if rounding may exceed the tolerance.
    sure = (data.limits.tolerance == 0) | (hidden <= data.enough) | (norm == 0)
    met = (norm <= data.enough) & sure
    return tf.where(met, int(Result.converged), result)
