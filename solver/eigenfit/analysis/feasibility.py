"""What can be said about a problem before it is fitted: targets that cannot be met.

All tests are necessary conditions or ranks at one point and beside it; a problem that
passes them may still have no solution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import lsq_linear

from eigenfit.analysis.multiplicity import multiplicity_finding
from eigenfit.analysis.ranks import rank_findings
from eigenfit.analysis.spectra import Part, parts_of
from eigenfit.analysis.unit_hints import in_order, units
from eigenfit.problem.problem import Problem
from eigenfit.problem.sizes import natural_size

_MAX_NUMBERS = 2**22
"""Most numbers `p n^2` for the norm of a structure to be examined."""


@dataclass(frozen=True)
class Finding:
    """One finding about a problem.

    Attributes:
        kind: "trace", "norm", "fixed", "multiplicity", "rank", "relations", "start",
            "derivative", "overdetermined", "pairs", "unit" or "indices".
        severity: "impossible" if the loss cannot fall to the tolerance, "warning" if
            the fit will probably not do what is intended, else "note".
        text: What was found and what to do about it, without a line break.
    """

    kind: str
    severity: Literal["impossible", "warning", "note"]
    text: str


class _Excess(NamedTuple):
    """A reason why the loss stays above a bound."""

    kind: str
    root: float  # square root of the bound, in the unit of the problem
    text: str


_RTOL = 1e-10  # as for a fit without a tolerance
_CHI = 24.0**0.5  # a deviation of this many sigma has a probability of 1e-6
_SMALL_MISFIT = 0.05
"""Misfit, relative to the targets, that data with errors may have."""


def find(
    problem: Problem, targets: Any, initial: Any, *, tolerance: float | None = None
) -> list[Finding]:
    """Looks for reasons why targets cannot be met or parameters cannot be found.

    - the traces of the matrices, where the structure and the bounds fix them;
    - the Frobenius norm, where the structure sets a lower bound for it;
    - targets that do not depend on the unknowns;
    - equal targets: an s-fold level takes `s (s + 1) / 2 - 1` conditions of a real
      matrix and `s^2 - 1` of a Hermitian one (J. von Neumann & E. Wigner, Phys. Z. 30
      (1929) 467), fewer where levels belong to different symmetries;
    - the rank of the Jacobian at the start and beside it;
    - differences of the wrong sign, and targets that seem to be in another unit.

    Units of matrices, targets and parameters do not matter.

    Args:
        problem: A problem in float64.
        targets: `[m]`.
        initial: `[p]`, the start.
        tolerance: Loss at which targets count as met; by default as in `Solver.fit`.
            Data with standard deviations need not be met: for them a loss above 24 is
            reported, which chance exceeds once in a million. With a robust loss some
            data are expected to be missed, which is no more than a note.

    Returns:
        Findings, the worst first; empty if nothing was found.

    Example:
        >>> import eigenfit as ef
        >>> problem = ef.Problem(ef.Toeplitz(2), ef.Levels([0, 1]))
        >>> find(problem, [1.0, 3.0], [2.0, 0.5])
        []
        >>> problem = ef.Problem(ef.Additive([[0.0, 2.0], [2.0, 0.0]]))
        >>> [(f.kind, f.severity) for f in find(problem, [1.0, 3.0], [2.0, 2.1])]
        [('norm', 'impossible')]
    """
    t = np.asarray(targets, np.float64)
    x = np.asarray(initial, np.float64)
    is_robust, problem = problem.is_robust, problem.with_linear_losses()
    unit, size = (float(number) for number in natural_size(problem, x, t))
    # Roots of losses, which double the range of float64.
    allowed = _RTOL * size if tolerance is None else float(tolerance) ** 0.5 / unit
    if problem.has_sigma:
        allowed = max(allowed, _CHI / unit)
    parts = parts_of(problem, t, unit)
    ranks, fixed = rank_findings(problem, t, x)
    excesses = [
        *_traces(problem, parts),
        *_norms(problem, parts),
        *_signs(problem, t, unit),
        *_fixed(problem, t, fixed, unit),
    ]
    found = [
        _judged(problem, excess, unit, size)
        for excess in excesses
        if excess.root > allowed
    ]
    if is_robust:
        text = " With a robust loss some of the data may be missed."
        found = [Finding(f.kind, "note", f.text + text) for f in found]
    # If the traces do not fit, that is already the relation between the targets.
    known = {finding.kind for finding in found}
    found += [Finding(*f) for f in ranks if f[0] != "relations" or "trace" not in known]
    text = multiplicity_finding(problem, parts, x, fixed)
    if text:
        found.append(Finding("multiplicity", "warning", text))
    texts = units(problem, t, np.asarray(problem.values(x, t)))
    found += [Finding("unit", "warning", text) for text in texts]
    order = ("impossible", "warning", "note")
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _judged(problem: Problem, excess: _Excess, unit: float, size: float) -> Finding:
    """Turns a loss that cannot fall further into a finding."""
    with np.errstate(over="ignore"):
        least = np.float64(excess.root * unit) ** 2
    text = f"{excess.text} The loss cannot fall below {least:.3g}"
    if problem.has_sigma:
        text += ", which errors of the given sigma hardly explain"
    elif problem.is_least_squares and excess.root <= _SMALL_MISFIT * size:
        text += (
            ": if the data have such errors, the fit finds the least-squares minimum."
        )
        return Finding(excess.kind, "note", text)
    return Finding(excess.kind, "impossible", f"{text}.")


def _fixed(
    problem: Problem, targets: np.ndarray, fixed: dict[int, float], unit: float
) -> list[_Excess]:
    """Compares targets with values that do not depend on the unknowns."""
    roots = problem.roots() / unit
    return [
        _Excess(
            "fixed",
            abs(float(roots[i] * (value - targets[i]))),
            f"Target {i} is {targets[i]:.8g}, but what is observed there is "
            f"{value:.8g} whatever the unknowns are. Leave it out, or correct it.",
        )
        for i, value in fixed.items()
    ]


def _signs(problem: Problem, targets: np.ndarray, unit: float) -> list[_Excess]:
    """Finds differences whose targets have the wrong sign for the order of levels."""
    deviations = problem.roots() / unit * targets
    result = []
    for signs, place in in_order(problem):
        wrong = np.flatnonzero(np.array(signs) * targets[place] < 0)
        if not len(wrong):
            continue
        number = f"{len(wrong)} of {len(signs)}" if len(wrong) < len(signs) else "All"
        first = place.start + int(wrong[0])
        text = (
            f"{number} differences have targets of the wrong sign, such as target "
            f"{first}, {targets[first]:.6g}: the level that is subtracted comes last, "
            f"and levels ascend with their numbers. Swap the levels of these pairs, or "
            f"the signs of their targets."
        )
        root = float(np.linalg.norm(deviations[place][wrong]))
        result.append(_Excess("pairs", root, text))
    return result


def _traces(problem: Problem, parts: list[Part]) -> list[_Excess]:
    """Compares traces with the sums of targets."""
    known = [part for part in parts if part.trace is not None and part.is_linear]
    if not known:
        return []
    T = np.array([part.trace_slope() for part in known])
    t0 = np.array([part.trace_at_zero() for part in known])
    sums, spread = np.array([part.trace for part in known]).T
    # Moving the sum of levels by d costs a loss of at least d^2 / sum(1 / w).
    rows, right = T / spread[:, None], (sums - t0) / spread
    rounding = np.abs([sums, t0]).max(axis=0) / spread
    lengths = _lengths(rows)
    free = right - rows @ (np.linalg.lstsq(rows / lengths, right)[0] / lengths)
    root = float(np.linalg.norm(free))
    units = np.array([part.unit for part in known])
    if root > 1e-12 * np.linalg.norm(rounding):
        worst = int(np.argmax(np.abs(free)))
        part = known[worst]
        if not T[worst].any():
            text = (
                f"{part.title} has the trace {t0[worst] * part.unit:.8g} whatever the "
                f"unknowns are, but its targets sum to {sums[worst] * part.unit:.8g}: "
                f"the levels of a matrix sum to its trace. Correct the targets, "
                f"observe fewer levels or differences, or let the diagonal vary."
            )
            return [_Excess("trace", root, text)]
        listed = ", ".join(
            f"{p.name} {s:.8g}" for p, s in zip(known, sums * units, strict=True)
        )
        text = (
            f"The traces of the matrices depend on each other, and the sums of the "
            f"targets do not fit that ({listed}). Correct the targets, or observe "
            f"fewer levels."
        )
        return [_Excess("trace", root, text)]
    if problem.bounds is None:
        return []
    low, high = _open_box(problem.bounds)
    root, missed = _least_in_box(rows / lengths, right, low * lengths, high * lengths)
    if root <= 1e-7 * np.linalg.norm(rounding):
        return []
    worst = int(np.argmax(np.abs(missed)))
    reached = sums[worst] + missed[worst] * spread[worst]
    text = (
        f"The targets of {known[worst].name} sum to {sums[worst] * units[worst]:.8g}, "
        f"but inside the bounds of the parameters its trace comes only to "
        f"{reached * units[worst]:.8g}. Widen the bounds or correct the targets."
    )
    return [_Excess("trace", root, text)]


def _norms(problem: Problem, parts: list[Part]) -> list[_Excess]:
    """Compares Frobenius norms with the squares of targets.

    Means of levels are subtracted first: `|w - t| >= ||w| - |t||`.
    """
    result = []
    p = problem.num_parameters
    for part in parts:
        n = part.structure.order
        if part.levels is None or not part.is_linear or part.is_full:
            continue
        if p * n * n > _MAX_NUMBERS:
            continue
        slopes = part.slopes(p)
        basis = np.array([_traceless(A) for A in slopes])  # [p, 2 n n]
        sizes = np.linalg.norm(slopes, axis=(1, 2))
        # A multiple of the identity moves only the mean.
        basis[np.linalg.norm(basis, axis=1) <= 1e-12 * sizes] = 0.0
        constant = _traceless(part.matrix(np.zeros(p)))
        values, root = part.levels
        wanted = float(np.linalg.norm(values - values.mean()))
        if not basis.any():
            norm = float(np.linalg.norm(constant))
            text = (
                f"{part.title} has a Frobenius norm (of the matrix less its mean "
                f"level) of {norm * part.unit:.8g} whatever the unknowns are, but its "
                f"targets need {wanted * part.unit:.8g}. Correct the targets, or let "
                f"more entries vary."
            )
            if abs(norm - wanted) > 1e-12 * max(norm, wanted):
                result.append(_Excess("norm", root * abs(norm - wanted), text))
            continue
        norm = _least_norm(basis, constant, problem.bounds)
        gap = norm - wanted
        if gap <= 1e-7 * max(float(np.linalg.norm(constant)), wanted):
            continue
        text = (
            f"{part.title} has a Frobenius norm (of the matrix less its mean level) of "
            f"at least {norm * part.unit:.8g}, but its targets need "
            f"{wanted * part.unit:.8g}: they lie too close together for the entries "
            f"that are fixed. Correct the targets or those entries."
        )
        result.append(_Excess("norm", root * gap, text))
    return result


def _least_norm(basis: np.ndarray, constant: np.ndarray, bounds: Any) -> float:
    """The least `|constant + x @ basis|` over x inside the bounds."""
    lengths = _lengths(basis.T)
    basis = basis / lengths[:, None]
    if bounds is None:
        x = np.linalg.lstsq(basis.T, -constant, rcond=1e-12)[0]
        return float(np.linalg.norm(constant + x @ basis))
    low, high = _open_box(bounds)
    Q, R = np.linalg.qr(basis.T)
    inside = Q.T @ constant
    least = _least_in_box(R, -inside, low * lengths, high * lengths)[0]
    return float(np.hypot(least, np.linalg.norm(constant - Q @ inside)))


def _least_in_box(
    A: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[float, np.ndarray]:
    """A lower bound of `|A x - b|` over x in a box, and `A x - b` where it is near.

    For every y of norm 1, `|A x - b| >= y^T (b - A x)`, which is least at a corner of
    the box. With y along the rest that an inexact solution leaves, the bound is safe
    and as near as the solution.
    """
    missed = np.asarray(lsq_linear(A, b, (low, high)).fun)
    y = -missed
    # Unknowns without a bound on the side where they would help have no slope.
    slope = A.T @ y
    open_ = ~np.isfinite(np.where(slope > 0, high, low))
    if open_.any():
        U, s, _ = np.linalg.svd(A[:, open_], full_matrices=False)
        U = U[:, s > 1e-12 * s.max(initial=0.0)]
        y = y - U @ (U.T @ y)
        slope = np.where(open_, 0.0, A.T @ y)
    size = float(np.linalg.norm(y))
    if size == 0:
        return 0.0, missed
    with np.errstate(invalid="ignore"):
        most = np.where(slope == 0, 0.0, np.where(slope > 0, high, low) * slope)
    return max(0.0, float(y @ b - most.sum()) / size), missed


def _lengths(columns: np.ndarray) -> np.ndarray:
    """Norms of columns, `[p]`; 1 where one is 0."""
    lengths = np.linalg.norm(columns, axis=0)
    return np.where(lengths > 0, lengths, 1.0)


def _open_box(bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(bounds[0], float), np.asarray(bounds[1], float)


def _traceless(A: np.ndarray) -> np.ndarray:
    n = len(A)
    B = (A - np.trace(A) / n * np.eye(n)).ravel()
    return np.concatenate([B.real, B.imag])
