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

_BENT = 16.0
"""Second derivative, over the square of the first, from which a direction is taken for
one that J does not see: its linear error is then more than 4 times too large."""

_CHECKED = 10.0
"""The same, over the inverse length of the parameters, from which it is looked at."""

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
    straight: np.ndarray  # [s, p], those that J sees
    curvature: np.ndarray  # [p, p], half the Hessian of the loss
    quartic: np.ndarray  # [c] square of half the second derivatives of residuals
    missed: bool  # whether data are missed, so that all of the Hessian counts

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

    def whole(self, variance: float) -> np.ndarray | None:
        """Computes the root of the whole covariance by the Hessian, `[p, c + s]`.

        None if that is not positive.
        """
        c = np.maximum(np.sum(self.rows @ self.curvature * self.rows, axis=1), 0.0)
        more = (np.sqrt(c**2 + 4 * self.quartic * variance) - c) / 2
        Z = np.concatenate([self.rows, self.straight])
        M = Z @ self.curvature @ Z.T
        M[: len(c), : len(c)] += np.diag(more)
        size = np.sqrt(np.abs(np.diag(M)))
        if not size.all():
            return None
        w, U = np.linalg.eigh(M / size / size[:, np.newaxis])
        if w[0] <= 0:
            return None
        return (Z / size[:, np.newaxis]).T @ U * np.sqrt(variance / w)


class Bends(NamedTuple):
    """What `second_order` found."""

    linear: Decomposition  # directions that J sees beyond what second order adds
    known: Decomposition  # the same, with those as seen that second order determines
    found: list[Bend]

    def roots(
        self, half: np.ndarray, scaled: np.ndarray, variance: np.ndarray, alike: bool
    ) -> np.ndarray:
        """Computes roots of the covariance, `[..., p, * + p]`.

        Args:
            half: `[..., p, *]`, root along the directions that J sees, for data of
                variance 1.
            scaled: The same for data as they are.
            variance: `[...]`, that of data of weight 1.
            alike: Whether it is that of all data, so that the Hessian of the loss is
                that of their likelihood.
        """
        p = self.linear.seen.shape[-1]
        result = np.concatenate([scaled, np.zeros([*scaled.shape[:-1], p])], axis=-1)
        for bend in self.found:
            v = float(variance[bend.member])
            own = bend.whole(v) if bend.missed and alike else None
            if own is not None:
                result[bend.member][:] = 0.0
            else:
                own = bend.root(half[bend.member], v)
            result[bend.member][:, -p:][:, : own.shape[1]] = own
        return result


