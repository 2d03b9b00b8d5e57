"""Combinations of parameters that a Jacobian does not see: finding and writing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eigenfit.tensors.graded import norms

_LEAST = 1e-12
"""Share in a combination, in scaled parameters, that is always rounding."""
_MAX_SHOWN = 4
_MAX_TERMS = 6
_ROUNDS = 3
_BALANCE_ROUNDS = 30
_WEAK = 1e-6
"""Fraction of its largest size that J may keep along a direction in which it is 0."""


class Decomposition(NamedTuple):
    """Singular values of a Jacobian with rows and columns scaled to one size."""

    singular_values: np.ndarray  # [..., p], descending
    directions: np.ndarray  # [..., p, p], in rows, of parameters times their scales
    scales: np.ndarray  # [..., p], sizes of the columns, 1 for zero
    seen: np.ndarray  # [..., p] bool, which singular values are not rounding
    rounding: np.ndarray  # [...] share in the other directions that counts as zero


class Fitted(NamedTuple):
    """The point where a Jacobian was taken."""

    parameters: np.ndarray  # [..., p]
    residual: np.ndarray  # [..., m]
    size: np.ndarray  # [...] size of the targets in the residual
    columns: np.ndarray  # [..., p], largest norms that columns of J may have


def decomposed(
    J: np.ndarray,
    held: np.ndarray,
    rtol: float,
    noise: float = 1e-14,
    fitted: Fitted | None = None,
) -> Decomposition:
    """Separates directions that a Jacobian sees from those that it does not.

    Rows and columns are scaled to one size in turn: no row is small because another
    belongs to a better known datum or a larger matrix, no column because of its unit.
    If both differ greatly, that alone may lose what a weak row knows of a parameter
    that a strong one knows too. Where it does, J is first divided by the geometric
    means of rows and columns (A. R. Curtis & J. K. Reid, J. Inst. Maths Applics 10
    (1972) 118-124), which are those of J whatever it was multiplied by.

    Args:
        J: `[..., m, p]`, finite, zero where an entry is rounding.
        held: `[..., p]` bool, parameters that are known.
        rtol: Relative size up to which singular values are rounding.
        noise: Relative size of the rounding of J. It turns directions that J does not
            see towards those that it sees least.
        fitted: The point, if J is that of a minimum. The gradient vanishes there, so
            that J is singular if as many data as unknowns leave a residual; but its
            singular value is only as small as the fit is accurate. A direction along
            which J is small and still asks for a step longer than the parameters and
            the data is not seen either.
    """
    J = np.where(held[..., np.newaxis, :], 0.0, J)
    plain = _decomposed(J, J, np.ones_like(J[..., 0, :]), held, rtol, noise, fitted)
    if plain.seen.all():
        return plain
    balanced = _decomposed(J, *_balanced(J), held, rtol, noise, fitted)
    more = balanced.seen.sum(axis=-1) > plain.seen.sum(axis=-1)
    pairs = zip(balanced, plain, strict=True)
    return Decomposition(*(_chosen(more, one, other) for one, other in pairs))


def _chosen(mask: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    shape = [*mask.shape, *[1] * (one.ndim - mask.ndim)]
    return np.where(np.reshape(mask, shape), one, other)


def _balanced(J: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # J divided by the geometric means of the entries that are not 0 in its rows and
    # columns, and the divisors of the columns.
    known = J != 0
    with np.errstate(divide="ignore"):
        rest = np.where(known, np.log(np.abs(J)), 0.0)
    columns = np.zeros_like(J[..., :1, :])
    for _ in range(_BALANCE_ROUNDS):
        for axis in (-1, -2):
            number = np.maximum(known.sum(axis=axis, keepdims=True), 1)
            mean = rest.sum(axis=axis, keepdims=True) / number
            rest = np.where(known, rest - mean, 0.0)
            columns += mean if axis == -2 else 0.0
    balanced = np.where(known, np.copysign(np.exp(rest), J), 0.0)
    return balanced, np.exp(columns[..., 0, :])


def _decomposed(
    J: np.ndarray,
    S: np.ndarray,
    scales: np.ndarray,
    held: np.ndarray,
    rtol: float,
    noise: float,
    fitted: Fitted | None,
) -> Decomposition:
    # Of J with rows and columns scaled to one size, starting from S, which is J with
    # scaled rows and with columns divided by `scales`.
    for axis in [-2, *[-1, -2] * _ROUNDS]:
        size = np.abs(S).max(axis=axis, initial=0.0, keepdims=True)
        size = np.where(size > 0, size, 1.0)
        S = S / size
        if axis == -2:
            scales = scales * size[..., 0, :]
    length = np.linalg.norm(S, axis=-2)
    length = np.where(length > 0, length, 1.0)
    # A row of its own determines each parameter that is held; with these there are
    # at least p rows, so that all p directions come out.
    own = np.eye(J.shape[-1]) * held[..., np.newaxis, :]
    S = np.concatenate([S / length[..., np.newaxis, :], own], axis=-2)
    _, s, Vt = np.linalg.svd(S, full_matrices=False)
    scales = scales * length
    seen = s > rtol * s.max(axis=-1, initial=0.0, keepdims=True)
    if fitted is not None:
        far = _ask_for_much(J, Vt / scales[..., np.newaxis, :], fitted)
        # Along held parameters J is 0 up to rounding, which means nothing.
        free = np.where(held[..., np.newaxis, :], 0.0, Vt)
        far &= np.linalg.norm(free, axis=-1) > _WEAK
        seen &= ~np.logical_or.accumulate(far, axis=-1)
    largest = s.max(axis=-1, initial=0.0)
    weakest = np.where(seen, s, np.inf).min(axis=-1, initial=np.inf)
    with np.errstate(invalid="ignore"):
        rounding = np.where(largest > 0, noise * largest / weakest, 0.0)
    rounding = np.maximum(rounding, _LEAST)
    return Decomposition(s, Vt, scales, seen, rounding)


def _ask_for_much(J: np.ndarray, rows: np.ndarray, fitted: Fitted) -> np.ndarray:
    # Directions, in rows, along which J is small and Gauss-Newton steps are long.
    images = J @ np.swapaxes(rows, -1, -2)
    length = np.linalg.norm(images, axis=-2)
    columns = fitted.columns[..., np.newaxis, :]
    most = np.linalg.norm(columns * rows, axis=-1)
    along = fitted.residual[..., np.newaxis, :] @ images
    size = np.linalg.norm(fitted.columns * fitted.parameters, axis=-1) + fitted.size
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        steps = np.abs(along[..., 0, :]) / length**2 * most
        return (length <= _WEAK * most) & (steps > size[..., np.newaxis])


def reduced(rows: np.ndarray, rounding: float = _LEAST) -> np.ndarray:
    """Finds sparse rows with the same span, each with an entry that no other has.

    Args:
        rows: `[d, p]`, independent, in comparable parameters.
        rounding: Share of a parameter that counts as zero.

    Returns:
        `[d, p]`, each with largest entry 1, in the order of these; zeros are exact.
    """
    rows, pivots = rows.copy(), []
    for k in range(len(rows)):
        size = np.abs(rows[k:]).max(axis=0)
        # The first of the largest entries, so that A - B does not become B - A.
        column = int(np.argmax(size > 0.99 * size.max()))
        best = k + int(np.argmax(np.abs(rows[k:, column])))
        rows[[k, best]] = rows[[best, k]]
        rows[k] /= rows[k, column]
        others = np.arange(len(rows)) != k
        rows[others] -= np.outer(rows[others, column], rows[k])
        pivots.append(column)
    size = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    rows[np.abs(rows) <= rounding * size] = 0.0
    return rows[np.argsort(pivots)]


def sees(
    gradients: np.ndarray, combinations: np.ndarray, rounding: float = _LEAST
) -> np.ndarray:
    """Returns which functions change along a combination that the data do not see.

    Args:
        gradients: `[N, p]`, gradients of the functions.
        combinations: `[d, p]`, rows from `reduced`, in the same parameters.
        rounding: As for `reduced`.

    Returns:
        `[N]` bool.
    """
    change = np.abs(gradients @ combinations.T)
    most = np.abs(gradients) @ np.abs(combinations).T
    return (change > rounding * most).any(axis=-1)


def written(rows: np.ndarray, scales: np.ndarray, names: Sequence[str]) -> list[str]:
    """Writes combinations of parameters with their names.

    Args:
        rows: `[d, p]`, rows from `reduced`, for parameters times scales.
        scales: `[p]`, scales of the parameters.
        names: Names of the p parameters.

    Example:
        >>> written(np.array([[1.0, 0.0, -1.0]]), np.array([2.0, 1.0, 4.0]), "ABC")
        ['A - 0.5 C']
    """
    result = []
    for row in rows:
        places = np.flatnonzero(row)
        first = places[np.argmax(np.abs(row[places]) > 0.99 * np.abs(row).max())]
        text = ""
        for k in places[:_MAX_TERMS]:
            factor = row[k] / row[first] * (scales[first] / scales[k])
            size = f"{abs(factor):.4g} "
            text += f" {'-' if factor < 0 else '+'} {'' if size == '1 ' else size}"
            text += str(names[k])
        text += " + ..." * (len(places) > _MAX_TERMS)
        result.append(text[3:] if text.startswith(" + ") else f"-{text[3:]}")
    return result


def listed(combinations: Sequence[str]) -> str:
    """Lists combinations in one line, only the first few if there are many.

    Example:
        >>> listed(["A - B", "C"])
        'A - B; C'
    """
    shown = list(combinations[:_MAX_SHOWN])
    if len(combinations) > _MAX_SHOWN:
        shown.append(f"and {len(combinations) - _MAX_SHOWN} more")
    return "; ".join(shown)


class Open:
    """Finds what changes along combinations that the data do not determine.

    Args:
        parts: Which directions the data determine.
        finite: `[...]`, which members are finite.
    """

    def __init__(self, parts: Decomposition, finite: np.ndarray) -> None:
        self._scales = parts.scales
        self._rounding = parts.rounding
        self._found = [
            (
                index,
                reduced(
                    parts.directions[index][~parts.seen[index]],
                    float(parts.rounding[index]),
                ),
            )
            for index in map(tuple, np.argwhere(~parts.seen.all(axis=-1) & finite))
        ]

    def errors(
        self, gradients: np.ndarray, half: np.ndarray, direct: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Computes errors `[..., N]` of functions with gradients `[..., N, p]`.

        Args:
            gradients: `[..., N, p]`, gradients by the parameters.
            half: `[..., p, *]`, root of the covariance, as from `covariance.solved`.
            direct: `[..., N, *]`, what targets move at fixed parameters.
        """
        result = norms(gradients @ half + direct, -1)
        gradients = gradients / self._scales[..., np.newaxis, :]
        for index, combinations in self._found:
            rounding = float(self._rounding[index])
            open_ = sees(gradients[index], combinations, rounding)
            result[index][open_] = np.inf
        return result
