"""End points of fits, refined: brought nearer to solutions and tested for families."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.analysis.sensitivity import coupling_rows
from eigenfit.eigen import epsilon
from eigenfit.methods.cluster_newton import couplings_of
from eigenfit.methods.stepping import steps
from eigenfit.problem.lengths import lengths
from eigenfit.problem.problem import Problem
from eigenfit.problem.sizes import natural_size, rounding
from eigenfit.searches.distinct import Points, column_norms

_STEPS = 20
"""Most steps that bring members nearer to their solution."""
_NULL = 1e-7
"""Relative singular value of the Jacobian up to which it may be zero."""
_AWAY = 0.03
"""Distance along a family, relative to its size, at which another member is sought."""
_DIRECTIONS = 4
"""Pairs of opposite directions, at most, in which a family is looked for in bounds."""
_CHECKED = 16
"""Most solutions of an underdetermined problem that are examined one by one."""


class Refinement:
    """Gauss-Newton steps from the end points of fits, in a common unit of residuals.

    Args:
        problem: The problem that was fitted.
        targets: `[m]`.
        parameters: `[k, p]`, which set the unit if all targets are 0.
    """

    def __init__(
        self, problem: Problem, targets: np.ndarray, parameters: np.ndarray
    ) -> None:
        self._targets = tf.constant(targets, problem.parameter_dtype)
        self._dtype = problem.parameter_dtype
        units, sizes = natural_size(problem, *self._batch(parameters))
        self._problem = problem.in_unit(tf.reduce_max(units, keepdims=True))
        self.unit = float(tf.reduce_max(units))
        self.size = float(tf.reduce_max(sizes))

    def polish(
        self, parameters: np.ndarray, clusters: bool = False
    ) -> tuple[np.ndarray, ...]:
        """Steps until the loss falls no more: parameters, levels, residual norms.

        Whether fits have the same solution then does not depend on where below the
        tolerance they ended.

        Args:
            parameters: `[k, p]`.
            clusters: Whether steps keep levels together whose targets are equal.
        """
        r, problem = parameters.copy(), self._problem
        point = problem.evaluate(*self._batch(r))
        loss, levels = point.loss.numpy(), point.eigenvalues.numpy()
        running = np.flatnonzero(np.isfinite(loss))
        enough = (4 * float(epsilon(self._dtype)) * self.size) ** 2
        for _ in range(_STEPS):
            running = running[loss[running] > enough]
            if not len(running):
                break
            own, targets = self._batch(r[running])
            trial = problem.limit(own + self._step(own, targets, clusters))
            point = problem.evaluate(trial, targets)
            new = point.loss.numpy()
            fell = new < loss[running]
            better = running[fell]
            much = new[fell] < loss[better] * (1 - 1e-6)
            r[better], loss[better] = trial.numpy()[fell], new[fell]
            levels[better] = point.eigenvalues.numpy()[fell]
            running = better[much]
        return r, levels, np.sqrt(loss)

    def steps(self, parameters: np.ndarray) -> np.ndarray:
        """Computes the Gauss-Newton steps, `[k, p]`."""
        return self._step(*self._batch(parameters)).numpy()

    def linearized(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes residuals `[k, m]` and their derivatives, `[k, m, p]`."""
        point = self._problem.evaluate(*self._batch(parameters))
        J = self._problem.jacobian_at(point)
        return point.residual.numpy(), J.numpy()

    def points(self, parameters: np.ndarray, met: np.ndarray) -> Points:
        """Evaluates residuals and their derivatives."""
        point = self._problem.evaluate(*self._batch(parameters))
        J = self._problem.jacobian_at(point).numpy().astype(np.float64)
        residual = np.sqrt(point.loss.numpy().astype(np.float64))
        return Points(parameters, np.nan_to_num(J), residual, met, self.size)

    def family_dimensions(self, points: Points) -> np.ndarray:
        """Finds the dimension of the continuum that each point belongs to: `[k]` int.

        It is 0 for an isolated point. If the Jacobian, with the equations of levels
        that coincide as they should, has a null space, which may be due to a double
        root, a step along it is made and corrected; if that leads to another point that
        is as good, the dimension is that of the null space there. The step is short
        compared with one that changes the spectrum: a close pair of levels has a small
        family.
        """
        x = points.parameters
        J, rates, held = self._neighbourhood(x)
        dimension = np.zeros(len(x), int)
        J = J * ~held[:, np.newaxis]
        largest = column_norms(J).max(axis=0, initial=0)
        # A parameter without influence on anything has no other unit.
        spread = np.abs(x).max(axis=0, initial=0)
        largest = np.where(largest > 0, largest, 1 / np.where(spread > 0, spread, 1.0))
        checked = np.arange(len(x))
        if x.shape[1] > self._targets.shape[0]:
            checked = checked[:_CHECKED]
        rng = np.random.default_rng(0)
        # Inside of bounds a direction may lead out of them both ways.
        for _ in range(1 if self._problem.bounds is None else _DIRECTIONS):
            ways = {}
            for i in checked[dimension[checked] == 0]:
                free = np.flatnonzero(~held[i])
                direction = _null_vector((J[i] / largest)[:, free], rng)
                if direction is not None:
                    way = np.zeros(x.shape[1])
                    way[free] = direction
                    size = max(np.linalg.norm(x[i] * largest), self.size * 1e-3)
                    rate = 1 / size + np.abs(way / largest) @ rates[i]
                    ways[i] = way * _AWAY / rate
            for sign in (1, -1):
                self._try(points, sign, ways, largest, dimension)
        if len(checked) < len(x) and dimension[checked].all():
            number = (~held).sum(axis=1)
            dimension[len(checked) :] = np.maximum(
                number[len(checked) :] - (number[0] - dimension[0]), 1
            )
        return dimension

    def _try(
        self,
        points: Points,
        sign: int,
        directions: dict[int, np.ndarray],
        largest: np.ndarray,
        dimension: np.ndarray,
    ) -> None:
        # Goes from points of dimension 0 along their directions [p], or against them,
        # and where it comes to others that are as good notes the dimension there.
        x, index, moves = points.parameters, [], []
        for i, direction in directions.items():
            room = min(1.0, self._room(x[i], sign * direction / largest))
            if dimension[i] == 0 and room > 1e-6:
                index.append(i)
                moves.append(sign * room * direction)
        if not index:
            return
        index, ways = np.array(index), np.array(moves)
        there = (x[index] + ways / largest).astype(x.dtype)
        there = self._problem.limit(tf.constant(there)).numpy()
        there, _, residual = self.polish(there, clusters=True)
        moved = np.sum((there - x[index]) * largest * ways, axis=1)
        far = moved >= 0.5 * np.sum(ways**2, axis=1)
        before = points.residual[index]
        allowed = np.where(points.met[index], 4 * before, before * (1 + 1e-6))
        good = far & (residual <= allowed + self._rounding(x[index]))
        if not good.any():
            return
        J, _, held = self._neighbourhood(there[good])
        for i, own, fixed in zip(index[good], J, held, strict=True):
            free = ~fixed
            dimension[i] = free.sum() - _rank(own[:, free] / largest[free])

    def _room(self, x: np.ndarray, way: np.ndarray) -> float:
        # How far one may go from x along a way before a bound.
        if self._problem.bounds is None:
            return np.inf
        lower, upper = self._problem.bounds
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(way > 0, upper - x, x - lower) / np.abs(way)
        return float(0.9 * np.min(room, initial=np.inf, where=way != 0))

    def _rounding(self, parameters: np.ndarray) -> np.ndarray:
        # The residual that rounding may leave, [k]; that of the levels counts where
        # they are far larger than the targets.
        r, targets = self._batch(parameters)
        point = self._problem.evaluate(r, targets)
        own = rounding(self._problem, point.eigenvalues, targets).numpy()
        return np.maximum(1e3 * np.finfo(parameters.dtype).eps * self.size, 8 * own)

    def _batch(self, parameters: np.ndarray) -> tuple[tf.Tensor, tf.Tensor]:
        r = tf.constant(parameters, self._dtype)
        shape = [len(parameters), self._targets.shape[0]]
        return r, tf.broadcast_to(self._targets, shape)

    def _neighbourhood(self, parameters: np.ndarray) -> tuple[np.ndarray, ...]:
        # The Jacobian with the equations of clusters, [k, m + c, p]; one over the
        # lengths over which the spectrum changes, [k, p]; and which parameters the
        # residual holds on their bounds, [k, p].
        problem = self._problem
        point = problem.evaluate(*self._batch(parameters))
        length = lengths(problem, point).numpy().astype(np.float64)
        moves = length > 0
        rates = np.where(moves, 1 / np.where(moves, length, 1.0), 0.0)
        J = problem.jacobian_at(point).numpy().astype(np.float64)
        residual = point.residual.numpy().astype(np.float64)
        norm = np.linalg.norm(residual, axis=-1)[:, np.newaxis]
        push = -problem.on_bounds(parameters).numpy() * np.einsum(
            "kmp,km->kp", J, residual
        )
        held = push > epsilon(self._dtype) ** 0.4 * column_norms(J) * norm
        held &= norm > self._rounding(parameters)[:, np.newaxis]
        return self._jacobian(parameters), rates, held

    def _jacobian(self, parameters: np.ndarray) -> np.ndarray:
        r, targets = self._batch(parameters)
        point = self._problem.evaluate(r, targets)
        J = self._problem.jacobian_at(point).numpy().astype(np.float64)
        rows = coupling_rows(self._problem, point, targets) / self.unit
        return np.nan_to_num(np.concatenate([J, rows], axis=1))

    def _step(
        self, parameters: tf.Tensor, targets: tf.Tensor, clusters: bool = False
    ) -> tf.Tensor:
        problem = self._problem
        point = problem.evaluate(parameters, targets)
        J = steps.hold(problem, point, problem.jacobian_at(point))
        norms = tf.constant(column_norms(J.numpy()), J.dtype)
        norms = tf.where(norms > 0, norms, tf.ones_like(norms))
        scaled = J / norms[:, tf.newaxis, :]
        zero, rows = tf.zeros_like(point.loss), None
        if clusters:
            rows = couplings_of(problem, point, targets)
        if rows is not None:
            held = tf.reduce_all(J == 0, axis=-2, keepdims=True)
            rows = tf.where(held, tf.zeros_like(rows), problem.in_own_unit(rows))
            rows /= norms[:, tf.newaxis, :]
        return steps.direction(scaled, point.residual, zero, rows) / norms


def _null_vector(J: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    # A random unit vector that J maps to zero within `_NULL`; None if there is none.
    p = J.shape[1]
    if not p:
        return None
    _, s, Vt = np.linalg.svd(J, full_matrices=False)
    kept = s > _NULL * s.max(initial=0)
    if kept.sum() == p:
        return None
    z = rng.standard_normal(p)
    z -= Vt[kept].T @ (Vt[kept] @ z)
    return z / np.linalg.norm(z)


def _rank(J: np.ndarray) -> int:
    s = np.linalg.svd(J, compute_uv=False)
    return int((s > _NULL * s.max(initial=0)).sum())
