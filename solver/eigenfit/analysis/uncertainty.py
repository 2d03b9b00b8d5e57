"""How well the data determine the parameters: errors, correlations, rank."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import tensorflow as tf

from eigenfit.analysis.covariance import without_sigma
from eigenfit.analysis.curvature import second_order
from eigenfit.analysis.m_estimation import Scores, scores
from eigenfit.analysis.notation import with_error
from eigenfit.analysis.propagation import propagated, spread_of
from eigenfit.analysis.sensitivity import Sensitivity, sensitivity
from eigenfit.analysis.undetermined import (
    Fitted,
    Open,
    decomposed,
    reduced,
    written,
)
from eigenfit.eigen import epsilon
from eigenfit.problem.arguments import parameters_of, targets_of
from eigenfit.problem.problem import Problem
from eigenfit.results import Solution
from eigenfit.tensors.graded import norms
from eigenfit.tensors.types import TensorLike

Scale = Literal["sigma", "residual"]


@dataclass(frozen=True)
class Uncertainty:
    """What `uncertainty` found, in NumPy float64; batch dimensions `...` first."""

    names: tuple[str, ...]  # p unknowns
    values: np.ndarray  # [..., p]
    standard_errors: np.ndarray  # [..., p]; inf if undetermined, NaN on a bound
    covariance: np.ndarray  # [..., p, p] of what is determined; 0 on a bound
    correlation: np.ndarray  # [..., p, p]
    all_names: tuple[str, ...]  # P parameters, fixed and tied ones included
    all_values: np.ndarray  # [..., P]
    all_standard_errors: np.ndarray  # [..., P]; 0 for fixed ones
    level_errors: np.ndarray  # [..., N] of the levels; inf if undetermined
    value_errors: np.ndarray  # [..., m] of the values compared with the targets
    chi_square: np.ndarray  # [...] of the residual; NaN if a loss is robust
    degrees_of_freedom: np.ndarray  # [...] int
    reduced_chi_square: np.ndarray  # [...] NaN without degrees of freedom
    scatter: np.ndarray  # [...] estimated, of data of weight 1; NaN if none was
    rank: np.ndarray  # [...] int, of the Jacobian
    num_undetermined: np.ndarray  # [...] int, dimension of the family of solutions
    singular_values: np.ndarray  # [..., p] of the scaled Jacobian, descending
    directions: np.ndarray  # [..., p, p] in rows, the undetermined ones last
    scales: np.ndarray  # [..., p] sizes of the columns of the Jacobian, 1 for zero
    rounding: np.ndarray  # [...] share in undetermined directions that counts as zero
    on_bounds: np.ndarray  # [..., p] -1 or 1 on the lower or upper bound
    all_on_bounds: np.ndarray  # [..., P] the same, also for tied ones that follow
    scale: Scale

    def member(self, index: tuple[int, ...]) -> Uncertainty:
        """Returns the errors of one member of a batch.

        Args:
            index: Index of the member.
        """
        own = {
            field.name: getattr(self, field.name)[index]
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        return replace(self, **own)

    def undetermined(self, member: tuple[int, ...] = ()) -> list[str]:
        """Describes the combinations of parameters that the data do not determine.

        Args:
            member: Index of the member in the batch.

        Example:
            >>> from eigenfit import Affine, Problem, uncertainty
            >>> twice = Affine([np.diag([1.0, 0.0]), np.diag([2.0, 0.0])])
            >>> uncertainty(Problem(twice), [1.0, 1.0], [0.0, 3.0]).undetermined()
            ['r0 - 0.5 r1']
        """
        number = int(self.num_undetermined[member])
        if not number:
            return []
        scales = self.scales[member]
        rows = self.directions[member][-number:] * scales
        rounding = float(self.rounding[member])
        return written(reduced(rows, rounding), scales, self.names)

    def table(self, member: tuple[int, ...] = ()) -> list[tuple[str, str]]:
        """Lists name and `value(error)` of all parameters of a member.

        Args:
            member: Index of the member in the batch.

        Example:
            >>> from eigenfit import Affine, Levels, Problem, uncertainty
            >>> problem = Problem(Affine([np.diag([1.0, 1.0])]), Levels(sigma=0.1))
            >>> uncertainty(problem, [1.0], [0.9, 1.1]).table()
            [('r0', '1.0000(707)')]
        """
        return [
            (name, with_error(value, error, bool(held)))
            for name, value, error, held in zip(
                self.all_names,
                self.all_values[member],
                self.all_standard_errors[member],
                self.all_on_bounds[member],
                strict=True,
            )
        ]


def uncertainty(
    problem: Problem,
    solution: Solution | TensorLike,
    targets: TensorLike,
    *,
    scale: Scale | None = None,
    rtol: float | None = None,
) -> Uncertainty:
    """Estimates errors of fitted parameters by linearisation at the solution.

    With the Jacobian J of the weighted residual, priors included, the covariance is
    `(J^T J)^-1`: correct if weights are `1 / sigma^2` (`scale="sigma"`). With
    `scale="residual"` the data without standard deviations get a common one from their
    residuals, which makes up for weights of unknown size: their share of the covariance
    is multiplied by their reduced chi-square. Data with standard deviations, and
    priors, keep theirs, unless all targets have them. If the residual depends on
    targets other than by -1, as for shapes scaled by their largest target, the
    covariance is `K K^T` with the derivative `K = -J^+ D` of the solution by all
    targets over their sigmas, and chi-square that of the covariance of the residual.
    Errors of values contain what targets move directly, such as a free shift.

    Data with a robust loss have the covariance of M-estimates, in which their scatter
    is estimated from themselves, whatever their standard deviations are:
    `H^-1 (J^T A J) H^-1` with `H = J^T B J` and the means A and B of `psi^2` and
    `psi'`, where psi is half the derivative of the loss by the deviation (P. J. Huber &
    E. M. Ronchetti, Robust Statistics, 2nd ed. (2009), section 7.6). It is
    that of large numbers of data, for errors with one symmetric distribution. Such a
    loss has no chi-square: `chi_square` and `reduced_chi_square` are NaN if there is
    one.

    Degrees of freedom are the data (see `Problem.num_data`) less the rank of J.
    Parameters on a bound count as held there: their errors are NaN, those of the
    others are for the problem without them. Directions whose singular values are below
    `rtol` of the largest, with rows and columns scaled to one size, are not
    determined: they are left out of the covariance, and parameters, levels and values
    that change along one have infinite errors. Directions along which the compared
    values have an extremum, such as a coupling at 0, a MAC of 1 or a minimum that
    misses the data, are determined in second order instead: their standard errors raise
    the loss by 1 (see `curvature.second_order`). Where levels with equal targets
    coincide, the whole block of the cluster determines what splits them, as in
    `ClusterNewton` (if `Levels` are the only observation). Errors of levels are those
    of `J_levels C J_levels^T`, their prediction band.

    Args:
        problem: The problem that was fitted.
        solution: A `Solution`, or parameters `[..., p]`.
        targets: `[..., m]`, the targets of the fit.
        scale: "sigma" or "residual"; by default "sigma" if all observations have
            standard deviations, else "residual".
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
    scale = _checked(scale, problem)
    r, t = _together(problem, solution, targets)
    if rtol is None:
        rtol = max(1e-10, 100 * epsilon(problem.parameter_dtype))
    found = sensitivity(problem.with_linear_losses(), r, t)
    score = scores(problem, r, t) if problem.is_robust else None
    on_bounds = problem.on_bounds(r).numpy()
    held = on_bounds != 0
    finite = np.asarray(np.isfinite(found.jacobian).all(axis=(-1, -2)))
    J = np.where(finite[..., np.newaxis, np.newaxis], found.jacobian, 0.0)
    rounding = 50 * epsilon(problem.parameter_dtype)
    at = _fitted(problem, r, t, found, score)
    parts = decomposed(J, held, rtol, rounding, at)
    estimated = without_sigma(problem, J.shape[-2]) if scale == "residual" else None
    spread = spread_of(problem, found, estimated)
    bends = second_order(problem, (r, t), found, held, parts, at, spread)
    of_data = propagated(problem, found, score, J, held, bends, estimated)
    half, parts = of_data.half, bends.known
    half[~finite] = np.nan
    roots = problem.roots()[:, np.newaxis]
    data = slice(0, problem.num_targets)
    own = J[..., data, :] / roots
    direct = of_data.direct[..., data, :] / roots
    identity = np.eye(problem.num_parameters)
    T = identity if problem.ties.matrix is None else problem.ties.matrix
    open_ends = Open(parts, finite)
    size = norms(half, -1)[..., np.newaxis]
    unit = half / np.where(size > 0, size, 1.0)
    sides = _sides(T, on_bounds)
    return Uncertainty(
        names=problem.parameter_names,
        values=_decimals(r.numpy()),
        standard_errors=np.where(held, np.nan, open_ends.errors(identity, half)),
        covariance=_square(half),
        correlation=_square(unit),
        all_names=problem.all_names,
        all_values=_decimals(problem.expand(r).numpy()),
        all_standard_errors=np.where(sides != 0, np.nan, open_ends.errors(T, half)),
        level_errors=open_ends.errors(found.levels, half),
        value_errors=open_ends.errors(own, half, direct),
        chi_square=of_data.chi_square,
        degrees_of_freedom=of_data.freedom,
        reduced_chi_square=of_data.reduced_chi_square,
        scatter=of_data.scatter,
        rank=of_data.rank,
        num_undetermined=np.where(finite, (~parts.seen).sum(axis=-1), 0),
        singular_values=parts.singular_values,
        directions=parts.directions / parts.scales[..., np.newaxis, :],
        scales=parts.scales,
        rounding=parts.rounding,
        on_bounds=on_bounds,
        all_on_bounds=sides,
        scale=scale,
    )


