"""The programs of a single fit, without a batch dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import tensorflow as tf

from eigenfit.fitting import loop, opening
from eigenfit.fitting.compilation import Compiled, Mode
from eigenfit.fitting.verdicts import Ended, judge
from eigenfit.methods import AbstractMethod
from eigenfit.problem.problem import Problem
from eigenfit.results import RUNNING, Solution

_FEW_LEVELS = 64
"""Most levels for which one thread runs the operations of a single fit."""

_RESULT = Solution._fields.index("result")


class SinglePrograms:
    """Builds the programs of single fits, each when first asked for.

    Tracing knows that they are of a batch of one, which halves the time of a step in
    graph mode: no operation asks for a size, and no member leaves the loop.

    Args:
        problem: The problem to fit.
        method: The method that makes the steps.
        signature: Arguments of `search`, with a batch dimension.
        search: The search in batches, see `Programs`.
        answer: What `search` returns of a run and the starts.
    """

    def __init__(
        self,
        problem: Problem,
        method: AbstractMethod,
        signature: Sequence[tf.TensorSpec],
        search: Compiled,
        answer: Callable[[loop.Run, tf.Tensor], tuple[tf.Tensor, ...]],
    ) -> None:
        self._problem, self._method = problem, method
        self._signature = [
            tf.TensorSpec(x.shape[1:], x.dtype, x.name) for x in signature
        ]
        self._batched, self._answer = search, answer

    def fit(self, mode: Mode, arguments: list[tf.Tensor]) -> list[Any]:
        """Calls `search`, in three parts where the first ones usually suffice."""
        if not (tf.executing_eagerly() and opening.opens(self._method)):
            return self.search.call(mode, arguments)
        *answer, run, opened = self.open.call(mode, arguments)
        if answer[_RESULT].numpy() == RUNNING:
            *answer, run = self.go_on.call(mode, [*arguments, run, opened])
        if answer[_RESULT].numpy() == RUNNING:
            answer = self.resume.call(mode, [*arguments, run])
        return answer

    @cached_property
    def search(self) -> Compiled:
        """As that of `Programs`."""

        def search(*arguments: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return _first(self._batched.variant("eager")(*_batch_of_one(arguments)))

        return self._compiled(search, self._signature)

    @cached_property
    def open(self) -> Compiled:
        """The good steps that `search` begins with, if its method has some.

        Returns what `search` does, then the run and what `go_on` needs if the result
        is `RUNNING`.
        """

        def open(*arguments: tf.Tensor) -> tuple[Any, ...]:
            initial, targets, *limits = _batch_of_one(arguments)
            run, opened = opening.advance(
                self._problem, self._method, initial, targets, loop.Limits(*limits)
            )
            return self._so_far(run, initial, run, opened)

        return self._compiled(open, self._signature)

    @cached_property
    def go_on(self) -> Compiled:
        """Arguments of `open` and its last two results -> as `open`, without the last.

        The steps after the good ones, as far as they are simple.
        """

        def go_on(*arguments: Any) -> tuple[Any, ...]:
            *given, run, opened = arguments
            initial, targets, *limits = _batch_of_one(given)
            run = opening.go_on(
                self._problem,
                self._method,
                run,
                opened,
                targets,
                loop.Limits(*limits),
            )
            return self._so_far(run, initial, run)

        more = self.open.output_specs()[-2:]
        return self._compiled(go_on, [*self._signature, *more])

    @cached_property
    def resume(self) -> Compiled:
        """Arguments of `open` and the run from `go_on` -> as `search`."""

        def resume(*arguments: Any) -> tuple[tf.Tensor, ...]:
            *given, run = arguments
            initial, targets, *limits = _batch_of_one(given)
            run = loop.advance(
                self._problem,
                self._method,
                run,
                targets,
                loop.Limits(*limits),
                tf.int32.max,
            )
            return _first(self._answer(run, initial))

        more = self.go_on.output_specs()[-1:]
        return self._compiled(resume, [*self._signature, *more])

    @cached_property
    def verdict(self) -> Compiled:
        """As that of `Programs`, for a result that needs one."""

        def verdict(*arguments: tf.Tensor) -> tuple[tf.Tensor]:
            ended = Ended(*_batch_of_one(arguments))
            return (judge(self._problem, ended)[0],)

        initial, targets, tolerance, max_steps = self._signature
        unit = tf.TensorSpec([], initial.dtype)
        result = tf.TensorSpec([], max_steps.dtype)
        return self._compiled(verdict, [initial, targets, unit, tolerance, result])

    def _so_far(self, run: loop.Run, initial: tf.Tensor, *more: Any) -> tuple[Any, ...]:
        more = tf.nest.map_structure(tf.stop_gradient, more)
        return (*_first(self._answer(run, initial)), *more)

    def num_traces(self) -> int:
        """Counts the traces made so far."""
        names = ("search", "open", "go_on", "resume", "verdict")
        made = [self.__dict__.get(name) for name in names]
        return sum(program.num_traces() for program in made if program is not None)

    def _compiled(
        self, function: Callable[..., Any], signature: Sequence[Any]
    ) -> Compiled:
        small = self._problem.num_levels <= _FEW_LEVELS
        return Compiled(function, list(signature), small=small)


def _batch_of_one(arguments: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return [tf.expand_dims(x, 0) for x in arguments]


def _first(nest: Any) -> Any:
    return tf.nest.map_structure(lambda x: tf.squeeze(x, 0), nest)
