"""Ranks of the Jacobian: unknowns that targets determine, and targets that move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from eigenfit.observations import FreeShift, Levels
from eigenfit.problem.problem import Problem

_SMALL = 1e-9
"""Relative size up to which singular values, values and derivatives are rounding."""
_FAR = (1.0, 10.0, 100.0)
"""Distances from the start, in natural sizes, at which a constant is one still."""
_MAX_NUMBERS = 2**20
"""Most numbers `m p` for a Jacobian to be examined."""


class Constant(NamedTuple):
    """What is observed at a target and does not depend on the unknowns.

    Attributes:
        value: The value calculated there.
        places: Numbers of the targets whose value it may be, if it is a level that the
            matrix always has, at whatever place.
        is_certain: Whether it is constant everywhere. Else it was the same at the start
            and at `number` points, of which some are far from it.
        number: Number of these points.
    """

    value: float
    places: list[int]
    is_certain: bool
    number: int


class _Point(NamedTuple):
    x: np.ndarray  # [p]
    values: np.ndarray  # [m]
    J: np.ndarray  # [m + q, p], Jacobian of the residual; q priors at the end


def rank_findings(
    problem: Problem, targets: np.ndarray, x: np.ndarray
) -> tuple[list[tuple[Any, Any, str]], dict[int, Constant]]:
    """Examines the Jacobian at the start and at two points beside it.

    Returns:
        Kind, severity and text of each finding, and the numbers of the targets that do
        not seem to depend on the unknowns.
    """
    m, p = len(targets), problem.num_parameters
    if m * p > _MAX_NUMBERS:
        return [], {}
    start, *points = _points(problem, targets, x)
    if not np.isfinite(start.J).all():
        text = (
            "The targets have no derivatives at the start: a level with a mode shape "
            "coincides with another one there, or a frequency is zero. Start elsewhere "
            "(start.parameters), or leave that target out."
        )
        return [("derivative", "warning", text)], {}
    points = [start, *points]
    fixed = _fixed(problem, targets, points)
    seen = [point.J for point in points]
    ranks = [_rank(J) for J in seen]
    here, generic = ranks[0], max(ranks)
    names = problem.parameter_names
    found = []
    if generic < p:
        lost = _lost(seen[ranks.index(generic)], names)
        is_exact = not fixed and not _has_equal(problem, targets)
        found.append(_undetermined(problem, targets, generic, lost, is_exact))
    if problem.num_data - problem.num_priors > p:
        text = (
            f"{_count(m, 'target')} for {_count(p, 'unknown')}: all are met only if "
            f"they come from this very structure; otherwise the fit finds the "
            f"least-squares minimum."
        )
        found.append(("overdetermined", "note", text))
    kept = np.setdiff1d(np.arange(m), sorted(fixed))
    moving = max(_rank(point.J[kept]) for point in points)
    wanted = len(kept) - _num_shifts(problem)
    # Shapes have lengths, and are orthogonal: they depend on each other.
    if moving < wanted <= p and not problem.has_modes:
        text = (
            f"Of {_count(len(kept), 'target')} only {moving} move independently: the "
            f"others follow from them, and must fit to be met. Leave them out."
        )
        found.append(("relations", "warning", text))
    if here < generic:
        text = (
            f"The start is a point of symmetry: to first order the targets see only "
            f"{here} of {_count(generic, 'direction')} of the unknowns there, not "
            f"{_lost(seen[0], names)}. A fit may be unable to leave it: start "
            f"elsewhere (start.parameters)."
        )
        found.append(("start", "warning", text))
    return found, _everywhere(problem, targets, start, fixed)


def generic_rank(problem: Problem, targets: np.ndarray, x: np.ndarray) -> int:
    """Counts the independent data and priors near a point.

    It is at most the number of data that can disagree, and that number or the number of
    unknowns if there are too many to tell, or equal targets, where it depends on the
    answer.

    Args:
        problem: The problem to examine.
        targets: `[m]`.
        x: `[p]`, the point.
    """
    most = min(problem.num_parameters, problem.num_data)
    size = len(targets) * problem.num_parameters
    if size > _MAX_NUMBERS or _has_equal(problem, targets):
        return most
    points = _points(problem, targets, x)
    ranks = [_rank(point.J) for point in points if np.isfinite(point.J).all()]
    return min(most, max(ranks, default=most))


def _points(problem: Problem, targets: np.ndarray, x: np.ndarray) -> list[_Point]:
    # The start, and points beside it with finite derivatives.
    start = _point(problem, targets, x)
    if not np.isfinite(start.J).all():
        return [start]
    beside = [_point(problem, targets, y) for y in _beside(problem, start, targets)]
    return [start, *(point for point in beside if np.isfinite(point.J).all())]


def _undetermined(
    problem: Problem, targets: np.ndarray, rank: int, lost: str, is_exact: bool
) -> tuple[Any, Any, str]:
    """Tells that data of this rank leave unknowns open, `lost` among them.

    Targets that do not move near the start may elsewhere, and coinciding levels leave
    fewer directions, how many depends on the answer: then the rank is not exact.
    """
    m, p = len(targets), problem.num_parameters
    if m >= p:
        text = (
            f"The data determine only {rank} of {_count(p, 'unknown')}, though "
            f"there are {_count(m, 'target')}. Not determined near the start: "
            f"{lost}. Fix or tie parameters, give a prior, or observe more."
        )
        return "rank", "warning", text
    size = _count(p - rank, "dimension")
    if not is_exact:
        size = f"at most {size}"
    text = (
        f"{_count(p, 'unknown')} for {_count(rank, 'independent target')}: if the "
        f"targets can be met, a family of answers of {size} does, and the start "
        f"decides which one is found."
    )
    return "rank", "note", text


def _fixed(
    problem: Problem, targets: np.ndarray, points: list[_Point]
) -> dict[int, float]:
    """Finds targets whose value is the same near the start, and that value."""
    values = np.array([point.values for point in points])
    sizes = _sizes(problem, [*values, targets])
    still = np.ptp(values, axis=0) <= _SMALL * sizes
    flat = [~point.J[: len(targets)].any(axis=1) for point in points]
    fixed = np.flatnonzero(still & np.all(flat, axis=0)).tolist()
    small = np.abs(values[0]) <= _SMALL * sizes
    return {i: 0.0 if small[i] else float(values[0, i]) for i in fixed}


def _everywhere(
    problem: Problem, targets: np.ndarray, start: _Point, fixed: dict[int, float]
) -> dict[int, Constant]:
    """Leaves those of `fixed` that are met, or that far points do not change either.

    A level may be flat near the start only, since another one has to cross it. That a
    matrix linear in the unknowns has a level at random points proves that it has it
    everywhere, since its characteristic polynomial is one in the unknowns; not that the
    level keeps its place, unless the matrix has all its levels everywhere.
    """
    if not fixed:
        return {}
    far = [y for share in _FAR for y in _beside(problem, start, targets, share, 6)]
    far += _corners(problem, start.x)
    known = [problem.evaluate(y, targets) for y in far]
    known = [point for point in known if np.isfinite(point.eigenvalues).all()]
    levels = [[np.asarray(w) for w in problem.split(x.eigenvalues)] for x in known]
    values = [np.asarray(problem.values(x.parameters, targets)) for x in known]
    noise = 1e-12 * max((np.abs(w).max() for own in levels for w in own), default=0.0)
    near = np.maximum(_SMALL * _sizes(problem, [start.values, targets]), noise)
    still = [_are_the_same(own) for own in zip(*levels, strict=True)]
    result = {}
    for term in problem.observed:
        blocks = range(len(still)) if term.block is None else [term.block]
        linear = all(problem.blocks[k].structure.is_linear for k in blocks)
        unmoved = linear and all(still[k] for k in blocks)
        unmoved &= not term.observation.uses_modes
        everyone = list(range(term.targets.start, term.targets.stop))
        has_all = isinstance(term.observation, Levels) and len(everyone) == term.order
        for i in sorted(fixed.keys() & everyone):
            value, places, is_certain = fixed[i], [i], unmoved
            if has_all and linear and not unmoved:
                gaps = [np.abs(own[blocks[0]] - value).min() for own in levels]
                is_certain = all(gap <= near[i] for gap in gaps)
                places = everyone if is_certain else places
            constant = all(abs(own[i] - value) <= near[i] for own in values)
            if constant or is_certain or abs(value - targets[i]) <= near[i]:
                result[i] = Constant(value, places, is_certain, len(known))
    return result


def _are_the_same(levels: Sequence[np.ndarray]) -> bool:
    # Whether a matrix has the same levels at all points.
    spread = np.ptp(levels, axis=0).max(initial=0.0)
    return bool(spread <= _SMALL * np.abs(levels).max(initial=0.0))


def _sizes(problem: Problem, values: list[np.ndarray]) -> np.ndarray:
    return _by_group(problem, np.abs(values).max(axis=0))


def _point(problem: Problem, targets: np.ndarray, x: np.ndarray) -> _Point:
    from eigenfit.analysis.sensitivity import sensitivity

    values = np.asarray(problem.values(x, targets))
    own = problem.with_linear_losses()
    return _Point(x, values, sensitivity(own, x, targets).jacobian)


def _beside(
    problem: Problem,
    start: _Point,
    targets: np.ndarray,
    share: float = 0.05,
    number: int = 2,
) -> list[np.ndarray]:
    """Random points inside the bounds, a share of the natural size from the start."""
    point = problem.evaluate(start.x, targets)
    columns = np.linalg.norm(np.asarray(problem.level_jacobian_at(point)), axis=0)
    length = np.linalg.norm(np.asarray(point.eigenvalues)) / np.sqrt(len(start.x))
    seen = columns > 1e-12 * columns.max()
    natural = np.ones_like(columns)
    if seen.any() and length > 0:
        natural[seen] = length / columns[seen]
        natural[~seen] = np.median(natural[seen])
    step = share * np.maximum(np.abs(start.x), natural)
    generator = np.random.default_rng(0)
    points = [start.x + step * generator.normal(size=len(step)) for _ in range(number)]
    if problem.bounds is None:
        return points
    low, high = (np.asarray(bound) for bound in problem.bounds)
    # Reflected at the bounds, not clipped, lest all points meet on one of them.
    width = np.where(np.isfinite(high - low), high - low, np.inf)
    for k, y in enumerate(points):
        y = np.where(y < low, 2 * low - y, y)
        y = np.where(y > high, 2 * high - y, y)
        with np.errstate(invalid="ignore"):
            inside = np.mod(y - low, 2 * width)
            inside = low + np.minimum(inside, 2 * width - inside)
        y = np.where(np.isfinite(inside), inside, y)
        points[k] = np.clip(y, low, high)
    return points


def _corners(problem: Problem, x: np.ndarray, number: int = 8) -> list[np.ndarray]:
    """Random corners of the bounds, and points between; `x` where there is none."""
    if problem.bounds is None:
        return []
    low, high = (np.where(np.isfinite(b), b, x) for b in problem.bounds)
    generator = np.random.default_rng(1)
    shares = generator.integers(0, 2, [number, len(x)])
    shares = np.concatenate([shares, 1 - shares, generator.uniform(size=shares.shape)])
    return list(low + shares * (high - low))


def _groups(problem: Problem) -> list[slice]:
    """The targets of each observation, which have one unit."""
    return list(problem.parts)


def _by_group(problem: Problem, sizes: np.ndarray) -> np.ndarray:
    """Largest of the sizes `[m]` of an observation, for each of its targets."""
    result = sizes.copy()
    for part in _groups(problem):
        result[part] = max(sizes[part].max(), 1e-300)
    return result


def _has_equal(problem: Problem, targets: np.ndarray) -> bool:
    # Whether levels should coincide.
    return any(
        len(np.unique(targets[part])) < part.stop - part.start
        for _, observation, part in problem.terms
        if isinstance(observation, Levels)
    )


def _num_shifts(problem: Problem) -> int:
    return sum(isinstance(x, FreeShift) for x in problem.observations)


def _rank(J: np.ndarray) -> int:
    from eigenfit.analysis.undetermined import decomposed

    if not J.size:
        return 0
    return int(decomposed(J, np.zeros(J.shape[1], bool), _SMALL).seen.sum())


def _lost(J: np.ndarray, names: Sequence[str]) -> str:
    """Writes out the combinations of unknowns that a Jacobian `[m, p]` does not see."""
    from eigenfit.analysis.undetermined import decomposed, listed, reduced, written

    found = decomposed(J, np.zeros(J.shape[1], bool), _SMALL)
    rows = reduced(found.directions[~found.seen], float(found.rounding))
    return listed(written(rows, found.scales, names))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
