"""The whole fit as one function without branches, which do not convert to ONNX.

The method is the solver's own, and so are limits, units and result codes. Unlike in
`eigenfit.fitting.loop`, members that have ended stay in the batch, and the start moved
off a kink is always computed, whether or not any member sits on one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit import Result, Solution
from eigenfit.eigen import epsilon
from eigenfit.fitting.loop import Data, Limits, classify, data_of, is_finite, is_valid
from eigenfit.fitting.tolerance import scales_of
from eigenfit.fitting.verdicts import Ended, judge, needs_verdict
from eigenfit.methods import AbstractMethod
from eigenfit.problem.problem import Point, Problem, answer_at
from eigenfit.results import RUNNING
from eigenfit.tensors.batching import select
from eigenfit.tensors.branches import unbranched


class _Members(NamedTuple):
    state: Any  # the method's; goes on changing after a member has ended
    answer: Point  # frozen once a member has ended
    num_steps: tf.Tensor  # [b] int32
    result: tf.Tensor  # [b] int32, a Result or RUNNING


def fit(
    problem: Problem,
    method: AbstractMethod,
    initial: tf.Tensor,
    targets: tf.Tensor,
    tolerance: tf.Tensor,
    max_steps: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Fits a batch as `eigenfit.Solver.fit` does.

    Args:
        problem: Problem to fit.
        method: Method that takes the steps.
        initial: Starts, `[b, p]`.
        targets: Values to fit, `[b, m]`.
        tolerance: Loss of convergence, `[b]`; 0 for the default.
        max_steps: Step limits, `[b]` int32.

    Returns:
        The fields of `eigenfit.Solution`.

    Example:
        >>> import eigenfit as ef
        >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2, tf.float32)))
        >>> start, targets = tf.ones([1, 3]), tf.constant([[2.0, 3.0]])
        >>> limits = tf.constant([1e-9]), tf.constant([5])
        >>> answer = fit(solver.problem, solver.method, start, targets, *limits)
        >>> answer["result"].numpy().tolist(), answer["num_steps"].numpy().tolist()
        ([0], [1])
    """
    limits = Limits(tolerance, max_steps)
    valid = is_valid(problem, initial, targets, limits)
    start = select(valid, initial, tf.zeros_like(initial))
    targets = select(valid, targets, tf.zeros_like(targets))
    scales = scales_of(problem, start, targets)
    data = data_of(problem, targets, limits, scales)
    scaled = problem.in_unit(scales.unit)
    with unbranched():
        state, answer = _started(problem, scales.unit, method, start, targets)
    result = classify(scaled, answer, data, tf.zeros_like(max_steps))
    result = tf.where(is_finite(answer), result, int(Result.nonfinite))
    result = tf.where(valid, result, int(Result.invalid_input))
    members = _Members(state, answer, tf.zeros_like(max_steps), result)

    def unfinished(members: _Members) -> tf.Tensor:
        return tf.reduce_any(tf.equal(members.result, RUNNING))

    def body(members: _Members) -> tuple[_Members]:
        with unbranched():
            return (_stepped(scaled, method, members, data),)

    if method.is_direct:
        (members,) = body(members)
    else:
        (members,) = tf.while_loop(unfinished, body, (members,))
    return _answered(problem, members, data, initial)


def _started(
    problem: Problem,
    unit: tf.Tensor,
    method: AbstractMethod,
    initial: tf.Tensor,
    targets: tf.Tensor,
) -> tuple[Any, Point]:
    """Starts a method on `problem.in_unit(unit)`; see `eigenfit.fitting.starting`.

    The given and the moved starts form one batch, so that the model holds a single
    decomposition for both.
    """
    scaled = problem.in_unit(unit)
    if method.is_direct or problem.order == 1:
        state = method.init(scaled, initial, targets)
        return state, answer_at(state.point)
    both = tf.concat([initial, _moved(problem, initial, targets)], axis=0)
    twice = problem.in_unit(tf.concat([unit, unit], axis=0))
    states = method.init(twice, both, tf.concat([targets, targets], axis=0))
    size = tf.shape(initial)[0]
    given = tf.nest.map_structure(lambda x: x[:size], states)
    moved = tf.nest.map_structure(lambda x: x[size:], states)
    kink = scaled.at_kink(given.point, targets)
    return select(kink, moved, given), answer_at(given.point)


def _moved(problem: Problem, initial: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    noise = np.random.default_rng(0).normal(size=problem.num_parameters)
    norms = problem.squared_norms()
    scale = np.ones_like(noise) if norms is None else np.sqrt(norms)
    # Norms of the matrices in place of their largest level, which is not known yet.
    length = tf.reduce_max(tf.abs(targets), axis=-1)
    for A in tf.nest.flatten(problem.matrix(initial)):
        norm = tf.sqrt(tf.reduce_sum(A * A, axis=[-2, -1]))
        length = tf.maximum(length, norm)
    length *= epsilon(initial.dtype) ** 0.5
    direction = tf.constant(noise / np.where(scale > 0, scale, 1), initial.dtype)
    return problem.limit(initial + length[:, tf.newaxis] * direction)


def _stepped(
    problem: Problem,
    method: AbstractMethod,
    members: _Members,
    data: Data,
) -> _Members:
    state = method.step(problem, members.state, data.targets)
    answer = answer_at(state.point)
    active = tf.equal(members.result, RUNNING)
    finite = is_finite(answer)
    taken = active & finite
    num_steps = members.num_steps + tf.cast(taken, tf.int32)
    result = classify(problem, answer, data, num_steps)
    code = method.terminate(problem, state)
    ends = tf.not_equal(code, RUNNING) & tf.not_equal(result, int(Result.converged))
    result = tf.where(ends, code, result)
    result = tf.where(finite, result, int(Result.nonfinite))
    return _Members(
        state=state,
        answer=select(taken, answer, members.answer),
        num_steps=num_steps,
        result=tf.where(active, result, members.result),
    )


def _answered(
    problem: Problem, members: _Members, data: Data, initial: tf.Tensor
) -> dict[str, tf.Tensor]:
    point, result, unit = members.answer, members.result, data.unit
    tolerance = data.limits.tolerance
    with unbranched():
        ended = Ended(point.parameters, data.targets, unit, tolerance, result)
        judged = judge(problem, ended)
    result = tf.where(needs_verdict(problem, tolerance, result), judged, result)
    started = tf.not_equal(result, int(Result.invalid_input))
    nan = tf.constant(float("nan"), initial.dtype)
    loss = point.loss * unit * unit
    computed = (problem.matrix(point.parameters), point.eigenvalues, loss)
    nothing = tf.nest.map_structure(lambda x: x * 0 + nan, computed)
    matrix, eigenvalues, loss = select(started, computed, nothing)
    parameters = select(started, point.parameters, initial)
    fields = (parameters, matrix, eigenvalues, loss, members.num_steps, result)
    return dict(zip(Solution._fields, fields, strict=False))