def _square(half: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # errors may exceed the root of the largest number
        return half @ np.swapaxes(half, -1, -2)


def _checked(scale: Scale | None, problem: Problem) -> Scale:
    if scale is None:
        return "sigma" if problem.has_sigma else "residual"
    if scale not in ("sigma", "residual"):
        raise ValueError(f'`scale` must be "sigma" or "residual", got {scale!r}.')
    return scale


def _together(
    problem: Problem, solution: Solution | TensorLike, targets: TensorLike
) -> tuple[tf.Tensor, tf.Tensor]:
    # Parameters [..., p] and targets [..., m] with the same batch dimensions.
    if isinstance(solution, Solution):
        solution = solution.parameters
    r = parameters_of(problem, "solution", solution)
    t = targets_of(problem, targets)
    batch = tf.broadcast_dynamic_shape(tf.shape(r)[:-1], tf.shape(t)[:-1])
    r = tf.broadcast_to(r, tf.concat([batch, tf.shape(r)[-1:]], 0))
    return r, tf.broadcast_to(t, tf.concat([batch, tf.shape(t)[-1:]], 0))


def _sides(T: np.ndarray, on_bounds: np.ndarray) -> np.ndarray:
    # Which bound holds each parameter [..., P]: those that depend only on unknowns that
    # are on theirs.
    held = (on_bounds != 0)[..., np.newaxis]
    moved = (T != 0) @ (~held).astype(int)
    follows = ((T != 0) @ held.astype(int) > 0) & (moved == 0)
    sides = np.sign(T @ on_bounds[..., np.newaxis])
    return np.where(follows, np.where(sides == 0, 1, sides), 0)[..., 0].astype(int)


def _decimals(x: np.ndarray) -> np.ndarray:
    # In double precision, without digits that single precision does not have: 0.7, not
    # 0.69999999.
    if x.dtype == np.float64:
        return x
    return np.array(x.astype(str), np.float64).reshape(x.shape)


def _fitted(
    problem: Problem,
    r: tf.Tensor,
    t: tf.Tensor,
    found: Sensitivity,
    score: Scores | None,
) -> Fitted:
    residual = found.residual if score is None else score.first
    more = found.jacobian.shape[-2] - residual.shape[-1]  # pairs of clusters
    rows = np.zeros([*residual.shape[:-1], more])
    residual = np.concatenate([np.nan_to_num(residual), rows], axis=-1)
    size = np.linalg.norm(t.numpy() * problem.roots(), axis=-1)
    return Fitted(r.numpy(), residual, size, np.nan_to_num(found.columns))
