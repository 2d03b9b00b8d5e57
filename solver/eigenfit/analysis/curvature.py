"""What data tell in second order of parameters that their Jacobian does not see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.analysis.sensitivity import Sensitivity
from eigenfit.analysis.undetermined import Decomposition, Fitted
from eigenfit.eigen import epsilon
from eigenfit.problem.differenced import hessian_at_solution
from eigenfit.problem.problem import Problem

_WEAK = 1e-4
"""Fraction of its largest size below which what J says of a direction is checked."""

_FLAT = 1e-6
"""Second derivative over that of a function that changes over its own length, below
which it is rounding."""

_AGREE = 0.1
"""Relative difference of second derivatives by two steps at which neither is trusted,
as at a kink."""


class Bend(NamedTuple):
    """Directions in which a member is known by second derivatives."""

    member: tuple[int, ...]  # its index
    rows: np.ndarray  # [c, p], the directions
    curvature: np.ndarray  # [p, p], half the Hessian of the loss
    quartic: np.ndarray  # [c] square of half the second derivatives of residuals

    def root(self, half: np.ndarray, variance: float) -> np.ndarray:
        """Computes the root of the covariance along these directions, `[p, c]`.

        Along each, a standard error s raises the loss by the variance v of data of
        weight 1: `c s^2 + q s^4 = v` with the curvature c and the quartic term q.
        Directions are made conjugate to those that J sees.

        Args:
            half: `[p, *]`, root of the covariance along the directions that J sees, for
                data of variance 1.
            variance: v.
        """
        ways = self.rows.T
        ways = ways - half @ (half.T @ (self.curvature @ ways))
        c = np.maximum(np.sum(self.rows.T * (self.curvature @ ways), axis=0), 0.0)
        rise = c + np.sqrt(c**2 + 4 * self.quartic * variance)
        return ways * np.sqrt(2 * variance / rise)


class Bends(NamedTuple):
    """What `second_order` found."""

    linear: Decomposition  # directions that J sees beyond what second order adds
    known: Decomposition  # the same, with those as seen that second order determines
    found: list[Bend]

    def root(self, half: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Roots of the covariance along all bends, `[..., p, p]`; 0 elsewhere.

        Args:
            half: `[..., p, *]`, as for `Bend.root`.
            variance: `[...]`, that of data of weight 1.
        """
        result = np.zeros([*self.linear.seen.shape, self.linear.seen.shape[-1]])
        for bend in self.found:
            own = bend.root(half[bend.member], float(variance[bend.member]))
            result[bend.member][:, : own.shape[1]] = own
        return result


