"""How well the data determine the parameters: errors, correlations, rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from eigenfit.arguments import parameters_of, targets_of
from eigenfit.eigen import epsilon
from eigenfit.observations import AbstractCombination, Levels
from eigenfit.problem import Problem
from eigenfit.results import Solution

Scale = Literal["sigma", "residual"]

_NO_INFLUENCE = 1e-7
"""Relative norm of a column of the Jacobian that is rounding."""


@dataclass(frozen=True)
class Uncertainty:
    """What `uncertainty` found, in NumPy float64; batch dimensions `...` first."""

    names: tuple[str, ...]  # p unknowns
    values: np.ndarray  # [..., p]
    standard_errors: np.ndarray  # [..., p]; inf if undetermined, 0 on a bound
    covariance: np.ndarray  # [..., p, p] of what is determined
    correlation: np.ndarray  # [..., p, p]
    all_names: tuple[str, ...]  # P parameters, fixed and tied ones included
    all_values: np.ndarray  # [..., P]
    all_standard_errors: np.ndarray  # [..., P]
    level_errors: np.ndarray  # [..., N] standard errors of the levels
    value_errors: np.ndarray  # [..., m] of what is compared with the targets
    chi_square: np.ndarray  # [...] the loss
    degrees_of_freedom: np.ndarray  # [...] int
    reduced_chi_square: np.ndarray  # [...] NaN without degrees of freedom
    rank: np.ndarray  # [...] int, of the Jacobian
    singular_values: np.ndarray  # [..., p] of the scaled Jacobian, descending
    directions: np.ndarray  # [..., p, p] in rows, the undetermined ones last
    scales: np.ndarray  # [..., p] norms of the columns of the Jacobian, 1 for zero
    on_bounds: np.ndarray  # [..., p] -1 or 1 on the lower or upper bound
    scale: Scale

    def undetermined(self, member: tuple[int, ...] = ()) -> list[str]:
        """Describes the combinations of parameters that the data do not determine.

        Args:
            member: Index in the batch.

        Example:
            >>> from eigenfit import Affine, Problem, uncertainty
            >>> twice = Affine([np.diag([1.0, 0.0]), np.diag([2.0, 0.0])])
            >>> uncertainty(Problem(twice), [1.0, 1.0], [0.0, 3.0]).undetermined()
            ['1 r0 - 0.5 r1']
        """
        if np.isnan(self.covariance[member]).any():
            return []
        free = int((self.on_bounds[member] == 0).sum())
        number = free - int(self.rank[member])
        scales = self.scales[member]
        rows = self.directions[member][len(scales) - number :] * scales
        return [_combination(row, scales, self.names) for row in _simple(rows)]

    def table(self, member: tuple[int, ...] = ()) -> list[tuple[str, str]]:
        """Lists name and `value(error)` of all parameters of a member.

        Args:
            member: Index in the batch.
        """
        return [
            (name, with_error(value, error))
            for name, value, error in zip(
                self.all_names,
                self.all_values[member],
                self.all_standard_errors[member],
                strict=True,
            )
        ]


def uncertainty(
    problem: Problem,
    solution: Any,
    targets: Any,
    *,
    scale: Scale | None = None,
    rtol: float | None = None,
) -> Uncertainty:
    """Estimates errors of fitted parameters by linearisation at the solution.

    With the Jacobian J of the weighted residual, priors included, the covariance is
    `(J^T J)^-1`: right where weights are `1 / sigma^2` (`scale="sigma"`). With
    `scale="residual"` it is multiplied by the reduced chi-square, which makes up for
    weights of unknown size. Parameters on a bound count as held there. Directions
    whose singular values, of the columns scaled to norm 1, are below `rtol` of the
    largest are not determined: they are left out of the covariance, and parameters
    with a share in one have infinite errors. So has one whose column is below 1e-7 of
    what it can be, such as a coupling at 0, which moves levels in second order only.
    Errors of levels are those of `J_levels C J_levels^T`, their prediction band.

    Args:
        problem: That was fitted.
        solution: A `Solution`, or parameters `[..., p]`.
        targets: `[..., m]`.
        scale: "sigma" or "residual"; by default "sigma" where all observations have
            standard deviations.
        rtol: Relative size of singular values that count as zero; 1e-10 by default,
            1e-5 in single precision.

    Returns:
        The estimate.

    Raises:
        TypeError: If an argument is not numeric.
        ValueError: If a shape does not fit or `scale` is unknown.

    Example:
        One level measured to 0.1, its parameter with a factor of 2:

        >>> from eigenfit import Affine, Levels, Problem
        >>> problem = Problem(Affine([[[2.0]]]), Levels(sigma=0.1))
        >>> uncertainty(problem, [1.0], [2.0]).standard_errors
        array([0.05])
    """
    if scale is None:
        scale = "sigma" if problem.has_sigma else "residual"
    if scale not in ("sigma", "residual"):
        raise ValueError(f'`scale` must be "sigma" or "residual", got {scale!r}.')
    if isinstance(solution, Solution):
        solution = solution.parameters
    r = parameters_of(problem, "solution", solution)
    t = targets_of(problem, targets)
    batch = tf.broadcast_dynamic_shape(tf.shape(r)[:-1], tf.shape(t)[:-1])
    r = tf.broadcast_to(r, tf.concat([batch, tf.shape(r)[-1:]], 0))
    t = tf.broadcast_to(t, tf.concat([batch, tf.shape(t)[-1:]], 0))
    point = problem.evaluate(r, t)
    J = problem.jacobian_at(point).numpy().astype(np.float64)
    levels = problem.level_jacobian_at(point).numpy().astype(np.float64)
    on_bounds = problem.on_bounds(r).numpy()
    held = on_bounds != 0
    idle = np.linalg.norm(J, axis=-2) <= _NO_INFLUENCE * _largest_columns(problem)
    J = np.where((held | idle)[..., np.newaxis, :], 0.0, J)

    if rtol is None:
        rtol = max(1e-10, 100 * epsilon(problem.parameter_dtype))
    rank, s, directions, scales, C, open_ends = _decomposed(J, held, rtol)
    chi_square = point.loss.numpy().astype(np.float64)
    shifts = sum(item.num_free for item in getattr(problem, "observations", ()))
    freedom = J.shape[-2] - shifts - rank
    with np.errstate(divide="ignore", invalid="ignore"):
        reduced = np.where(freedom > 0, chi_square / freedom, np.nan)
    if scale == "residual":
        C = C * reduced[..., np.newaxis, np.newaxis]
    errors = np.where(open_ends, np.inf, _roots(C))
    T = problem.tie_matrix
    all_errors = errors
    if T is not None:
        open_all = (open_ends[..., np.newaxis, :] & (T != 0)).any(axis=-1)
        all_errors = np.where(open_all, np.inf, _roots(T @ C @ T.T))
    roots = problem.roots()
    own = J[..., : problem.num_targets, :] / roots[:, np.newaxis]
    size = _roots(C)
    size = np.where(size > 0, size, 1.0)
    return Uncertainty(
        names=problem.parameter_names,
        values=r.numpy().astype(np.float64),
        standard_errors=errors,
        covariance=C,
        correlation=C / (size[..., :, np.newaxis] * size[..., np.newaxis, :]),
        all_names=problem.all_names,
        all_values=problem.expand(r).numpy().astype(np.float64),
        all_standard_errors=all_errors,
        level_errors=_roots(levels @ C @ np.swapaxes(levels, -1, -2)),
        value_errors=_roots(own @ C @ np.swapaxes(own, -1, -2)),
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        reduced_chi_square=reduced,
        rank=rank,
        singular_values=s,
        directions=directions,
        scales=scales,
        on_bounds=on_bounds,
        scale=scale,
    )


def with_error(value: float, error: float) -> str:
    """Writes a value with its error in units of the last digits, three of them.

    Example:
        >>> with_error(29172.654252, 0.00279)
        '29172.65425(279)'
        >>> with_error(1234.5, 678.0), with_error(2.0, 0.0), with_error(2.0, np.inf)
        ('1234(678)', '2', '2 (undetermined)')
    """
    if np.isinf(error):
        return f"{value:.6g} (undetermined)"
    if not error > 0 or not np.isfinite(value):
        return f"{value:.10g}"
    exponent = int(np.floor(np.log10(error)))
    if exponent >= 2 or abs(value) >= 1e15:
        return f"{value:.0f}({error:.0f})"
    digits = 2 - exponent
    if round(error * 10**digits) == 1000:
        digits -= 1
    if digits > 12:
        return f"{value:.6e} +- {error:.2e}"
    return f"{value:.{digits}f}({round(error * 10**digits)})"


def _largest_columns(problem: Problem) -> np.ndarray:
    # Norms that the columns of the Jacobian have at most: [p], 0 where unknown.
    blocks = getattr(problem, "blocks", (problem,))
    linear = all(
        isinstance(x, Levels | AbstractCombination)
        for x in getattr(problem, "observations", ())
    )
    total = np.zeros(blocks[0].structure.num_parameters)
    for block in blocks:
        squares = block.structure.squared_norms()
        if squares is None or not linear:
            return np.zeros(problem.num_parameters)
        total = total + squares
    if not problem.is_plain and problem.tie_matrix is not None:
        total = (problem.tie_matrix**2).T @ total
    return np.sqrt(total) * problem.roots().max()


def _decomposed(J: np.ndarray, held: np.ndarray, rtol: float) -> tuple[np.ndarray, ...]:
    # Rank, singular values, directions, scales, covariance, undetermined parameters.
    norms = np.linalg.norm(J, axis=-2)
    D = np.where(norms > 0, norms, 1.0)
    finite = np.all(np.isfinite(J), axis=(-1, -2), keepdims=True)
    scaled = np.where(finite, J / D[..., np.newaxis, :], 0.0)
    # A row of its own determines each parameter that is held; with these there are
    # at least p rows, so that all p directions come out.
    own = np.eye(J.shape[-1]) * held[..., np.newaxis, :]
    _, s, Vt = np.linalg.svd(np.concatenate([scaled, own], axis=-2), False)
    kept = s > rtol * s.max(axis=-1, initial=0.0, keepdims=True)
    inverse = np.where(kept, 1 / np.where(kept, s, 1.0), 0.0)
    half = Vt * inverse[..., :, np.newaxis] / D[..., np.newaxis, :]
    half = np.where(held[..., np.newaxis, :], 0.0, half)
    C = np.where(finite, np.swapaxes(half, -1, -2) @ half, np.nan)
    share = np.where(kept[..., :, np.newaxis], 0.0, np.abs(Vt)).max(axis=-2)
    rank = kept.sum(axis=-1) - held.sum(axis=-1)
    open_ends = (share > 1e-6) & finite[..., 0]
    return rank, s, Vt / D[..., np.newaxis, :], D, C, open_ends


def _simple(rows: np.ndarray) -> np.ndarray:
    # Other rows of the same span with few entries: reduced with the largest pivots.
    rows, pivots = rows.copy(), []
    for i in range(len(rows)):
        rest = np.abs(rows[i:])
        j, k = np.argwhere(rest >= rest.max() * (1 - 1e-9))[0]
        rows[[i, i + j]] = rows[[i + j, i]]
        rows[i] /= rows[i, k]
        others = np.arange(len(rows)) != i
        rows[others] -= np.outer(rows[others, k], rows[i])
        pivots.append(k)
    return rows[np.argsort(pivots)]


def _combination(row: np.ndarray, scales: np.ndarray, names: tuple[str, ...]) -> str:
    # Of a direction in scaled parameters, in which all of its entries count alike.
    largest = np.argmax(np.abs(row) > 0.99 * np.abs(row).max())
    numbers = row / scales / (row[largest] / scales[largest])
    text = ""
    for x, share, name in zip(numbers, row, names, strict=True):
        if abs(share) > 1e-4 * np.abs(row).max():
            sign = "-" if x < 0 else "+" if text else ""
            text += (
                f" {sign} {abs(x):.4g} {name}" if text else f"{sign}{abs(x):.4g} {name}"
            )
    return text


def _roots(C: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(np.diagonal(C, axis1=-2, axis2=-1), 0.0))