def second_order(
    problem: Problem,
    fitted: tuple[tf.Tensor, tf.Tensor],
    found: Sensitivity,
    held: np.ndarray,
    parts: Decomposition,
    at: Fitted,
    scatter: np.ndarray,
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
        scatter: `[...]`, standard deviation of data of weight 1.
    """
    linear, known = parts.seen.copy(), parts.seen.copy()
    directions, scales = parts.directions.copy(), parts.scales.copy()
    bends: list[Bend] = []
    number = problem.num_targets + problem.num_priors
    pairs = found.jacobian[..., number:, :].any(axis=(-1, -2))  # levels that coincide
    finite = np.asarray(np.isfinite(found.jacobian).all(axis=(-1, -2)) & ~pairs)
    jacobian = np.where(held[..., np.newaxis, :], 0.0, found.jacobian[..., :number, :])
    jacobian = np.where(finite[..., np.newaxis, np.newaxis], jacobian, 0.0)
    columns = np.nan_to_num(found.columns)
    lengths = np.linalg.norm(columns * at.parameters, axis=-1) + at.size
    units = np.where((columns > 0) & ~held, columns, 1.0)
    # Second derivatives are about 1 over the length.
    with np.errstate(divide="ignore", invalid="ignore"):
        slight = np.sqrt(_CHECKED / _BENT * scatter / lengths)
    least = np.linalg.svd(jacobian / units[..., np.newaxis, :], compute_uv=False)
    weakest = least.min(axis=-1, initial=1.0)
    doubtful = np.asarray(~parts.seen.all(axis=-1) | (weakest <= slight))
    for index in map(tuple, np.argwhere(doubtful & finite & (lengths > 0))):
        J, scale, length = jacobian[index], units[index], lengths[index]
        blind = parts.directions[index][~parts.seen[index]] / parts.scales[index]
        basis, image = _oriented(J / scale, blind * scale, held[index])
        free = len(basis) - held[index].sum()
        seen = np.arange(free) >= len(blind)
        weak = ~seen | (image[:free] <= slight[index])
        if not weak.any() or seen.sum() - (weak & seen).sum() >= number:
            continue
        rows = basis / scale
        member = _Member(problem, tuple(x[index] for x in fitted), J)
        second = member.second_derivatives(rows[:free][weak], length)
        if second is None:
            continue
        sides = np.where(image[:free] > 0, image[:free], 1.0)
        U = np.where(seen, J @ rows[:free].T / sides, 0.0)
        places = np.flatnonzero(weak)
        most = _BENT * image[places] ** 2
        seen[places] &= _sizes(second, U, places) * scatter[index] <= most
        chosen = places[~seen[places]]
        U = np.where(seen, U, 0.0)
        second = second[:, ~seen[places]][:, :, ~seen[places]]
        second = second - np.einsum("ks,is,ijl->kjl", U, U, second)
        H, missed = member.half_hessian(float(found.loss[index]), length)
        if not chosen.size or not np.isfinite(H).all():
            continue
        G = rows[chosen] @ H @ rows[chosen].T
        w, turn = np.linalg.eigh(np.einsum("kjl,kil->ji", second, second))
        w, turn = np.linalg.eigh(G + (turn * np.sqrt(np.maximum(w, 0.0))) @ turn.T)
        w, turn = w[::-1], turn[:, ::-1]
        bent = w > member.flat / length
        if not bent.any():
            continue
        basis[chosen] = turn.T @ basis[chosen]
        rows = basis / scale
        directions[index], scales[index] = basis, scale
        linear[index] = known[index] = np.append(seen, np.ones(len(basis) - free, bool))
        known[index][chosen[bent]] = True
        along = np.einsum("kjl,ja,la->ka", second, turn, turn)[:, bent]
        own, straight = rows[chosen[bent]], rows[:free][seen]
        bends.append(Bend(index, own, straight, H, np.sum(along**2, axis=0), missed))
    parts = parts._replace(directions=directions, scales=scales)
    return Bends(parts._replace(seen=linear), parts._replace(seen=known), bends)


def _sizes(second: np.ndarray, U: np.ndarray, places: np.ndarray) -> np.ndarray:
    # Of the second derivative along each place, without what other directions that J
    # sees, whose effects are the columns of U, can make up for.
    result = []
    for k, place in enumerate(places):
        others, own = np.delete(U, place, axis=1), second[:, k, k]
        result.append(np.linalg.norm(own - others @ (others.T @ own)))
    return np.array(result)


def _oriented(
    J: np.ndarray, blind: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # Orthonormal directions [p, p] in rows: those that are blind, those that J sees by
    # their effect, ascending, and parameters that are held; and the effects [p].
    p = J.shape[1]
    first = np.linalg.qr(np.where(held, 0.0, blind).T)[0].T
    last = np.eye(p)[held]
    outer = np.concatenate([first, last])
    rest = np.linalg.svd(outer)[2][len(outer) :] if len(outer) else np.eye(p)
    rest = np.linalg.svd(J @ rest.T)[2][::-1] @ rest
    basis = np.concatenate([first, rest, last])
    return basis, np.linalg.norm(J @ basis.T, axis=0)


class _Member:
    """Second derivatives of one member, by differences of its Jacobian."""

    def __init__(
        self, problem: Problem, fitted: tuple[tf.Tensor, tf.Tensor], J: np.ndarray
    ) -> None:
        self._problem, (self._r, self._t), self._J = problem, fitted, J
        self._eps = epsilon(problem.parameter_dtype)
        self.flat = max(_FLAT, 100 * self._eps**0.5)

    def second_derivatives(self, rows: np.ndarray, length: float) -> np.ndarray | None:
        """Computes half the second derivatives of residuals: `[m + q, d, d]`.

        None where differences by two steps disagree.

        Args:
            rows: `[d, p]`, directions, in the unit of residuals.
            length: Of the parameters in that unit.
        """
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
            pair.append((second + second.swapaxes(1, 2)) / 2)
        near, far = pair
        if not np.isfinite(near).all() or not np.isfinite(far).all():
            return None
        size = np.linalg.norm(near)
        if np.linalg.norm(near - far) > max(_AGREE * size, self.flat / length):
            return None
        return near

    def half_hessian(self, loss: float, length: float) -> tuple[np.ndarray, bool]:
        """Computes half the Hessian of the loss, `[p, p]`; and whether data are missed.

        Args:
            loss: The loss.
            length: Of the parameters, in the unit of residuals.
        """
        if np.sqrt(loss) <= 1e-3 * self.flat * length:
            return self._J.T @ self._J, False
        problem, r, t = self._problem, self._r[tf.newaxis], self._t[tf.newaxis]
        H = hessian_at_solution(problem, problem.evaluate(r, t), t)
        return H[0].numpy().astype(np.float64) / 2, True
