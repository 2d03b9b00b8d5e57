"""Further solutions from the same start: deflation."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.arguments import parameters_of, targets_of
from eigenfit.distinct import canonical, clusters
from eigenfit.methods import gauss_newton
from eigenfit.methods.base import AbstractMethod
from eigenfit.problem import Problem
from eigenfit.results import RUNNING, Result
from eigenfit.solver import Solver
from eigenfit.structures.base import positive_int

_SHIFT = 1.0
_STEPS = 60
_LONGEST = 4.0
"""Longest step, in norms of the residual at the start."""


class DeflationResult(NamedTuple):
    """What `deflate` found: s distinct solutions, in NumPy, in the order found."""

    parameters: np.ndarray  # [s, p]
    eigenvalues: np.ndarray  # [s, N]
    loss: np.ndarray  # [s]
    num_fits: int


def deflate(
    solver: Solver,
    initial: Any,
    targets: Any,
    *,
    max_solutions: int = 16,
    max_failures: int = 3,
    tolerance: float = 1e-8,
    rtol: float = 1e-4,
) -> DeflationResult:
    """Finds several solutions from one start, each pushed away from those before.

    After the solver's own fit, Newton's method is run from the same start for the
    residual times `prod_s (1 / |x - x_s|^2 + 1)` over the known solutions x_s, which
    has no root there: its steps are those of Newton times `1 / (1 - <grad log eta,
    d>)` (P. E. Farrell, A. Birkisson & S. W. Funke, SIAM J. Sci. Comput. 37 (2015)
    A2026-A2045). Distances are in scaled parameters, relative to the residual at the
    start (to its size where it is a solution). Where that leads is the start of a
    further fit. After a fit that leads to a known solution or nowhere, the start is
    moved at random by a tenth of that distance.

    Args:
        solver: Makes the fits.
        initial: `[p]`.
        targets: `[m]`.
        max_solutions: Number of solutions at which to stop.
        max_failures: Number of fits in a row without a new one at which to stop.
        tolerance: Loss at which a fit has converged.
        rtol: Relative distance up to which solutions are the same.

    Returns:
        Converged solutions; none if there are none.

    Raises:
        ValueError: If a shape does not fit or a number is out of range.

    Example:
        Both orders of the diagonal, from one start:

        >>> from eigenfit import Additive
        >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
        >>> deflate(solver, [1.0, 3.0], [1.0, 4.0]).parameters.round(4)
        array([[1.382, 3.618],
               [3.618, 1.382]])
    """
    positive_int("max_solutions", max_solutions)
    positive_int("max_failures", max_failures)
    problem = solver.problem
    start = np.asarray(parameters_of(problem, "initial", initial), np.float64)
    if start.ndim != 1:
        raise ValueError(
            f"`initial` must be one start [{problem.num_parameters}], got shape "
            f"{list(start.shape)}."
        )
    targets = targets_of(problem, targets)
    rng = np.random.default_rng(0)
    method = _Deflated(problem, start, targets, max_solutions, tolerance)
    search: Solver | None = None
    rows: list[tuple[np.ndarray, np.ndarray, float]] = []
    begin, fits, failures = start, 0, 0
    while len(rows) < max_solutions and failures < max_failures:
        here = begin
        if rows:
            search = search or Solver(problem, method, compile="graph")
            method.learn(np.array([row[0] for row in rows]))
            here = search.fit(
                begin, targets, tolerance=tolerance, max_steps=_STEPS
            ).parameters.numpy()
        found = solver.fit(here, targets, tolerance=tolerance)
        fits += 1
        new = int(found.result) == Result.converged
        if new:
            row = (
                _representative(problem, found.parameters.numpy()),
                found.eigenvalues.numpy(),
                float(found.loss),
            )
            points = np.array([known[0] for known in rows] + [row[0]])
            new = len(clusters(points * method.unit, rtol)[1]) == len(points)
            if new:
                rows.append(row)
        failures = 0 if new else failures + 1
        begin = start
        if failures:
            away = rng.standard_normal(len(start)) * method.reach / method.unit
            begin = problem.limit(tf.constant(start + 0.1 * away)).numpy()
    p, n = problem.num_parameters, problem.num_levels
    return DeflationResult(
        parameters=np.array([row[0] for row in rows]).reshape(-1, p),
        eigenvalues=np.array([row[1] for row in rows]).reshape(-1, n),
        loss=np.array([row[2] for row in rows]),
        num_fits=fits,
    )


def _representative(problem: Problem, parameters: np.ndarray) -> np.ndarray:
    if problem.is_plain and problem.bounds is None:
        return canonical(problem.structure, parameters[np.newaxis])[0]
    return parameters


class _DeflatedState(NamedTuple):
    # Loop variable of `_Deflated`.
    point: Any  # an Evaluation
    code: tf.Tensor  # [...] int32, a Result or RUNNING


class _Deflated(AbstractMethod):
    """Newton's steps for the deflated residual; see `deflate`."""

    default_max_steps = _STEPS
    honours_bounds = True

    def __init__(
        self,
        problem: Problem,
        start: np.ndarray,
        targets: Any,
        capacity: int,
        tolerance: float,
    ) -> None:
        super().__init__(name="deflated")
        dtype = problem.parameter_dtype
        point = problem.evaluate(tf.constant(start, dtype), targets)
        scale = gauss_newton.initial_scale(problem, problem.jacobian_at(point))
        self.unit = gauss_newton.roots(scale).numpy()  # [p]
        self.reach = float(tf.sqrt(point.loss))
        if point.loss <= tolerance:  # The start is a solution: the size of its own.
            self.reach = float(np.linalg.norm(start * self.unit)) or 1.0
        self._known = tf.Variable(tf.zeros([capacity, len(start)], dtype))
        self._used = tf.Variable(tf.zeros([capacity], dtype))  # 1 for known ones

    def learn(self, known: np.ndarray) -> None:
        """Keeps away from these solutions, `[s, p]`, from now on."""
        full = np.zeros(self._known.shape)
        full[: len(known)] = known
        self._known.assign(full)
        self._used.assign((np.arange(len(full)) < len(known)).astype(float))

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> _DeflatedState:
        """Evaluates the start; see the base class."""
        point = problem.evaluate(parameters, targets)
        return _DeflatedState(point, tf.fill(tf.shape(point.loss), RUNNING))

    def step(
        self, problem: Problem, state: _DeflatedState, targets: tf.Tensor
    ) -> _DeflatedState:
        """Takes one deflated step; see the base class."""
        point = state.point
        unit = tf.constant(self.unit, point.loss.dtype)
        J = gauss_newton.hold(problem, point, problem.jacobian_at(point)) / unit
        d = gauss_newton.direction(J, point.residual, tf.zeros_like(point.loss))
        known = tf.convert_to_tensor(self._known)
        z = (point.parameters[..., tf.newaxis, :] - known) * unit / self.reach
        square = tf.reduce_sum(z**2, axis=-1)
        along = tf.linalg.matvec(z, d / self.reach)
        # <grad log eta, d> of each factor 1 / |z|^2 + shift.
        pull = tf.math.divide_no_nan(-2 * along, square * (1 + _SHIFT * square))
        slope = tf.reduce_sum(pull * tf.convert_to_tensor(self._used), axis=-1)
        rest = 1 - slope
        least = tf.constant(1e-3, rest.dtype)
        rest = tf.where(tf.abs(rest) < least, tf.where(rest < 0, -least, least), rest)
        d /= rest[..., tf.newaxis]
        length = tf.norm(d, axis=-1)
        longest = tf.constant(_LONGEST * self.reach, length.dtype)
        d *= tf.minimum(tf.math.divide_no_nan(longest, length), 1.0)[..., tf.newaxis]
        moved = problem.limit(point.parameters + d / unit)
        return _DeflatedState(problem.evaluate(moved, targets), state.code)

    def terminate(self, problem: Problem, state: _DeflatedState) -> tf.Tensor:
        """Goes on to the limit of steps; see the base class."""
        return state.code
