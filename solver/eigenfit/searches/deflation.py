"""Further solutions from the same start: deflation."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.fitting.solver import Solver
from eigenfit.problem.arguments import parameters_of, targets_of
from eigenfit.results import SUCCESSES, Solution
from eigenfit.searches.distinct import column_norms, freedom_of
from eigenfit.searches.multistart import one_descent
from eigenfit.searches.refinement import Refinement
from eigenfit.searches.solutions import DistinctSolutions, describe, distinct_solutions
from eigenfit.tensors.checks import positive_int
from eigenfit.tensors.types import TensorLike

_SHIFT = 1.0
_STEPS = 60
_LONGEST = 4.0
"""Longest Gauss-Newton step, relative to the deflation distance."""
_SHARES = (1 / 4, 1 / 32, 1 / 256)
"""Fractions of that distance at which a solution repels others in its valley."""
_KNOWN = 64
"""Most sign copies of known solutions that repel."""


class DeflationResult(NamedTuple):
    """What `deflate` found: s distinct solutions, in NumPy, in the order found.

    Solutions from the same fit are ordered by their loss.
    """

    parameters: np.ndarray  # [s, p]
    eigenvalues: np.ndarray  # [s, N]
    loss: np.ndarray  # [s]
    num_fits: int
    result: np.ndarray  # [s] a Result: converged or minimum
    family_dimension: np.ndarray  # [s] of the continuum it stands for; 0: isolated
    copies: np.ndarray  # [s] number that differ by signs only, itself included

    @property
    def texts(self) -> list[str]:
        """Description of each solution, in words."""
        return describe(self.result, self.family_dimension, self.copies)


def deflate(
    solver: Solver,
    initial: TensorLike,
    targets: TensorLike,
    *,
    max_solutions: int = 16,
    max_failures: int = 3,
    max_copies: int = 4,
    tolerance: float | None = None,
    rtol: float = 1e-4,
) -> DeflationResult:
    """Finds several solutions from one start, each pushed away from those before.

    After the solver's own fit, Gauss-Newton and Levenberg-Marquardt are run from the
    same start for the residual times `prod_s (1 / |x - x_s|^2 + 1)` over the known
    solutions x_s, which is infinite there (P. E. Farrell, A. Birkisson & S. W. Funke,
    SIAM J. Sci. Comput. 37 (2015) A2026-A2045), and from both sides of the latest one
    along its valley. The points they reach are the starts of a further fit. Distances
    are in scaled parameters, relative to the residual at the start, or to the distance
    from there to the nearest solution if that is longer, and along the valley to
    fractions of this. After a fit that leads to known solutions or nowhere, the start
    is moved at random by a tenth of this, and the move is doubled each time.

    Solutions are told apart as by `eigenfit.multistart`. Those that differ from a
    known one by signs without effect are known at once and are not searched for.
    A continuum is represented by one solution.

    Args:
        solver: The solver that makes the fits.
        initial: `[p]`, the start.
        targets: `[m]`, ascending with their levels.
        max_solutions: Number of solutions, up to signs, at which to stop.
        max_failures: Number of fits in a row without a new one at which to stop.
        max_copies: If up to this number of solutions differ by signs only, all are
            rows, one after another; if more do, one stands for them.
        tolerance: As for `Solver.fit`.
        rtol: Relative distance up to which solutions are the same.

    Returns:
        Solutions that meet the targets, and least-squares minima where the data need
        not be met; empty if none was found.

    Raises:
        ValueError: If a shape does not fit or a number is out of range.

    Example:
        Both orders of the diagonal, from one start:

        >>> from eigenfit import Additive, Problem
        >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
        >>> deflate(solver, [1.0, 3.0], [1.0, 4.0]).parameters.round(4)
        array([[1.382, 3.618],
               [3.618, 1.382]])
    """
    positive_int("max_solutions", max_solutions)
    positive_int("max_failures", max_failures)
    positive_int("max_copies", max_copies)
    problem = solver.problem
    start = np.asarray(parameters_of(problem, "initial", initial))
    if start.ndim != 1:
        raise ValueError(
            f"`initial` must be one start [{problem.num_parameters}], got shape "
            f"{list(start.shape)}."
        )
    target = np.asarray(targets_of(problem, targets))
    fitting = one_descent(solver)
    search = _Search(solver, start, target)
    found: list[Solution] = []
    rows: DistinctSolutions | None = None
    fits, failures = 0, 0
    while failures < max_failures:
        begin = search.away(rows, failures)
        ends = fitting.fit(begin, target, tolerance=tolerance)
        fits += 1
        number = 0 if rows is None else len(rows.loss)
        good = np.flatnonzero(np.isin(ends.result.numpy(), SUCCESSES))
        good = good[np.argsort(ends.loss.numpy()[good], kind="stable")]
        if len(good):
            found.append(_at(ends, good))
            rows = distinct_solutions(solver, _joined(found), target, rtol=rtol)
        if rows is not None and len(rows.loss) >= max_solutions:
            break
        new = rows is not None and len(rows.loss) > number
        failures = 0 if new else failures + 1
    p, n = problem.num_parameters, problem.num_levels
    if rows is None:
        none = np.zeros(0, int)
        r, w = (np.zeros([0, k], start.dtype) for k in (p, n))
        return DeflationResult(r, w, np.zeros(0, start.dtype), fits, none, none, none)
    # In the order found, with copies together.
    order = list(dict.fromkeys(rows.labels[rows.labels >= 0].tolist()))
    order = order[:max_solutions]
    listed, images = [], []
    for k in order:
        own = rows.parameters[k][np.newaxis]
        if rows.copies[k] <= max_copies and not rows.family_dimension[k]:
            own = search.freedom.copies(rows.parameters[k], max_copies)
        images.append(own)
        listed += [k] * len(own)
    return DeflationResult(
        parameters=np.concatenate(images),
        eigenvalues=rows.eigenvalues[listed],
        loss=rows.loss[listed],
        num_fits=fits,
        result=rows.result[listed],
        family_dimension=rows.family_dimension[listed],
        copies=rows.copies[listed],
    )


class _Search:
    # Gauss-Newton and Levenberg-Marquardt for the deflated residual.

    def __init__(self, solver: Solver, start: np.ndarray, target: np.ndarray) -> None:
        self._start = start
        self._problem = solver.problem
        self._refinement = Refinement(solver.problem, target, start[np.newaxis])
        self.freedom = freedom_of(solver.problem)
        self._rng = np.random.default_rng(0)

    def away(self, rows: DistinctSolutions | None, failures: int) -> np.ndarray:
        """Finds starts `[k, p]` of the next fit, away from the known solutions."""
        start = self._start
        if rows is None and not failures:
            return start[np.newaxis]
        known = np.zeros([0, len(start)])
        if rows is not None:
            each = max(1, _KNOWN // len(rows.loss))
            latest = rows.labels[rows.labels >= 0][-1]
            order = [latest, *(k for k in range(len(rows.loss)) if k != latest)]
            copies = [self.freedom.copies(rows.parameters[k], each) for k in order]
            known = np.concatenate(copies)
        whole = np.concatenate([start[np.newaxis], known]).astype(start.dtype)
        points = self._refinement.points(whole, np.ones(len(whole), bool))
        unit = column_norms(points.jacobian).max(axis=0)
        size = np.abs(whole).max(axis=0)
        # A parameter without influence at any of them is scaled to the natural size of
        # residuals.
        other = self._refinement.size / np.where(size > 0, size, 1.0)
        unit = np.where(unit > 0, unit, other)
        reach = float(points.residual[0])
        if len(known):
            ways = self.freedom.difference(known, start) * unit
            reach = max(reach, np.linalg.norm(ways, axis=1).min())
        if reach <= 1e-6 * self._refinement.size:  # The start is the solution.
            reach = float(np.linalg.norm(start * unit)) or self._refinement.size
        noise = self._rng.standard_normal([2, len(start)]) * reach / unit
        noise *= 0.1 * 2.0**failures
        begins, radii = [start + noise[0] * (failures > 0)], [reach]
        if len(known):
            # Along the valley of the latest one, at several lengths.
            flat = np.linalg.svd(points.jacobian[1] / unit)[2][-1] / unit
            for share, sign in itertools.product(_SHARES, (1, -1)):
                radii.append(share * reach)
                begins.append(known[0] + sign * 0.5 * share * reach * flat)
            if failures:
                radii.append(reach)
                begins.append(known[self._rng.integers(len(known))] + noise[1])
        scale = unit / np.array(radii)[:, np.newaxis]
        ends = self._descended(np.array(begins).astype(start.dtype), known, scale)
        if not len(known):
            return ends
        jumps = np.array(begins[:1] + begins[7:]).astype(start.dtype)
        jumps = self._jumped(jumps, known, unit / reach)
        return np.concatenate([jumps, ends])

    def _jumped(
        self, begins: np.ndarray, known: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        # Gauss-Newton steps of the deflated residual, which may go uphill: steps d of
        # the residual times 1 / (1 - <grad log eta, d>).
        r = self._problem.limit(tf.constant(begins)).numpy()
        for _ in range(_STEPS):
            d = self._refinement.steps(r) * scale
            z = self.freedom.difference(r[:, np.newaxis], known) * scale
            square = np.sum(z**2, axis=-1)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                pull = -2 / (square * (1 + _SHIFT * square))
                slope = np.nansum(pull * np.einsum("ksp,kp->ks", z, d), axis=1)
                rest = 1 - slope
                rest = np.where(np.abs(rest) < 1e-3, np.copysign(1e-3, rest), rest)
                d = d / rest[:, np.newaxis]
                length = np.linalg.norm(d, axis=1, keepdims=True)
                d = d * np.minimum(_LONGEST / length, 1.0)
            d = np.where(np.isfinite(d), d, 0.0)
            if (np.abs(d) <= 1e-6).all():
                break
            r = (r + d / scale).astype(r.dtype)
            r = self._problem.limit(tf.constant(r)).numpy()
        return r

    def _descended(
        self, begins: np.ndarray, known: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        # Descends to minima of the deflated loss.
        r = self._problem.limit(tf.constant(begins)).numpy()
        state = self._deflated(r, known, scale)
        damping = np.full(len(r), 1e-3)
        running = np.isfinite(state[0])
        rounding = 1e3 * float(np.finfo(r.dtype).eps) * self._refinement.size
        least = 2 * np.log(rounding)
        for _ in range(_STEPS):
            if not running.any():
                break
            loss, residual, J = state
            A = np.swapaxes(J, 1, 2) @ J
            floor = 1e-12 * np.trace(A, axis1=1, axis2=2)
            A += (damping + floor)[:, np.newaxis, np.newaxis] * np.eye(A.shape[-1])
            running &= np.isfinite(A).all(axis=(1, 2))
            A = np.where(running[:, np.newaxis, np.newaxis], A, np.eye(A.shape[-1]))
            right = np.einsum("kmp,km->kp", J, residual)
            d = -np.linalg.solve(A, right[..., np.newaxis])[..., 0]
            moved = (r + d / scale).astype(r.dtype)
            moved = self._problem.limit(tf.constant(moved)).numpy()
            trial = self._deflated(moved, known, scale)
            better = running & (trial[0] < loss)
            enough = better & (trial[0] > loss - 1e-4)
            r = np.where(better[:, np.newaxis], moved, r)
            state = tuple(
                np.where(better.reshape([-1] + [1] * (x.ndim - 1)), x, y)
                for x, y in zip(trial, state, strict=True)
            )
            damping = np.where(better, damping / 5, damping * 4)
            running &= ~enough & (damping < 1e8) & (state[0] > least)
        return r

    def _deflated(
        self, parameters: np.ndarray, known: np.ndarray, scale: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Logarithm of the loss `[k]`; residual and its derivatives by scaled
        # parameters, both over |residual|, so that the damping refers to the log loss.
        residual, J = self._refinement.linearized(parameters)
        z = self.freedom.difference(parameters[:, np.newaxis], known)
        z = z * scale[:, np.newaxis]
        square = np.sum(z**2, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            norm = np.linalg.norm(residual, axis=1)[:, np.newaxis]
            log_loss = 2 * np.log(norm[:, 0])
            log_loss += 2 * np.sum(np.log(1 / square + _SHIFT), axis=1)
            pull = -2 / (square * (1 + _SHIFT * square))
            gradient = np.einsum("ks,ksp->kp", pull, z)
            residual = residual / norm
            J = J / scale[:, np.newaxis] / norm[..., np.newaxis]
        J = np.nan_to_num(J + residual[..., np.newaxis] * gradient[:, np.newaxis])
        log_loss = np.where(np.isnan(log_loss), np.inf, log_loss)
        return log_loss, np.nan_to_num(residual), J


def _at(solution: Solution, members: np.ndarray) -> Solution:
    fields = (np.asarray(x)[members] for x in solution[:6])
    return Solution(*fields)  # type: ignore[arg-type]


def _joined(parts: list[Solution]) -> Solution:
    fields = zip(*(part[:6] for part in parts), strict=True)
    return Solution(*(np.concatenate(field) for field in fields))  # type: ignore[arg-type]
