"""What a solver computes without a loop: single steps, losses, gradients, levels."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from eigenfit.fitting.compilation import Compiled, Mode, chosen_mode, device
from eigenfit.fitting.programs import Gradient, Programs
from eigenfit.methods import AbstractMethod
from eigenfit.problem.arguments import parameters_of, targets_of
from eigenfit.problem.problem import Problem
from eigenfit.tensors.batching import batch_rank, flatten, unflatten
from eigenfit.tensors.types import TensorLike
from eigenfit.tensors.validation import broadcast_batch


class Pointwise(tf.Module):
    """The part of a solver that evaluates its compiled programs at given points.

    Attributes:
        problem: The problem.
        method: The method that makes the steps.
        compile: In which mode programs run; see `Solver`.
        programs: The compiled programs.
    """

    problem: Problem
    method: AbstractMethod
    compile: str
    programs: Programs

    def init(self, initial: TensorLike, targets: TensorLike) -> Any:
        """Starts the method and returns the state for `step`.

        Args:
            initial: `[..., p]`, where to start.
            targets: `[..., m]`, ascending with their levels.

        Returns:
            The method's state, a NamedTuple; `state.point` has the parameters,
            eigenvalues and loss.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> state = solver.init([0.0, 4.0], [0.0, 4.0])
            >>> float(state.point.loss).__round__(4)
            0.1115
        """
        return self._pointwise(self.programs.init, ("initial", initial), targets)

    def step(self, state: Any, targets: TensorLike) -> Any:
        """Makes one step of the method.

        Args:
            state: State returned by `init` or `step`.
            targets: `[..., m]`; they must broadcast to the batch of the state.

        Returns:
            The new state.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> state = solver.init([0.0, 4.0], [0.0, 4.0])
            >>> state = solver.step(state, [0.0, 4.0])
            >>> bool(state.point.loss < 1e-2)
            True
        """
        batch, (_, t) = broadcast_batch(
            state=(state.point.loss, 0), targets=(targets_of(self.problem, targets), 1)
        )
        rank = batch_rank(batch)
        own = state.point.loss.shape
        if rank != own.rank or not own.is_compatible_with(t.shape[:-1]):
            raise ValueError(
                f"`targets` have the batch shape {t.shape[:-1]}, which does not "
                f"broadcast to that of `state`, {own}. Give them to `init` already."
            )
        program = self.programs.step.variant(self._mode(batch))
        return unflatten(program(flatten(state, rank), flatten(t, rank)), batch)

    def gradient(self, parameters: TensorLike, targets: TensorLike) -> Gradient:
        """Computes loss, gradient and eigenvalues by one decomposition.

        Args:
            parameters: `[..., p]`.
            targets: `[..., m]`.

        Returns:
            The loss `[...]`, its gradient by the parameters `[..., p]`, and the
            eigenvalues `[..., n]`; ready for an optimiser from `tf.keras.optimizers`.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> found = solver.gradient([0.0, 0.0], [-1.0, 2.0])
            >>> float(found.loss), found.gradient.numpy().round(12).tolist()
            (1.0, [-1.0, -1.0])
        """
        return self._pointwise(
            self.programs.gradient, ("parameters", parameters), targets
        )

    def loss(self, parameters: TensorLike, targets: TensorLike) -> tf.Tensor:
        """Computes the loss `[...]`, which gradient tapes can differentiate twice.

        Args:
            parameters: `[..., p]`.
            targets: `[..., m]`.

        Returns:
            `sum_i weight_i (t_i - lambda_i)^2`, with derivatives that hold where
            eigenvalues coincide.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> float(solver.loss([0.0, 0.0], [-1.0, 2.0]))
            1.0
        """
        return self._pointwise(self.programs.loss, ("parameters", parameters), targets)

    def eigenvalues(self, parameters: TensorLike) -> tf.Tensor:
        """Computes all eigenvalues `[..., n]` of A(r), ascending.

        Args:
            parameters: `[..., p]`.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> solver.eigenvalues([0.0, 0.0]).numpy().tolist()
            [-1.0, 1.0]
        """
        parameters = parameters_of(self.problem, "parameters", parameters)
        batch, (parameters,) = broadcast_batch(parameters=(parameters, 1))
        program = self.programs.eigenvalues.variant(self._mode(batch))
        return unflatten(program(flatten(parameters, batch_rank(batch))), batch)

    def num_traces(self) -> int:
        """Counts how often a program of this solver has been traced.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> for targets in ([0.0, 4.0], [0.0, 5.0]):
            ...     _ = solver.fit([0.0, 4.0], targets)
            >>> before = solver.num_traces()
            >>> _ = solver.fit([0.0, 4.0], [0.0, 6.0])
            >>> solver.num_traces() == before
            True
        """
        return self.programs.num_traces()

    def _pointwise(
        self, program: Compiled, first: tuple[str, Any], targets: Any
    ) -> Any:
        name, value = first
        batch, arguments = broadcast_batch(
            **{
                name: (parameters_of(self.problem, name, value), 1),
                "targets": (targets_of(self.problem, targets), 1),
            }
        )
        compiled = program.variant(self._mode(batch))
        return unflatten(compiled(*flatten(arguments, batch_rank(batch))), batch)

    def _mode(self, batch: Any) -> Mode:
        if self.compile != "auto":
            return self.compile  # type: ignore[return-value]
        number = batch.num_elements() if isinstance(batch, tf.TensorShape) else None
        many = self.method.takes_many_steps
        return chosen_mode(device(), self.problem.order, number, many)
