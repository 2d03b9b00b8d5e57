"""The solver: the compiled functions that users call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf
from rich.console import Console

from eigenfit.fits.fit import Fit
from eigenfit.fits.known import Asked
from eigenfit.fitting.arguments import FitArguments, fit_arguments
from eigenfit.fitting.chunks import history_of, run_in_buckets, run_in_chunks
from eigenfit.fitting.compilation import MODES, Mode
from eigenfit.fitting.implicit import follow_targets
from eigenfit.fitting.loop import WORTH_COMPACTING
from eigenfit.fitting.pointwise import Pointwise
from eigenfit.fitting.programs import Programs
from eigenfit.fitting.verdicts import needs_verdict
from eigenfit.methods import AbstractMethod, choose_method, method_named
from eigenfit.problem.problem import Problem
from eigenfit.reports.progress import fit_progress
from eigenfit.results import Progress, Solution
from eigenfit.tensors.batching import batch_rank, unflatten
from eigenfit.tensors.types import TensorLike


class Solver(Pointwise):
    """Fits the parameters of a problem to targets, in one compiled program.

    Every function takes leading batch dimensions, which broadcast between its
    arguments; inside they are one dimension of unknown size, so that nothing is
    traced anew for another batch. Tensors must have the problem's
    `parameter_dtype`; other numbers are converted to it.

    Args:
        problem: Structure and observation.
        method: The method that makes the steps, or its name for default options, such
            as `"levenberg-marquardt"`. `"auto"` takes the closed form if there is one,
            else `Alternating`, which descends first if there are fewer parameters than
            targets.
        compile: `"graph"`, `"xla"`, `"eager"`, or `"auto"`: XLA for a single matrix
            of order 8 or less with a method of many steps, and on a GPU for batches of
            matrices up to order 64; graph mode otherwise. XLA compiles for 1 to 4 s,
            anew for each batch size; ask for it when one solver fits thousands of
            single matrices of order 8 or less, or hundreds of batches of order 3 or 4.
        name: Name of the `tf.Module`.

    Raises:
        TypeError: If `problem` or `method` has the wrong type.
        ValueError: If the method cannot solve the problem, or `compile` is unknown.

    Example:
        >>> from eigenfit.structures import Symmetric
        >>> solver = Solver(Problem(Symmetric(3)))
        >>> solution = solver.fit([0.1, 0.9, 0.0, 0.2, 0.8, 0.5], [1.0, 1.0, 1.0])
        >>> int(solution.num_steps), int(solution.result)
        (1, 0)
        >>> solution.eigenvalues.numpy().round(6)
        array([1., 1., 1.])
    """

    def __init__(
        self,
        problem: Problem,
        method: AbstractMethod | str = "auto",
        *,
        compile: str = "auto",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if not isinstance(problem, Problem):
            raise TypeError(
                f"`problem` must be a Problem, such as Problem(Symmetric(3)), got "
                f"{problem!r}."
            )
        if isinstance(method, str):
            auto = method == "auto"
            method = choose_method(problem) if auto else method_named(method)
        if not isinstance(method, AbstractMethod):
            raise TypeError(
                f"`method` must be a name or a method such as Adam(), got {method!r}."
            )
        method.check(problem)
        if compile not in ("auto", *MODES):
            raise ValueError(
                f'`compile` must be "auto", "graph", "xla" or "eager", got {compile!r}.'
            )
        self.problem = problem
        self.method = method
        self.compile = compile
        self.programs = Programs(problem, method)

    def __repr__(self) -> str:
        return (
            f"Solver({self.problem!r}, method={self.method!r}, "
            f"compile={self.compile!r})"
        )

    def __getstate__(self) -> dict[str, Any]:
        # Copies compile anew: compiled programs belong to their process.
        return {key: x for key, x in self.__dict__.items() if key != "programs"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.programs = Programs(self.problem, self.method)

    def fit(
        self,
        initial: TensorLike | Solution,
        targets: TensorLike,
        *,
        tolerance: TensorLike | None = None,
        max_steps: TensorLike | None = None,
        record_every: int = 0,
        record_limit: int = 256,
        progress: Callable[[Progress], None] | bool | None = None,
    ) -> Fit:
        """Fits parameters to targets, from given starts.

        Args:
            initial: `[..., p]`, where to start; or an earlier fit, to go on from it.
            targets: `[..., m]`, ascending with their levels.
            tolerance: `[...]`, positive; a member has converged when its loss is at
                or below it. By default, the residual of each observation must be at or
                below 1e-10 (1e-5 in single precision) of what it would be if each
                value were wrong by the largest target, or below the rounding of the
                levels; with standard deviations or priors also at or below 1e-6 of
                these. Targets that are all 0 must be met to rounding.
            max_steps: `[...]` integer, step limit of each member; by default that of
                the method.
            record_every: Steps between snapshots for `Solution.history`; 0 for none.
            record_limit: Most snapshots kept besides the end of the fit; when it is
                reached, every second one is dropped and their distance doubled. A
                batch of size 0 has no history.
            progress: Called between compiled chunks of about a quarter of a second;
                True shows a bar on a terminal or in a notebook.

        Returns:
            A `Fit`; inside a `tf.function` the plain `Solution`. A member with NaN or
            infinite input gets `Result.invalid_input` and does not affect the others.
            Gradient tapes differentiate it by `targets` given as a tensor (see
            `implicit.follow_targets`), not by `initial`.

        Raises:
            TypeError: If an argument is not numeric or a tensor of another dtype.
            ValueError: If a shape does not fit, targets do not ascend, or a limit is
                out of range.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> starts = [[0.0, 4.0], [3.0, float("nan")]]
            >>> solution = solver.fit(starts, [0.0, 4.0])
            >>> solution.result.numpy().tolist()  # converged, invalid_input
            [0, 5]
            >>> solution.parameters[0].numpy().round(6).tolist()
            [0.267949, 3.732051]
        """
        if progress is True:
            with fit_progress(Console(stderr=True)) as shown:
                return self.fit(
                    initial,
                    targets,
                    tolerance=tolerance,
                    max_steps=max_steps,
                    record_every=record_every,
                    record_limit=record_limit,
                    progress=shown,
                )
        progress = progress or None
        if max_steps is None:
            max_steps = self.method.default_max_steps
        if progress is not None and not callable(progress):
            raise TypeError(f"`progress` must be callable, got {progress!r}.")
        for name, value, least in (
            ("record_every", record_every, 0),
            ("record_limit", record_limit, 2),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"`{name}` must be an integer of at least {least}, got {value!r}."
                )

        if isinstance(initial, Solution):
            initial = initial.parameters
        began = time.perf_counter()
        given = fit_arguments(self.problem, initial, targets, tolerance, max_steps)
        solution = self._search(given, record_every, record_limit, progress)
        if not tf.executing_eagerly():
            return cast("Fit", solution)
        seconds = time.perf_counter() - began
        kept = [_as_they_are(x) for x in (initial, targets, tolerance)]
        method, mode = self.method, self.compile
        asked = Asked(self.problem, method, mode, kept[0], kept[1], kept[2], seconds)
        return Fit.of(solution, asked)

    def _search(
        self,
        given: FitArguments,
        record_every: int,
        record_limit: int,
        progress: Callable[[Progress], None] | None,
    ) -> Solution:
        batch = given.batch
        mode = self._mode(batch)
        programs = self.programs.distinct if given.distinct else self.programs
        if not record_every and not progress and batch_rank(batch) == 0:
            found = programs.single.fit(mode, given.values)
            answer = self._judged(mode, found, given.values)
            return Solution._make((*self._followed(given, answer), None))
        arguments = given.flat()
        empty = isinstance(batch, tf.TensorShape) and batch.num_elements() == 0
        if (record_every and not empty) or progress:
            record_every = 0 if empty else record_every
            # An even number of snapshots thins to evenly spaced ones.
            capacity = record_limit // 2 * 2 if record_every else 0
            run = run_in_chunks(
                programs, mode, arguments, record_every, capacity, progress
            )
            finish = programs.chunked(capacity)[2].variant(mode)
            found = finish(run, arguments[0])
            history = history_of(run) if record_every else None
            if history is not None:
                history = history._replace(
                    loss=unflatten(history.loss, batch),
                    eigenvalues=unflatten(history.eigenvalues, batch),
                )
        elif self._in_buckets(mode, batch):
            run = run_in_buckets(programs, mode, arguments)
            finish = programs.chunked(0)[2].variant(mode)
            found, history = finish(run, arguments[0]), None
        else:
            found = programs.search.variant(mode)(*arguments)
            history = None
        answer = self._judged(mode, found, arguments)
        answer = unflatten(self._followed(given, answer), batch)
        return Solution._make((*answer, history))

    def _judged(
        self, mode: Mode, found: Sequence[tf.Tensor], arguments: list[tf.Tensor]
    ) -> tuple[tf.Tensor, ...]:
        # What `search` found, with the verdict on it.
        *fields, result, unit = found
        _, targets, tolerance, _ = arguments
        if tf.executing_eagerly():
            codes = result.numpy()
            asked = codes.any() and needs_verdict(
                self.problem, np.asarray(tolerance), codes
            )
            if not np.any(asked):
                return *fields, result
        given = [fields[0], targets, unit, tolerance, result]
        # Graph mode compiles quickly, and the matrices are decomposed only once.
        mode = "eager" if mode == "eager" else "graph"
        if result.shape.rank == 0 and tf.executing_eagerly():
            return *fields, *self.programs.single.verdict.call(mode, given)
        if result.shape.rank == 0:
            given = [tf.expand_dims(x, 0) for x in given]
        program = self.programs.verdict.variant(mode)
        return *fields, tf.reshape(program(*given), tf.shape(result))

    def _followed(self, given: FitArguments, answer: Any) -> tuple[tf.Tensor, ...]:
        if given.followed is None:
            return tuple(answer)
        initial = given.values[0]
        return follow_targets(
            self.problem, self.method, initial, given.followed, tuple(answer)
        )

    def _in_buckets(self, mode: Mode, batch: Any) -> bool:
        large = (
            isinstance(batch, tf.TensorShape)
            and batch.is_fully_defined()
            and batch.num_elements() >= WORTH_COMPACTING
        )
        eager = tf.executing_eagerly()
        return mode == "xla" and large and eager and not self.method.is_direct


def _as_they_are(numbers: Any) -> Any:
    # Of what the caller may change later, a copy.
    if numbers is None or isinstance(numbers, tf.Tensor):
        return numbers
    return numbers.numpy() if isinstance(numbers, tf.Variable) else np.array(numbers)
