"""What can be said about a problem before it is fitted: targets that cannot be met.

All tests are necessary conditions or ranks at one point and beside it; a problem that
passes them may still have no solution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from eigenfit.analysis.boxes import least_in_box, least_norm, lengths_of, open_box
from eigenfit.analysis.multiplicity import multiplicity_finding
from eigenfit.analysis.ranks import Constant, rank_findings
from eigenfit.analysis.spectra import Part, parts_of
from eigenfit.analysis.unit_hints import in_order, units
from eigenfit.observations import Frequencies
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
    is_certain: bool = True  # else the text says what the bound rests on


_RTOL = 1e-10  # as for a fit without a tolerance
_CHI = 24.0**0.5  # a deviation of this many sigma has a probability of 1e-6
_HALVINGS = 16
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
        *_held(_traces, problem, parts, t, unit),
        *_held(_norms, problem, parts, t, unit),
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


def _held(
    search: Callable[[Problem, list[Part]], list[_Excess]],
    problem: Problem,
    parts: list[Part],
    targets: np.ndarray,
    unit: float,
) -> list[_Excess]:
    """Searches for excesses that hold however large the residual is.

    Where frequencies are observed, the cost of a change of a level depends on its
    size: what is found holds for residuals up to the reach that was assumed, so that
    the reach is sought beyond which nothing more is found.
    """
    found = search(problem, parts)
    if not any(isinstance(x, Frequencies) for x in problem.observations):
        return found
    low, high = 0.0, max((excess.root for excess in found), default=0.0)
    held: list[_Excess] = []
    for _ in range(_HALVINGS if found else 0):
        reach = (low + high) / 2
        found = search(problem, parts_of(problem, targets, unit, reach))
        if max((excess.root for excess in found), default=0.0) < reach:
            high = reach
        else:
            low, held = reach, found
    return [excess._replace(root=min(excess.root, low)) for excess in held]


def _judged(problem: Problem, excess: _Excess, unit: float, size: float) -> Finding:
    """Turns a loss that cannot fall further into a finding."""
    with np.errstate(over="ignore"):
        least = np.float64(excess.root * unit) ** 2
    if not excess.is_certain:
        text = f"{excess.text} If so everywhere, the loss is at least {least:.3g}."
        return Finding(excess.kind, "warning", text)
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
    problem: Problem, targets: np.ndarray, fixed: dict[int, Constant], unit: float
) -> list[_Excess]:
    """Compares targets with values that do not depend on the unknowns."""
    roots = problem.roots() / unit
    found = []
    for i, (value, places, is_certain, number) in fixed.items():
        costs = np.abs(roots[places] * (value - targets[places]))
        nearest = places[int(np.argmin(costs))]
        target = f"{targets[nearest]:.8g}"
        if len(places) > 1:
            text = (
                f"One of the levels is {value:.8g} whatever the unknowns are, but none "
                f"of the targets is: target {nearest}, {target}, comes nearest. "
                f"Correct it."
            )
        else:
            always = (
                "whatever the unknowns are"
                if is_certain
                else f"at the start and at {number} other points, far ones among them"
            )
            text = (
                f"Target {i} is {target}, but what is observed there is {value:.8g} "
                f"{always}. Leave it out, or correct it."
            )
        found.append(_Excess("fixed", float(costs.min()), text, is_certain))
    return found


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
    lengths = lengths_of(rows)
    free = right - rows @ (np.linalg.lstsq(rows / lengths, right)[0] / lengths)
    root = float(np.linalg.norm(free))
    small = np.linalg.norm(rounding)
    if problem.bounds is not None:
        low, high = open_box(problem.bounds)
        least, missed = least_in_box(
            rows / lengths, right, low * lengths, high * lengths
        )
        # Beyond what the traces' dependence on each other explains.
        if np.sqrt(max(least**2 - root**2, 0.0)) > 1e-7 * small:
            with np.errstate(invalid="ignore"):  # a sum that errors leave open
                missed = missed * spread
            return [_Excess("trace", least, _outside(known, missed))]
    if root <= 1e-12 * small:
        return []
    worst = int(np.argmax(np.abs(free)))
    part = known[worst]
    units = np.array([part.unit for part in known])
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


def _outside(known: list[Part], missed: np.ndarray) -> str:
    """Says which sum of targets the bounds exclude, alone or together with others."""
    worst = int(np.argmax(np.nan_to_num(np.abs(missed))))
    part = known[worst]
    own = f"{part.trace[0] * part.unit:.8g}"  # type: ignore[index]
    reached = f"{(part.trace[0] + missed[worst]) * part.unit:.8g}"  # type: ignore[index]
    if len(known) == 1:
        return (
            f"The targets of {part.name} sum to {own}, but inside the bounds of the "
            f"parameters its trace comes only to {reached}. Widen the bounds or "
            f"correct the targets."
        )
    return (
        f"Inside the bounds of the parameters the matrices cannot have the sums of "
        f"their targets together. Where they come nearest, the trace of {part.name} is "
        f"{reached}, not {own}. Widen the bounds or correct the targets."
    )


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
        norm = least_norm(basis, constant, problem.bounds)
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


def _traceless(A: np.ndarray) -> np.ndarray:
    n = len(A)
    B = (A - np.trace(A) / n * np.eye(n)).ravel()
    return np.concatenate([B.real, B.imag])
