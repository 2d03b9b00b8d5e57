"""The programs of a solver: pure functions and their signatures.

Each takes and returns tensors with one batch dimension of unknown size, so that one
trace serves every batch. Exports contain the same programs that Python runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import tensorflow as tf

from eigenfit.fitting import loop
from eigenfit.fitting.compilation import Compiled
from eigenfit.fitting.single import SinglePrograms
from eigenfit.fitting.starting import start
from eigenfit.fitting.verdicts import Ended, verdicts
from eigenfit.methods import AbstractMethod
from eigenfit.problem.problem import Point, Problem
from eigenfit.results import Result
from eigenfit.tensors.batching import select
from eigenfit.tensors.private_tf import inside_xla

_TRACED = 64
"""Most snapshots of a traced fit, besides its end; even."""

MOST_TRACED = 144
"""Most parameters, or entries of a matrix, that a trace contains."""

_HISTORY = ("loss", "eigenvalues")


class Gradient(NamedTuple):
    """What `Solver.gradient` returns."""

    loss: tf.Tensor  # [...]
    gradient: tf.Tensor  # [..., p], of the loss by the parameters
    eigenvalues: tf.Tensor  # [..., n], ascending


class Programs:
    """Builds the programs of a problem and a method, each when first asked for.

    Args:
        problem: The problem to fit.
        method: The method that makes the steps.
    """

    def __init__(self, problem: Problem, method: AbstractMethod) -> None:
        self.problem = problem
        self.method = method
        dtype = problem.parameter_dtype
        self._parameters = tf.TensorSpec(
            [None, problem.num_parameters], dtype, "parameters"
        )
        self._initial = tf.TensorSpec([None, problem.num_parameters], dtype, "initial")
        self._targets = tf.TensorSpec([None, problem.num_targets], dtype, "targets")
        self._tolerance = tf.TensorSpec([None], dtype, "tolerance")
        self._max_steps = tf.TensorSpec([None], tf.int32, "max_steps")
        self._fit_signature = [
            self._initial,
            self._targets,
            self._tolerance,
            self._max_steps,
        ]
        self._chunked: dict[int, tuple[Compiled, Compiled, Compiled]] = {}

    @cached_property
    def distinct(self) -> Programs:
        """The programs for members without equal targets; for calls from Python.

        They avoid a branch in the loop, which takes a seventh of the time of a small
        fit. These programs themselves if the method gains nothing.
        """
        method = self.method.for_distinct_targets(self.problem)
        same = method is self.method
        return self if same else Programs(self.problem, method)

    @cached_property
    def fit(self) -> Compiled:
        """Initial, targets, tolerance, max_steps -> fields of `Solution`."""

        def fit(
            initial: tf.Tensor,
            targets: tf.Tensor,
            tolerance: tf.Tensor,
            max_steps: tf.Tensor,
        ) -> tuple[tf.Tensor, ...]:
            found = self.search.variant("eager")(initial, targets, tolerance, max_steps)
            return self._judged(found, targets, tolerance)

        return Compiled(fit, self._fit_signature)

    @cached_property
    def weighted_fit(self) -> Compiled:
        """As `fit`, with weights `[b, m]` for each member after its targets.

        A member with a weight that is not positive is invalid.

        Raises:
            ValueError: If the method cannot minimise weighted squares.
        """

        def fit(
            initial: tf.Tensor,
            targets: tf.Tensor,
            weights: tf.Tensor,
            *limits: tf.Tensor,
        ) -> tuple[tf.Tensor, ...]:
            usable = tf.math.is_finite(weights) & (weights > 0)
            weights = tf.where(usable, weights, tf.ones_like(weights))
            targets = tf.where(usable, targets, tf.cast(float("nan"), targets.dtype))
            problem = self.problem.with_weights(weights)
            self.method.check(problem)
            own = Programs(problem, self.method)
            return own.fit.variant("eager")(initial, targets, *limits)

        initial, targets, *limits = self._fit_signature
        weights = tf.TensorSpec(targets.shape, targets.dtype, "weights")
        return Compiled(fit, [initial, targets, weights, *limits])

    @cached_property
    def trace(self) -> Compiled:
        """As `fit`, with snapshots by name, `[b, h, ...]` each, after the fields.

        These are evenly spaced up to the end of the member, which is repeated. Members
        do not leave the loop while they are recorded, so that batches take longer.
        """
        few = self.problem.num_parameters <= MOST_TRACED
        fields = Point._fields if few else _HISTORY

        def trace(
            initial: tf.Tensor,
            targets: tf.Tensor,
            tolerance: tf.Tensor,
            max_steps: tf.Tensor,
        ) -> tuple[tuple[tf.Tensor, ...], dict[str, tf.Tensor]]:
            limits = loop.Limits(tolerance, max_steps)
            run = loop.begin(
                self.problem,
                self.method,
                initial,
                targets,
                limits,
                tf.constant(1),
                _TRACED,
                fields,
            )
            run = loop.advance(
                self.problem, self.method, run, targets, limits, tf.int32.max
            )
            steps, points = loop.snapshots(run)
            answer = self._judged(self._answer(run, initial), targets, tolerance)
            return answer, {"steps": steps, **points}

        return Compiled(trace, self._fit_signature)

    @cached_property
    def search(self) -> Compiled:
        """As `fit`, without the verdict, and with the unit of residuals at the end.

        Tracing the verdict takes as long as the rest, and many fits need none: where
        Python can look at the results, `verdict` is a program of its own.
        """

        def search(
            initial: tf.Tensor,
            targets: tf.Tensor,
            tolerance: tf.Tensor,
            max_steps: tf.Tensor,
        ) -> tuple[tf.Tensor, ...]:
            limits = loop.Limits(tolerance, max_steps)
            run = loop.begin(self.problem, self.method, initial, targets, limits)
            run = loop.advance(
                self.problem, self.method, run, targets, limits, tf.int32.max
            )
            return self._answer(run, initial)

        return Compiled(search, self._fit_signature)

    @cached_property
    def single(self) -> SinglePrograms:
        """Those of a fit without a batch dimension."""
        return SinglePrograms(
            self.problem, self.method, self._fit_signature, self.search, self._answer
        )

    @cached_property
    def verdict(self) -> Compiled:
        """Parameters, targets, unit, tolerance, result -> result."""

        def verdict(*arguments: tf.Tensor) -> tf.Tensor:
            weights = self.problem.member_weights
            return verdicts(self.problem, Ended(*arguments, weights=weights))

        unit = tf.TensorSpec([None], self.problem.parameter_dtype, "unit")
        result = tf.TensorSpec([None], tf.int32, "result")
        return Compiled(
            verdict, [self._parameters, self._targets, unit, self._tolerance, result]
        )

    @cached_property
    def init(self) -> Compiled:
        """Initial, targets -> state of the method."""

        def init(initial: tf.Tensor, targets: tf.Tensor) -> Any:
            return start(self.problem, self.method, initial, targets)[0]

        return Compiled(init, [self._initial, self._targets])

    @cached_property
    def step(self) -> Compiled:
        """State, targets -> state."""

        def step(state: Any, targets: tf.Tensor) -> Any:
            return self.method.step(self.problem, state, targets)

        return Compiled(step, [self.init.output_specs(), self._targets])

    @cached_property
    def gradient(self) -> Compiled:
        """Parameters, targets -> `Gradient`."""

        def gradient(parameters: tf.Tensor, targets: tf.Tensor) -> Gradient:
            point = self.problem.evaluate(parameters, targets)
            return Gradient(
                point.loss, self.problem.gradient_at(point), point.eigenvalues
            )

        return Compiled(gradient, [self._parameters, self._targets])

    @cached_property
    def loss(self) -> Compiled:
        """Parameters, targets -> loss, differentiable twice."""
        return Compiled(self.problem.loss, [self._parameters, self._targets])

    @cached_property
    def eigenvalues(self) -> Compiled:
        """Parameters -> eigenvalues."""
        return Compiled(self.problem.eigenvalues, [self._parameters])

    def chunked(self, capacity: int) -> tuple[Compiled, Compiled, Compiled]:
        """The fit in three programs: begin, advance, finish.

        Args:
            capacity: Most snapshots kept, even; 0 for a fit without history.
        """
        if capacity in self._chunked:
            return self._chunked[capacity]
        problem, method = self.problem, self.method

        def begin(
            initial: tf.Tensor,
            targets: tf.Tensor,
            tolerance: tf.Tensor,
            max_steps: tf.Tensor,
            record_every: tf.Tensor,
        ) -> loop.Run:
            limits = loop.Limits(tolerance, max_steps)
            every = record_every if capacity else None
            return loop.begin(
                problem, method, initial, targets, limits, every, capacity, _HISTORY
            )

        def advance(
            run: loop.Run,
            targets: tf.Tensor,
            tolerance: tf.Tensor,
            max_steps: tf.Tensor,
            until: tf.Tensor,
            enough: tf.Tensor,
        ) -> loop.Run:
            limits = loop.Limits(tolerance, max_steps)
            return loop.advance(problem, method, run, targets, limits, until, enough)

        count = tf.TensorSpec([], tf.int32)
        first = Compiled(begin, [*self._fit_signature, count])
        run = first.output_specs()
        programs = (
            first,
            Compiled(advance, [run, *self._fit_signature[1:], count, count]),
            Compiled(self._answer, [run, self._initial]),
        )
        self._chunked[capacity] = programs
        return programs

    def num_traces(self) -> int:
        """Counts the traces made so far."""
        own = [x for x in vars(self).values() if isinstance(x, Compiled)]
        for programs in self._chunked.values():
            own.extend(programs)
        parts = [vars(self).get(name, self) for name in ("distinct", "single")]
        more = sum(part.num_traces() for part in parts if part is not self)
        return more + sum(program.num_traces() for program in own)

    def _judged(
        self, found: Sequence[tf.Tensor], targets: tf.Tensor, tolerance: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Applies the verdict to the result of a search and drops its unit."""
        *fields, result, unit = found
        # One trace serves all programs in graph mode.
        is_part = tf.executing_eagerly() or inside_xla()
        program = self.verdict.variant("eager" if is_part else "graph")
        return *fields, program(fields[0], targets, unit, tolerance, result)

    def _answer(self, run: loop.Run, initial: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Returns the fields of `Solution` and the unit.

        They are NaN where nothing was computed; the result is as the loop left it.
        """
        point, result = run.members.answer, run.members.result
        matrix = self.problem.matrix(point.parameters)
        computed = (matrix, point.eigenvalues, loop.losses(run))
        nothing = tf.nest.map_structure(
            lambda x: tf.fill(tf.shape(x), tf.cast(float("nan"), x.dtype)), computed
        )
        started = result != Result.invalid_input
        matrix, eigenvalues, loss = select(started, computed, nothing)
        parameters = select(started, point.parameters, initial)
        fields = (parameters, matrix, eigenvalues, loss, run.members.num_steps, result)
        # The loop has no derivative by its input: none is better than a wrong one.
        return tf.nest.map_structure(tf.stop_gradient, (*fields, run.scales.unit))
