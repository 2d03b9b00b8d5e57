"""Many starts in one batch, and the distinct solutions they lead to."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from eigenfit.fitting.solver import Solver
from eigenfit.methods import Alternating
from eigenfit.problem.arguments import parameters_of, targets_of
from eigenfit.problem.problem import Problem
from eigenfit.results import Progress, Result, Solution
from eigenfit.searches.solutions import (
    DistinctSolutions,
    Symmetries,
    describe,
    distinct_solutions,
)
from eigenfit.searches.starts import natural_starts
from eigenfit.tensors.checks import positive_int
from eigenfit.tensors.types import TensorLike


class MultistartResult(NamedTuple):
    """What `multistart` found: s distinct solutions, in NumPy."""

    parameters: np.ndarray  # [s, p] canonical, best first
    eigenvalues: np.ndarray  # [s, N], ascending
    loss: np.ndarray  # [s]
    result: np.ndarray  # [s] a Result
    counts: np.ndarray  # [s] members that led there
    num_converged: int  # members that converged
    starts: np.ndarray  # [k, p] the starts used
    solution: Solution  # the solution of all k members, as the fit ended
    family_dimension: np.ndarray  # [s] of the continuum it stands for; 0: isolated
    copies: np.ndarray  # [s] number that differ by signs only, itself included
    labels: np.ndarray  # [k] the row of each member, -1 for none

    @property
    def texts(self) -> list[str]:
        """Description of each solution, in words."""
        return describe(self.result, self.family_dimension, self.copies)


def multistart(
    solver: Solver,
    targets: TensorLike,
    starts: TensorLike = 64,
    *,
    seed: int = 0,
    draw: Callable[[np.random.Generator, int], Any] | None = None,
    tolerance: float | None = None,
    max_steps: int | None = None,
    first: bool = False,
    rtol: float = 1e-4,
    symmetries: Symmetries = "auto",
    progress: Callable[[Progress], None] | None = None,
) -> MultistartResult:
    """Fits from many starts in one batch and returns the distinct solutions.

    Solutions are end points that meet the targets, least-squares minima, and local
    minima that miss the targets; `result` and `texts` say which. Where `auto` descends
    from several points to find the best minimum, each start leads to its own here.
    Other end points, such as those at the step limit, count only if there is no better
    one; then the single row is that of the lowest loss. There is no row if no member
    has a finite loss.

    End points are the same solution if the data do not resolve their difference, or
    hardly do and no parameter differs by more than `rtol` of its own size (see
    `searches.distinct`). Before that, each is improved by up to 20 Gauss-Newton steps,
    whole periods are subtracted from parameters, and sign changes that no observation
    sees are undone (see `searches.mirrors`, also for several matrices): one solution
    stands for all such copies, whose number is `copies`.

    A continuum of solutions, the rule if there are more parameters than data, is one
    row of dimension `family_dimension`: that of the member that went least far from
    its start. Whether there is more than one continuum is not determined.

    Solutions are in the order of their loss, with those that meet the targets counted
    as equal; then those found by more members come first, then those with smaller
    parameters, compared one after the other.

    Unless `draw` is given, starts are `r_0 + sigma N(0, 1) / d` for a linear structure
    `A_0 + sum_k r_k A_k` of known `squared_norms`, with `d_k = |A_k|` (Frobenius, 1
    where it is 0). Here mu and v are mean and variance of the targets, and r_0 is the
    least-squares solution of `A(r_0) = mu I` (the smallest one in `d_k r_k`). With
    `sigma^2 = max(n v - |A(r_0) - mu I|^2, n v / 4) / p`, A(r) has on average the sum
    of squared deviations from mu that the targets ask for. v is taken to be at least
    `mu^2 / 100`; if mu and v are 0, n v is `4 |A(r_0)|^2`. If parameters have bounds,
    each start is uniform between them, or at an exponential distance (of mean s, or
    the size of the bound if that is larger) from the only bound; unbounded parameters
    are s N(0, 1). So are all parameters in problems with several matrices. Here s is
    the size given in `scales`, or `max |t| / d_k` with
    `d_k^2 = p max_b |A_bk|^2 / n_b` over the blocks b; 1 if structures are not linear
    or no targets are levels or their differences: such parameters need `scales` if
    their sizes are far from 1. Unbounded periodic parameters are uniform over a
    period. A longer run with the same seed begins with the starts of a shorter one.

    Args:
        solver: The solver that makes the fits.
        targets: `[m]`, ascending with their levels.
        starts: Number of starts, or the starts themselves, `[k, p]`.
        seed: Seed of the random starts.
        draw: Function that takes a NumPy generator and a number k and returns `[k, p]`.
        tolerance: As for `Solver.fit`.
        max_steps: Step limit of each member; by default that of the method.
        first: Stops when a member has converged, and returns the solution of the
            earliest start that did. Starts are fitted in batches of 1, 2, 4, 8, ...
        rtol: Relative distance of parameters up to which solutions are the same.
        symmetries: "auto" for sign changes only, False for none, or a function that
            maps canonical parameters `[k, p]` to representatives under a symmetry of
            your own, which must change neither the spectrum nor the loss, nor leave the
            bounds; these are compared and returned.
        progress: Called as by `Solver.fit`; with `first` for each batch anew.

    Returns:
        The distinct solutions.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a shape does not fit, a number is out of range, targets do not
            ascend, or `symmetries` changes the spectrum or the loss.

    Example:
        The two orders of the diagonal that give the levels 1 and 4:

        >>> from eigenfit import Additive, Problem
        >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
        >>> found = multistart(solver, [1.0, 4.0], starts=16)
        >>> found.parameters[found.parameters[:, 0].argsort()].round(6)
        array([[1.381966, 3.618034],
               [3.618034, 1.381966]])
        >>> int(found.counts.sum()) == found.num_converged
        True
    """
    if not isinstance(solver, Solver):
        raise TypeError(f"`solver` must be a Solver, got {solver!r}.")
    problem = solver.problem
    if draw is not None and not callable(draw):
        raise TypeError(f"`draw` must be callable, got {draw!r}.")
    if not (callable(symmetries) or symmetries in ("auto", False, None)):
        raise TypeError(
            f'`symmetries` must be callable, "auto" or False, got {symmetries!r}.'
        )
    if tolerance is not None:
        _check_number("tolerance", tolerance)
    _check_number("rtol", rtol, below=1.0)
    if max_steps is not None and np.ndim(max_steps):
        raise ValueError(f"`max_steps` must be one integer, got {max_steps!r}.")
    target = _one_vector(problem, targets)
    begin = _starts(problem, target, starts, seed, draw)

    fitting = solver if first else one_descent(solver)

    def fit(part: np.ndarray) -> Solution:
        return fitting.fit(
            part, target, tolerance=tolerance, max_steps=max_steps, progress=progress
        )

    solution = _until_converged(fit, begin) if first else fit(begin)
    begin = begin[: len(solution.loss)]
    found = distinct_solutions(
        solver,
        solution,
        target,
        starts=begin,
        rtol=rtol,
        symmetries=symmetries,
    )
    converged = solution.result.numpy() == Result.converged
    if first and converged.any():
        found = _only(found, found.labels[np.argmax(converged)])
    return MultistartResult(
        parameters=found.parameters,
        eigenvalues=found.eigenvalues,
        loss=found.loss,
        result=found.result,
        counts=found.counts,
        num_converged=int(converged.sum()),
        starts=begin,
        solution=solution,
        family_dimension=found.family_dimension,
        copies=found.copies,
        labels=found.labels,
    )


def _until_converged(
    fit: Callable[[np.ndarray], Solution], starts: np.ndarray
) -> Solution:
    # Batches of 1, 2, 4, 8, ... starts, until a member has converged.
    parts: list[Solution] = []
    used = 0
    while used < len(starts):
        # One more than all starts so far.
        parts.append(fit(starts[used : 2 * used + 1]))
        used = min(2 * used + 1, len(starts))
        if (parts[-1].result.numpy() == Result.converged).any():
            break
    fields = zip(*(part[:6] for part in parts), strict=True)
    return Solution(*(tf.concat(field, axis=0) for field in fields))


def _only(found: DistinctSolutions, row: int) -> DistinctSolutions:
    rows = {k: x[row : row + 1] for k, x in found._asdict().items()}
    return DistinctSolutions(**{**rows, "labels": np.where(found.labels == row, 0, -1)})


_DESCENTS: weakref.WeakKeyDictionary[Solver, Solver] = weakref.WeakKeyDictionary()


def one_descent(solver: Solver) -> Solver:
    """Returns a solver that ends at the first minimum, even if the given one goes on.

    For least squares `auto` descends from several points and returns the best minimum.
    To find all of them, each start must lead to its own.
    """
    method = solver.method
    several = isinstance(method, Alternating) and method.descend_first
    if not several or method.agreement in (None, 1):
        return solver
    if solver not in _DESCENTS:
        once = Alternating(method.num_bursts, descend_first=True, agreement=1)
        _DESCENTS[solver] = Solver(solver.problem, once, compile=solver.compile)
    return _DESCENTS[solver]


def _starts(
    problem: Problem,
    target: np.ndarray,
    starts: Any,
    seed: int,
    draw: Callable[[np.random.Generator, int], Any] | None,
) -> np.ndarray:
    if callable(starts):
        raise TypeError(
            "`starts` must be a number or an array. Give a function as `draw`, and "
            "the number of starts as `starts`."
        )
    if tf.is_tensor(starts) or isinstance(starts, tf.Variable) or np.ndim(starts):
        if draw is not None:
            raise ValueError("`draw` needs a number as `starts`, not the starts.")
        return _given(problem, "starts", starts)
    number = positive_int("starts", starts)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"`seed` must be an integer of at least 0, got {seed!r}.")
    rng = np.random.default_rng(seed)
    if draw is not None:
        return _given(problem, "draw", draw(rng, number), number)
    drawn = natural_starts(problem, target, number, rng)
    return drawn.astype(problem.parameter_dtype.as_numpy_dtype)


def _given(
    problem: Problem, name: str, value: Any, number: int | None = None
) -> np.ndarray:
    array = np.asarray(parameters_of(problem, name, value))
    if array.ndim != 2 or not len(array) or len(array) != (number or len(array)):
        rows = "k" if number is None else number
        raise ValueError(
            f"`{name}` must give shape [{rows}, {problem.num_parameters}], a row of "
            f"parameters for each start, got {list(array.shape)}."
        )
    return array


def _one_vector(problem: Problem, targets: Any) -> np.ndarray:
    if tf.is_tensor(targets) and not hasattr(targets, "numpy"):
        raise TypeError("`multistart` cannot be used inside compiled code.")
    array = np.asarray(targets_of(problem, targets))
    if array.ndim != 1:
        raise ValueError(
            f"`targets` must be one vector [{problem.num_targets}], got shape "
            f"{list(array.shape)}. Call `multistart` for each vector."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"`targets` must be finite, got {array.tolist()}.")
    return array


def _check_number(name: str, value: Any, below: float = np.inf) -> None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not 0 < number < below:
        limit = "" if below == np.inf else f" below {below:g}"
        raise ValueError(f"`{name}` must be one positive number{limit}, got {value!r}.")
