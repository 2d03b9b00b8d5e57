"""What can be said about a problem before it is fitted: targets that cannot be met.

All tests are necessary conditions or ranks at one point and beside it; a problem that
passes them may still have no solution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.optimize import lsq_linear

from eigenfit_serving.multiplicity import multiplicity_finding
from eigenfit_serving.ranks import rank_findings
from eigenfit_serving.spectra import Part, parts_of

if TYPE_CHECKING:
    import eigenfit as ef

_MAX_NUMBERS = 2**22
"""Numbers `p n^2` up to which the norm of a structure is examined."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found out about a problem.

    Attributes:
        kind: "trace", "norm", "fixed", "multiplicity", "rank", "relations", "start",
            "derivative" or "overdetermined".
        severity: "impossible" if the loss cannot fall to the tolerance, "warning" if
            the fit will probably not do what is meant, else "note".
        text: What was found and what to do about it, without a line break.
    """

    kind: str
    severity: Literal["impossible", "warning", "note"]
    text: str


def find(
    problem: ef.Problem, targets: Any, initial: Any, *, tolerance: float = 1e-8
) -> list[Finding]:
    """Looks for reasons why targets cannot be met or parameters not be found.

    - the traces of the matrices, where the structure and the bounds fix them;
    - the Frobenius norm, where the structure gives it a least value;
    - targets that do not depend on the unknowns;
    - equal targets: an s-fold level takes `s (s + 1) / 2 - 1` conditions of a real
      matrix and `s^2 - 1` of a Hermitian one (J. von Neumann & E. Wigner, Phys. Z. 30
      (1929) 467), fewer where levels belong to different symmetries;
    - the rank of the Jacobian at the start and beside it.

    Args:
        problem: In float64.
        targets: `[m]`.
        initial: `[p]`, the start.
        tolerance: At which a loss counts as met.

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
    parts = parts_of(problem, t)
    found: list[Finding] = []
    for kind, least, text in (*_traces(problem, parts), *_norms(problem, parts, x)):
        if least > tolerance:
            end = f" The loss cannot fall below {least:.3g} (tolerance {tolerance:g})."
            found.append(Finding(kind, "impossible", text + end))
    ranks, fixed = rank_findings(problem, t, x, tolerance)
    # Where the traces do not fit, that is the relation between the targets.
    known = {finding.kind for finding in found}
    found += [Finding(*f) for f in ranks if f[0] != "relations" or "trace" not in known]
    text = multiplicity_finding(problem, parts, x, fixed)
    if text:
        found.append(Finding("multiplicity", "warning", text))
    order = ("impossible", "warning", "note")
    return sorted(found, key=lambda finding: order.index(finding.severity))


def _traces(problem: ef.Problem, parts: list[Part]) -> list[tuple[str, float, str]]:
    """Compares traces with the sums of targets: kind, least loss, text."""
    known = [part for part in parts if part.trace is not None and part.is_linear]
    if not known:
        return []
    T = np.array([part.trace_slope() for part in known])
    t0 = np.array([part.trace_at_zero() for part in known])
    sums, spread = np.array([part.trace for part in known]).T
    missing = sums - t0
    # A loss of d^2 / sum(1 / w) is the least that moves the sum of levels by d.
    scale = 1 / np.sqrt(spread)
    rows, right = T * scale[:, None], missing * scale
    small = (1e-12 * np.abs([sums, t0]).max() * scale.max()) ** 2
    free = right - rows @ np.linalg.lstsq(rows, right, rcond=1e-12)[0]
    least = float(free @ free)
    if least > small:
        worst = int(np.argmax(np.abs(free)))
        part = known[worst]
        if not T[worst].any():
            return [
                (
                    "trace",
                    least,
                    f"{part.title} has the trace {t0[worst]:.8g} whatever the unknowns "
                    f"are, but its targets sum to {sums[worst]:.8g}: the levels of a "
                    f"matrix sum to its trace. Correct the targets, observe fewer "
                    f"levels or differences, or let the diagonal vary.",
                )
            ]
        listed = ", ".join(f"{p.name} {s:.8g}" for p, s in zip(known, sums))  # noqa: B905
        return [
            (
                "trace",
                least,
                f"The traces of the matrices depend on each other, and the sums of the "
                f"targets do not fit that ({listed}). Correct the targets, or observe "
                f"fewer levels.",
            )
        ]
    if problem.bounds is None:
        return []
    bounded = lsq_linear(rows, right, bounds=_open_box(problem.bounds))
    least = 2 * float(bounded.cost)
    worst = int(np.argmax(np.abs(bounded.fun)))
    reached = sums[worst] + bounded.fun[worst] / scale[worst]
    return [
        (
            "trace",
            least if least > small else 0.0,
            f"The targets of {known[worst].name} sum to {sums[worst]:.8g}, but "
            f"inside the bounds of the parameters its trace comes only to "
            f"{reached:.8g}. Widen the bounds or correct the targets.",
        )
    ]


def _norms(
    problem: ef.Problem, parts: list[Part], x: np.ndarray
) -> list[tuple[str, float, str]]:
    """Compares Frobenius norms with the squares of targets: kind, least loss, text.

    Of the matrices and levels without their mean: `|w - t| >= ||w| - |t||`.
    """
    result = []
    for part in parts:
        n, p = part.structure.order, len(x)
        if part.levels is None or not part.is_linear or part.is_full:
            continue
        if p * n * n > _MAX_NUMBERS:
            continue
        basis = np.array([_traceless(A) for A in part.slopes(p)])  # [p, 2 n n]
        constant = _traceless(part.matrix(np.zeros(p)))
        values, weight = part.levels
        wanted = float(np.linalg.norm(values - values.mean()))
        sizes = np.linalg.norm(basis, axis=1)
        scale = max(float(np.linalg.norm(constant)), wanted, 1e-300)
        if not sizes.max() > 1e-12 * scale:
            norm = float(np.linalg.norm(constant))
            text = (
                f"{part.title} has a Frobenius norm (of the matrix less its mean "
                f"level) of {norm:.8g} whatever the unknowns are, but its targets "
                f"need {wanted:.8g}. Correct the targets, or let more entries vary."
            )
            result.append(("norm", weight * (norm - wanted) ** 2, text))
            continue
        norm = _least_norm(basis, constant, problem.bounds)
        gap = max(0.0, norm - wanted)
        if gap <= 1e-9 * scale:
            continue
        text = (
            f"{part.title} has a Frobenius norm (of the matrix less its mean level) of "
            f"at least {norm:.8g}, but its targets need {wanted:.8g}: they lie too "
            f"close together for the entries that are fixed. Correct the targets or "
            f"those entries."
        )
        result.append(("norm", weight * gap**2, text))
    return result


def _least_norm(basis: np.ndarray, constant: np.ndarray, bounds: Any) -> float:
    """The least `|constant + x @ basis|` over x inside the bounds."""
    if bounds is None:
        x = np.linalg.lstsq(basis.T, -constant, rcond=1e-12)[0]
        return float(np.linalg.norm(constant + x @ basis))
    Q, R = np.linalg.qr(basis.T)
    inside = -Q.T @ constant
    x = lsq_linear(R, inside, bounds=_open_box(bounds)).x
    return float(np.linalg.norm(constant + x @ basis))


def _open_box(bounds: Any) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(bounds[0], float), np.asarray(bounds[1], float)


def _traceless(A: np.ndarray) -> np.ndarray:
    n = len(A)
    B = (A - np.trace(A) / n * np.eye(n)).ravel()
    return np.concatenate([B.real, B.imag])
