"""Generic points for probes: more than are needed, to choose from."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit import Problem
from eigenfit.searches.starts import in_box, scale_of, starting_cloud
from eigenfit_export.probes.conditions import Arrays

DISTANCES = (0.02, 0.1, 0.5, 2.0)
"""Distances from answer to start, in natural scales: near, and some that need steps."""

EACH = 8
"""Points at each distance."""


def candidates(problem: Problem, start: np.ndarray | None = None) -> Arrays:
    """Draws inputs of all functions, except their limits.

    Targets are the problem's values at random parameters, and starts lie at `DISTANCES`
    from these, the nearest first. All numbers are exact in float32, so that all dtypes
    are given the same.

    Args:
        problem: Problem whose functions are exported.
        start: Start of `fit_from_start`, `[p]`, around which the answers then lie.

    Returns:
        Arrays of `EACH * len(DISTANCES)` members by name.
    """
    rng = np.random.default_rng(20200213)
    distance = np.repeat(DISTANCES, EACH)[:, np.newaxis]
    b, p = len(distance), problem.num_parameters
    away = distance * rng.standard_normal([b, p]) / scale_of(problem)
    if start is None:
        answer = _generic(problem, rng, b)
        initial = _limited(problem, answer + away)
    else:
        initial = np.tile(start, [b, 1])
        answer = _limited(problem, start + away)
    zeros = tf.zeros([b, problem.num_targets], problem.parameter_dtype)
    at_answer = tf.constant(answer, problem.parameter_dtype)
    targets = narrowed(problem.values(at_answer, zeros).numpy())
    blocks = problem.blocks
    is_complex = any(block.structure.dtype.is_complex for block in blocks)
    matrix = _matrices(rng, b, blocks[0].structure.order, is_complex)
    dtype = problem.parameter_dtype.as_numpy_dtype
    level = np.resize([0, -1, 1], b) % matrix.shape[-1]
    return {
        "initial": initial,
        "parameters": initial,
        "vector": narrowed(rng.standard_normal([b, p])).astype(dtype),
        "targets": targets,
        "seed": np.arange(b, dtype=np.int32),
        "level": np.where(level == matrix.shape[-1] - 1, -1, level).astype(np.int32),
        "matrix": matrix if is_complex else np.real(matrix).astype(dtype),
        "matrix_real": np.real(matrix).astype(dtype),
        "matrix_imag": np.imag(matrix).astype(dtype),
    }


def parameter_scales(problem: Problem) -> np.ndarray:
    """Returns how strongly each parameter acts, `[p]`, relative to the strongest.

    Multiplied by these, parameters of any units can be compared with each other. They
    are `|dA/dr_k|` where that is constant, else the root mean square of the targets'
    derivatives at random points; all 1 where nothing can be computed.
    """
    plain = problem.observation is not None
    norms = problem.structure.squared_norms() if plain else None
    if norms is not None and np.max(norms) > 0:
        scales = np.sqrt(norms / np.max(norms))
        return np.where(scales > 0, scales, 1.0)
    given = candidates(problem)
    points = given["parameters"], given["targets"]
    J = problem.jacobian(*(tf.constant(x, problem.parameter_dtype) for x in points))
    squares = np.nanmean(np.where(np.isfinite(J), np.abs(J) ** 2, np.nan), axis=(0, 1))
    scales = np.sqrt(np.nan_to_num(squares))
    strongest = np.max(scales, initial=0.0)
    if not 0 < strongest < np.inf:
        return np.ones(problem.num_parameters)
    return np.where(scales > 0, scales / strongest, 1.0)


def narrowed(x: np.ndarray) -> np.ndarray:
    """Rounds to float32 numbers, kept in the same dtype."""
    return x.astype(np.float32).astype(x.dtype)


def _matrices(rng: np.random.Generator, b: int, n: int, is_complex: bool) -> np.ndarray:
    # Levels about one apart, eigenvectors in random directions.
    X = rng.standard_normal([b, n, n]) + 1j * is_complex * rng.standard_normal(
        [b, n, n]
    )
    Q, _ = np.linalg.qr(X)
    w = np.arange(n) - n // 3 + rng.uniform(-0.2, 0.2, [b, n])
    A = (Q * w[:, np.newaxis]) @ np.conj(Q).swapaxes(1, 2)
    A = (A + np.conj(A).swapaxes(1, 2)) / 2
    return A.astype(np.complex64).astype(np.complex128)


def _limited(problem: Problem, r: np.ndarray) -> np.ndarray:
    inside = problem.limit(tf.constant(narrowed(r), problem.parameter_dtype))
    return inside.numpy()


def _generic(problem: Problem, rng: np.random.Generator, batch: int) -> np.ndarray:
    normal = rng.standard_normal([batch, problem.num_parameters])
    if problem.bounds is not None:
        return in_box(rng, batch, *problem.bounds)
    structure = problem.structure
    known = structure.is_linear and structure.squared_norms() is not None
    if known and problem.observation is not None:
        # Of a size at which levels are about one apart.
        levels = np.arange(problem.num_targets, dtype=np.float64)
        centre, spread = starting_cloud(problem, levels)
        return centre + spread * normal / scale_of(problem)
    return normal