def second_order(
    problem: Problem,
    fitted: tuple[tf.Tensor, tf.Tensor],
    found: Sensitivity,
    held: np.ndarray,
    parts: Decomposition,
    at: Fitted,
) -> Bends:
    """Finds directions that the data determine in second order only.

    A minimum that misses its data is an extremum of the compared values along some
    direction: there the Jacobian is 0, and the loss rises by half its Hessian,
    `J^T J + sum_i f_i H_i`. Values that are at an extremum where they meet their
    targets, such as a MAC of 1 or the levels about a coupling of 0, make it rise with
    the fourth power of the distance. A direction that J sees, but so little that within
    a standard error second derivatives do more, is of the same kind. Only what
    parameters seen by J cannot make up for counts. Along other directions that J does
    not see there is a family of equally good answers.

    Args:
        problem: The problem that was fitted.
        fitted: Its solution `[..., p]` and its targets `[..., m]`.
        found: Its sensitivity.
        held: `[..., p]` bool, parameters held on their bounds.
        parts: Which directions J sees.
        at: The point, as for `decomposed`.
    """
    linear, known = parts.seen.copy(), parts.seen.copy()
    directions, all_scales = parts.directions.copy(), parts.scales.copy()
    bends: list[Bend] = []
    number = problem.num_targets + problem.num_priors
    for index in np.ndindex(parts.seen.shape[:-1]):
        J = np.nan_to_num(found.jacobian[index])
        if not np.isfinite(found.jacobian[index]).all() or J[number:].any():
            continue
        J = np.where(held[index], 0.0, J[:number])
        member = _Member(problem, tuple(x[index] for x in fitted), J)
        columns = np.nan_to_num(found.columns[index])
        scales, basis = parts.scales[index], parts.directions[index]
        blind = ~parts.seen[index]
        if not blind.any():
            # Those that J sees least, in the units of the data.
            scales = np.where((columns > 0) & ~held[index], columns, 1.0)
            basis = np.linalg.svd(J / scales)[2]
        rows = np.where(held[index], 0.0, basis) / scales
        size = np.linalg.norm(columns * rows, axis=-1)
        moves = size > 0
        rows = rows / np.where(moves, size, 1.0)[:, np.newaxis]
        image = np.linalg.norm(J @ rows.T, axis=0)
        weak = moves & (blind | (image <= _WEAK))
        strong = moves & ~weak
        if not weak.any() or strong.sum() >= number:
            continue
        length = np.linalg.norm(columns * at.parameters[index]) + at.size[index]
        second = member.second_derivatives(rows[weak], rows[strong], length)
        if second is None:
            continue
        own = np.sqrt(np.einsum("kjj->j", second**2))
        kept = blind[weak] | (own > image[weak] ** 2)
        chosen = np.flatnonzero(weak)[kept]
        second = second[:, kept][:, :, kept]
        H = member.half_hessian(float(found.loss[index]), length)
        if not chosen.size or not np.isfinite(H).all():
            continue
        G = rows[chosen] @ H @ rows[chosen].T
        w, U = np.linalg.eigh(np.einsum("kjl,kil->ji", second, second))
        w, U = np.linalg.eigh(G + (U * np.sqrt(np.maximum(w, 0.0))) @ U.T)
        w, U = w[::-1], U[:, ::-1]
        bent = w > member.flat / length
        if not bent.any():
            continue
        rows[chosen] = U.T @ rows[chosen]
        basis = basis.copy()
        basis[chosen] = rows[chosen] * scales
        basis[chosen] /= np.linalg.norm(basis[chosen], axis=-1, keepdims=True)
        directions[index], all_scales[index] = basis, scales
        linear[index][chosen] = known[index][chosen] = False
        known[index][chosen[bent]] = True
        along = np.einsum("kjl,ja,la->ka", second, U, U)[:, bent]
        own = np.sum(along**2, axis=0)
        bends.append(Bend(index, rows[chosen[bent]], H, own))
    parts = parts._replace(directions=directions, scales=all_scales)
    return Bends(parts._replace(seen=linear), parts._replace(seen=known), bends)


class _Member:
    """Second derivatives of one member, by differences of its Jacobian."""

    def __init__(
        self, problem: Problem, fitted: tuple[tf.Tensor, tf.Tensor], J: np.ndarray
    ) -> None:
        self._problem, (self._r, self._t), self._J = problem, fitted, J
        self._eps = epsilon(problem.parameter_dtype)
        self.flat = max(_FLAT, 100 * self._eps**0.5)

    def second_derivatives(
        self, rows: np.ndarray, strong: np.ndarray, length: float
    ) -> np.ndarray | None:
        """Computes half the second derivatives of residuals: `[m + q, d, d]`.

        Without what the directions `strong` can make up for; None where differences by
        two steps disagree.

        Args:
            rows: `[d, p]`, directions, in the unit of residuals.
            strong: `[s, p]`, directions that J sees.
            length: Of the parameters in that unit.
        """
        Q, _ = np.linalg.qr(self._J @ strong.T)
        h = self._eps**0.25 * length
        steps = h * np.array([1.0, -1.0, 2.0, -2.0])[:, np.newaxis, np.newaxis]
        points = (self._r.numpy() + steps * rows).reshape(-1, rows.shape[-1])
        r = tf.constant(points, self._r.dtype)
        t = tf.broadcast_to(self._t, [len(points), *self._t.shape])
        J = self._problem.jacobian_at(self._problem.evaluate(r, t)).numpy()
        J = J.astype(np.float64).reshape(4, len(rows), *J.shape[1:])
        pair = []
        for k in (0, 1):
            change = (J[2 * k] - J[2 * k + 1]) / (4 * h * (k + 1))
            second = np.einsum("jkp,lp->kjl", change, rows)
            second = (second + second.swapaxes(1, 2)) / 2
            pair.append(second - np.einsum("ks,is,ijl->kjl", Q, Q, second))
        near, far = pair
        if not np.isfinite(near).all() or not np.isfinite(far).all():
            return None
        size = np.linalg.norm(near)
        if np.linalg.norm(near - far) > max(_AGREE * size, self.flat / length):
            return None
        return near

    def half_hessian(self, loss: float, length: float) -> np.ndarray:
        """Computes half the Hessian of the loss, `[p, p]`."""
        if np.sqrt(loss) <= 1e-3 * self.flat * length:
            return self._J.T @ self._J
        problem, r, t = self._problem, self._r[tf.newaxis], self._t[tf.newaxis]
        H = hessian_at_solution(problem, problem.evaluate(r, t), t)
        return H[0].numpy().astype(np.float64) / 2
