"""First derivatives of a problem at a point, with rounding noise removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon
from eigenfit.methods.cluster_newton import clustered, couplings_of
from eigenfit.problem.problem import Problem
from eigenfit.problem.sizes import value_errors
from eigenfit.tensors.graded import norms

_MAX_NUMBERS = 2**24
"""Most numbers `p n^2` of matrix derivatives held at a time."""


class Sensitivity(NamedTuple):
    """What `sensitivity` found, in NumPy float64."""

    residual: np.ndarray  # [..., m + q], weighted; q priors at the end
    loss: np.ndarray  # [...]
    jacobian: np.ndarray  # [..., m + q + c, p] of the residual; c cluster pairs
    levels: np.ndarray  # [..., N, p], derivatives of all levels
    columns: np.ndarray  # [..., p], largest norms that columns of the jacobian may have
    by_targets: np.ndarray | None  # [..., m + q, m], by targets over their sigma;
    # None for minus the identity


def sensitivity(problem: Problem, parameters: Any, targets: Any) -> Sensitivity:
    """Differentiates residual and levels, with rounding replaced by zero.

    The derivative of level i by parameter k is an entry of `D_k = V^H (dA/dr_k) V`,
    whose column i bounds it: whichever way rounding turns the mode, the entry moves by
    the rounding of the norm of that column. Anything below that is noise. Nor do levels
    see a parameter that moves them in second order only, such as a coupling at 0: where
    all of its entries are below `5 sqrt(eps)` of their columns, the shifts themselves
    are below the rounding of the levels.

    Args:
        problem: The problem to differentiate, with linear losses.
        parameters: `[..., p]`, where the derivatives are taken.
        targets: `[..., m]`, with the same batch dimensions.
    """
    r = tf.convert_to_tensor(parameters, problem.parameter_dtype)
    t = tf.convert_to_tensor(targets, problem.parameter_dtype)
    batch = r.shape[:-1].as_list()
    r, t = tf.reshape(r, [-1, r.shape[-1]]), tf.reshape(t, [-1, t.shape[-1]])
    together = max(1, _MAX_NUMBERS // _numbers(problem))
    parts = [
        _of_members(problem, r[k : k + together], t[k : k + together])
        for k in range(0, max(len(r), 1), together)
    ]
    joined = []
    for pieces in zip(*parts, strict=True):
        if pieces[0] is None:
            joined.append(None)
            continue
        whole = np.concatenate(_of_equal_rows(pieces))
        joined.append(whole.reshape([*batch, *whole.shape[1:]]))
    return Sensitivity(*joined)


def _numbers(problem: Problem) -> int:
    structures = [block.structure for block in problem.blocks]
    return sum(s.num_parameters * s.order**2 for s in structures)


def _of_members(problem: Problem, r: tf.Tensor, t: tf.Tensor) -> Sensitivity:
    point = problem.evaluate(r, t)
    J = _array(problem.jacobian_at(point))
    levels = _array(problem.level_jacobian_at(point))
    sizes = _sizes(problem, point)
    eps = epsilon(problem.parameter_dtype)
    noise, second_order = max(1e-12, 4 * eps), 5 * np.sqrt(eps)
    w = point.eigenvalues
    bounds, live = (
        _of_values(problem, w, errors, t)
        for errors in (sizes, np.where(np.abs(levels) > second_order * sizes, sizes, 0))
    )
    with np.errstate(invalid="ignore"):
        own = J[:, : problem.num_targets]
        own[np.abs(own) <= noise * bounds] = 0.0
        blind = (own == 0) | ((bounds > 0) & (live == 0) & ~_has_modes(problem))
        idle = blind.all(axis=-2) & (J[:, problem.num_targets :] == 0).all(axis=-2)
        J = np.where(idle[:, np.newaxis], 0.0, J)
        limit = np.where(idle[:, np.newaxis], second_order, noise) * sizes
        levels = np.where(np.abs(levels) <= limit, 0.0, levels)
    by_targets = None
    if problem.observed.depends_on_targets:
        by_targets = _array(problem.target_jacobian_at(point)) / problem.roots()
    J = np.concatenate([J, coupling_rows(problem, point, t)], axis=-2)
    columns = np.linalg.norm(bounds, axis=-2)
    return Sensitivity(
        _array(point.residual), _array(point.loss), J, levels, columns, by_targets
    )


def coupling_rows(problem: Problem, point: Any, targets: tf.Tensor) -> np.ndarray:
    """Differentiates what parts levels that coincide and should: `[b, c, p]`.

    The derivatives of the levels alone depend on the basis there, and see only the
    diagonal of the block of a cluster; these are those of the rest of it. Only levels
    observed as such (`Levels`) have any.

    Args:
        problem: The problem.
        point: Its evaluation.
        targets: `[b, m]`.
    """
    levels, masks = problem.split(point.eigenvalues), []
    for block, positions, part in clustered(problem):
        every, t = _array(levels[block]), _array(targets[..., part])
        w = every[:, positions]
        i, j = np.triu_indices(len(positions), 1)
        largest = np.abs(every).max(axis=-1, keepdims=True)
        near = np.abs(w[:, i] - w[:, j]) <= np.sqrt(epsilon(targets.dtype)) * largest
        near &= t[:, i] == t[:, j]
        is_complex = problem.blocks[block].structure.dtype.is_complex
        masks += [near] * (1 + is_complex)
    if not masks or not any(mask.any() for mask in masks):
        return np.zeros([point.parameters.shape[0], 0, point.parameters.shape[-1]])
    near = np.concatenate(masks, axis=-1)
    used = near.any(axis=0)
    rows = _array(couplings_of(problem, point, targets))
    return np.where(near[..., np.newaxis], rows, 0.0)[:, used]


def _of_equal_rows(pieces: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    # The number of cluster pairs may differ between the Jacobians of the parts.
    if pieces[0].ndim != 3:
        return pieces
    most = max(piece.shape[1] for piece in pieces)
    return [
        np.pad(piece, [(0, 0), (0, most - piece.shape[1]), (0, 0)]) for piece in pieces
    ]


def _sizes(problem: Problem, point: Any) -> np.ndarray:
    # How large the derivatives of levels may be: [..., N, p], 0 where not known.
    r, T = problem.of_blocks(point.parameters), problem.block_ties.matrix
    found = []
    for k, w in enumerate(problem.split(point.eigenvalues)):
        structure = problem.blocks[k].structure
        if structure.num_parameters * structure.order**2 > 4 * _MAX_NUMBERS:
            squares = structure.squared_norms()
            most = np.zeros(structure.num_parameters)
            if squares is not None:
                most = np.sqrt(squares)
            most = most if T is None else most @ np.abs(T)
            found.append(np.zeros([*w.shape, 1]) + most)
            continue
        X = structure.modes(r, problem.eigenvectors_of(k, point))
        D = structure.mode_derivatives(r, w, X)[0].numpy()
        if T is not None:
            D = np.moveaxis(np.tensordot(D, T, axes=((-3,), (0,))), -1, -3)
        found.append(np.swapaxes(norms(np.abs(D).astype(np.float64), -2), -1, -2))
    return np.concatenate(found, axis=-2)


def _of_values(
    problem: Problem, w: tf.Tensor, sizes: np.ndarray, targets: tf.Tensor
) -> np.ndarray:
    # The same for weighted values, [..., m, p], derived as their rounding is from that
    # of levels.
    largest = [np.abs(x.numpy()).max(axis=-1)[:, np.newaxis] for x in problem.split(w)]
    steps, start = [], 0
    for own, levels in zip(largest, problem.split(w), strict=True):
        most = sizes[:, start : start + levels.shape[-1]].max(axis=-2)
        start += levels.shape[-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            steps.append(np.where(most > 0, own / most, np.inf))
    step = epsilon(w.dtype) * np.min(steps, axis=0)  # [..., p]
    step = np.where(np.isfinite(step) & (step > 0), step, 1.0)[..., np.newaxis]
    errors = tf.constant(np.swapaxes(sizes, -1, -2) * step, w.dtype)
    w, t = (x[:, np.newaxis] + tf.zeros_like(errors[..., :1]) for x in (w, targets))
    change = value_errors(problem, w, errors, t) - value_errors(
        problem, w, tf.zeros_like(errors), t
    )
    return np.swapaxes(_array(change) / step, -1, -2)


def _has_modes(problem: Problem) -> np.ndarray:
    # Which targets belong to mode shapes, [m, 1].
    result = np.zeros([problem.num_targets, 1], bool)
    for _, observation, part in problem.terms:
        result[part] = observation.uses_modes
    return result


def _array(x: tf.Tensor) -> np.ndarray:
    return x.numpy().astype(np.float64)
