"""From the errors of data to those of parameters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eigenfit.analysis.covariance import common_size, moved_directly, solved
from eigenfit.analysis.curvature import Bends
from eigenfit.analysis.m_estimation import Scores, m_estimate
from eigenfit.analysis.sensitivity import Sensitivity
from eigenfit.analysis.undetermined import Decomposition
from eigenfit.problem.problem import Problem


class Propagated(NamedTuple):
    """What `propagated` found."""

    half: np.ndarray  # [..., p, *], root of the covariance
    direct: np.ndarray  # [..., m + q, *], what data move at fixed parameters
    scatter: np.ndarray  # [...] estimated, of data of weight 1; NaN if none was
    chi_square: np.ndarray  # [...]
    reduced_chi_square: np.ndarray  # [...] NaN without degrees of freedom
    freedom: np.ndarray  # [...] int, degrees of freedom
    rank: np.ndarray  # [...] int, of J


def spread_of(
    problem: Problem, found: Sensitivity, estimated: np.ndarray | None
) -> np.ndarray:
    """Estimates the standard deviation of data of weight 1 before ranks are known.

    Args:
        problem: The problem.
        found: Its sensitivity.
        estimated: As for `propagated`.
    """
    if estimated is None or not estimated.all():
        return np.ones_like(found.loss)
    freedom = max(problem.num_data - problem.num_parameters, 1)
    return np.sqrt(found.loss / freedom)


def propagated(
    problem: Problem,
    found: Sensitivity,
    score: Scores | None,
    J: np.ndarray,
    held: np.ndarray,
    bends: Bends,
    estimated: np.ndarray | None,
) -> Propagated:
    """Computes the root of the covariance, and what it rests on.

    Args:
        problem: The problem.
        found: Its sensitivity.
        score: What robust losses make of the residual; None without any.
        J: `[..., *, p]`, the Jacobian, finite.
        held: `[..., p]` bool, parameters on their bounds.
        bends: Which directions J sees, and which second derivatives determine.
        estimated: `[*]` bool, rows whose standard deviation is estimated; None if none.
    """
    alike = estimated is not None and bool(estimated.all())
    by_rows = score is not None or not (estimated is None or alike)
    parts = bends.linear
    plain, direct, chi_square = _roots(problem, score, found, J, held, parts, by_rows)
    rank = parts.seen.sum(axis=-1) - held.sum(axis=-1)
    freedom = np.maximum(problem.num_data - rank, 0)
    reduced = chi_square / np.where(freedom > 0, freedom, np.nan)
    half, scatter = plain, np.full_like(chi_square, np.nan)
    if estimated is not None:
        scatter = np.sqrt(reduced)
        if by_rows:
            scatter = common_size(found, J, half, estimated)
        half, direct = _scaled(scatter, estimated if by_rows else True, half, direct)
    variance = scatter**2 if alike else np.ones_like(chi_square)
    likely = alike or (estimated is None and score is None)
    whole = bends.roots(plain, half, variance, likely and found.by_targets is None)
    more = whole.shape[-1] - half.shape[-1]
    direct = np.pad(direct, [(0, 0)] * (direct.ndim - 1) + [(0, more)])
    return Propagated(whole, direct, scatter, chi_square, reduced, freedom, rank)


def _roots(
    problem: Problem,
    score: Scores | None,
    found: Sensitivity,
    J: np.ndarray,
    held: np.ndarray,
    parts: Decomposition,
    by_rows: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # The root of the covariance, what data move directly, and chi-square.
    sizes: np.ndarray | float = 1.0
    if score is None:
        half, chi_square = solved(found, J, held, parts, by_rows)
    else:
        half, sizes = m_estimate(problem, score, found, J, held, parts)
        chi_square = np.full_like(found.loss, np.nan)
    direct = moved_directly(found, half.shape[-1])
    return half * sizes, direct * sizes, chi_square


def _scaled(
    scatter: np.ndarray, estimated: np.ndarray | bool, *roots: np.ndarray
) -> list[np.ndarray]:
    # Columns of the data that have an estimated standard deviation, times it.
    size = np.where(estimated, scatter[..., np.newaxis], 1.0)[..., np.newaxis, :]
    return [root * size for root in roots]
