"""The loop of every fit: freezing, finiteness, result codes, history.

All tensors are batch-major with exactly one batch dimension `b`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.batching import select
from eigenfit.methods import AbstractMethod
from eigenfit.problem import Evaluation, Problem
from eigenfit.results import RUNNING, Result


class Limits(NamedTuple):
    """When members end."""

    tolerance: tf.Tensor  # [b] loss at which a member has converged
    max_steps: tf.Tensor  # [b] int32


class Recorder(NamedTuple):
    """Snapshots in buffers of fixed size c, thinned when they are full."""

    stride: tf.Tensor  # [] int32, steps between snapshots
    size: tf.Tensor  # [] int32, snapshots held
    steps: tf.Tensor  # [c] int32
    loss: tf.Tensor  # [c, b]
    eigenvalues: tf.Tensor  # [c, b, n]


class Run(NamedTuple):
    """Loop variable: a fit that can be advanced, looked at and advanced further."""

    step: tf.Tensor  # [] int32, steps of the member that has run longest
    state: Any  # of the method; fields [b, ...]
    num_steps: tf.Tensor  # [b] int32
    result: tf.Tensor  # [b] int32, a Result or RUNNING
    recorder: Recorder | tuple[()]  # () when nothing is recorded


def begin(
    problem: Problem,
    method: AbstractMethod,
    initial: tf.Tensor,
    targets: tf.Tensor,
    limits: Limits,
    record_every: tf.Tensor | None = None,
    record_limit: int = 0,
) -> Run:
    """Evaluates the start and sorts out members that have already ended.

    Args:
        problem: What is fitted.
        method: How a step is made.
        initial: `[b, p]`.
        targets: `[b, m]`.
        limits: When members end.
        record_every: `[]` int32, steps between snapshots; None for no history.
        record_limit: Even number of snapshots kept at most.

    Returns:
        The run before its first step.
    """
    valid = _is_valid(problem, initial, targets, limits)
    state = method.init(problem, *sanitise(valid, initial, targets))
    result = _classify(state.point, limits, tf.zeros_like(limits.max_steps))
    result = tf.where(_is_finite(state.point), result, int(Result.nonfinite))
    result = tf.where(valid, result, int(Result.invalid_input))
    recorder: Recorder | tuple[()] = ()
    if record_every is not None:
        b, n = tf.shape(initial)[0], problem.order
        dtype = problem.parameter_dtype
        recorder = Recorder(
            stride=record_every,
            size=tf.constant(0),
            steps=tf.zeros([record_limit], tf.int32),
            loss=tf.zeros([record_limit, b], dtype),
            eigenvalues=tf.zeros([record_limit, b, n], dtype),
        )
        recorder = _record(recorder, tf.constant(0), state.point)
    return Run(tf.constant(0), state, tf.zeros_like(result), result, recorder)


def advance(
    problem: Problem,
    method: AbstractMethod,
    run: Run,
    targets: tf.Tensor,
    limits: Limits,
    until: tf.Tensor,
) -> Run:
    """Steps until every member has ended, or `until` `[]` int32 steps were made."""
    _, targets = sanitise(run.result != Result.invalid_input, None, targets)

    def unfinished(run: Run) -> tf.Tensor:
        return tf.reduce_any(run.result == RUNNING) & (run.step < until)

    def body(run: Run) -> tuple[Run]:
        state = method.step(problem, run.state, targets)
        active = run.result == RUNNING
        finite = _is_finite(state.point)
        taken = active & finite
        num_steps = run.num_steps + tf.cast(taken, tf.int32)
        result = _classify(state.point, limits, num_steps)
        code = method.terminate(problem, state)
        result = tf.where(
            (result != Result.converged) & (code != RUNNING), code, result
        )
        result = tf.where(finite, result, int(Result.nonfinite))
        state = select(taken, state, run.state)
        step = run.step + 1
        recorder = run.recorder
        if isinstance(recorder, Recorder):
            recorder = _record_when_due(recorder, step, state.point)
        return (
            Run(step, state, num_steps, select(active, result, run.result), recorder),
        )

    return tf.while_loop(unfinished, body, (run,))[0]


def _is_valid(
    problem: Problem, initial: tf.Tensor, targets: tf.Tensor, limits: Limits
) -> tf.Tensor:
    valid = tf.reduce_all(tf.math.is_finite(initial), axis=-1)
    valid &= tf.reduce_all(tf.math.is_finite(targets), axis=-1)
    valid &= problem.observation.ordered(targets, problem.order)
    return valid & (limits.tolerance > 0) & (limits.max_steps >= 0)


def sanitise(
    valid: tf.Tensor, initial: tf.Tensor | None, targets: tf.Tensor
) -> tuple[Any, tf.Tensor]:
    """Puts zeros in the place of invalid input; such members never run."""
    zero = tf.zeros_like(targets)
    targets = select(valid, targets, zero)
    if initial is not None:
        initial = select(valid, initial, tf.zeros_like(initial))
    return initial, targets


def _is_finite(point: Evaluation) -> tf.Tensor:
    finite = tf.math.is_finite(point.loss)
    finite &= tf.reduce_all(tf.math.is_finite(point.parameters), axis=-1)
    return finite & tf.reduce_all(tf.math.is_finite(point.eigenvalues), axis=-1)


def _classify(point: Evaluation, limits: Limits, num_steps: tf.Tensor) -> tf.Tensor:
    over = num_steps >= limits.max_steps
    result = tf.where(over, int(Result.max_steps), RUNNING)
    met = point.loss <= limits.tolerance
    return tf.where(met, int(Result.converged), result)


def _record_when_due(
    recorder: Recorder, step: tf.Tensor, point: Evaluation
) -> Recorder:
    due = step % recorder.stride == 0
    return tf.cond(due, lambda: _record(recorder, step, point), lambda: recorder)


def _record(recorder: Recorder, step: tf.Tensor, point: Evaluation) -> Recorder:
    """Takes a snapshot; from full buffers every second one is dropped first.

    The capacity is even, so that the snapshots stay evenly spaced from step 0 on.
    """
    capacity = recorder.steps.shape[0]

    def thin() -> Recorder:
        def halve(x: tf.Tensor) -> tf.Tensor:
            return tf.concat([x[::2], tf.zeros_like(x[1::2])], axis=0)

        return Recorder(
            stride=recorder.stride * 2,
            size=recorder.size // 2,
            steps=halve(recorder.steps),
            loss=halve(recorder.loss),
            eigenvalues=halve(recorder.eigenvalues),
        )

    recorder = tf.cond(recorder.size >= capacity, thin, lambda: recorder)
    at = recorder.size[tf.newaxis, tf.newaxis]

    def put(buffer: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(buffer, at, value[tf.newaxis])

    return Recorder(
        stride=recorder.stride,
        size=recorder.size + 1,
        steps=put(recorder.steps, step),
        loss=put(recorder.loss, point.loss),
        eigenvalues=put(recorder.eigenvalues, point.eigenvalues),
    )
