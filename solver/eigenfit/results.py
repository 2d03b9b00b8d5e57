"""What a fit returns: result codes with their texts, the solution, its history."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np
import tensorflow as tf

RUNNING = -1
"""Code of a member whose fit has not ended; never part of a `Solution`."""


class Result(enum.IntEnum):
    """How the fit of one member of a batch ended.

    `converged` and `minimum` are successes. With more data than unknowns, data with
    standard deviations, or priors, the targets are not expected to be met exactly: the
    least-squares answer is what was asked for, a `minimum`. Where at least as many
    unknowns as targets should have met them, the same point is a local minimum that
    misses them, `stationary`.

    Example:
        >>> Result(0)
        <Result.converged: 0>
        >>> Result.max_steps.text.split(".")[0]
        'The step limit was reached before the loss fell to the tolerance'
        >>> [result.name for result in Result if result.is_success]
        ['converged', 'minimum']
    """

    converged = 0
    stationary = 1
    max_steps = 2
    stalled = 3
    nonfinite = 4
    invalid_input = 5
    minimum = 6

    @property
    def is_success(self) -> bool:
        """Whether the fit found what was asked for."""
        return self in SUCCESSES

    @property
    def text(self) -> str:
        """What happened, the usual reason, and what to try."""
        return _TEXTS[self]


SUCCESSES = (Result.converged, Result.minimum)
"""The codes of fits that found what was asked for."""


_TEXTS = {
    Result.converged: "The targets are met: the loss is at or below the tolerance.",
    Result.minimum: (
        "A least-squares minimum: no small change of the parameters lowers the loss, "
        "and the data, being more than the unknowns or having errors, need not be met "
        "exactly. How well the model explains them the chi-square says, or with a "
        "robust loss the outliers; whether there is a lower minimum elsewhere only "
        "other starts can show."
    ),
    Result.stationary: (
        "To first order no change of the parameters lowers the loss any further, yet "
        "the targets are not met: a local minimum that is not good enough, or a "
        "saddle. Usually no matrix of this structure has these eigenvalues, parameters "
        "are held on their bounds, or the start led to a local minimum or was a point "
        "of symmetry, such as couplings that are all zero. Try other starts, wider "
        "bounds, or a structure with more parameters; data with errors need their "
        "`sigma`."
    ),
    Result.max_steps: (
        "The step limit was reached before the loss fell to the tolerance. Usually "
        "the method is slow here or the start is far away. Try a larger `max_steps`, "
        'method "auto", or another start.'
    ),
    Result.stalled: (
        "The steps became too small to change the parameters while the loss was "
        "still above the tolerance. Usually the tolerance is below what the dtype "
        "resolves (try float64 or a larger `tolerance`), two levels met whose targets "
        "differ (try another start), targets coincide (try ClusterNewton or "
        "LoewnerNewton), or a parameter ran off until rounding hid the levels (give it "
        "bounds or a prior)."
    ),
    Result.nonfinite: (
        "A step or the start produced NaN or infinity; the answer is the last "
        "finite one. Usually the step was too long or the structure is undefined "
        "there, a mass matrix is not positive definite, or levels coincide whose mode "
        "shapes are observed, or parameters are so large or small that squares leave "
        "the range of the dtype. Try a smaller learning rate, other units of the "
        "parameters, bounds, or another start."
    ),
    Result.invalid_input: (
        "The fit was not started: a target or start value is NaN or infinite, the "
        "targets do not ascend, a start lies outside its bounds, or `tolerance` is not "
        "positive or `max_steps` negative. Correct this member's input; the other "
        "members are unaffected."
    ),
}


class FitError(RuntimeError):
    """Raised by `Solution.raise_for_result` if a member is not a success."""


class History(NamedTuple):
    """Snapshots of a fit, at most `record_limit` of them, and its end.

    A member that ended earlier keeps its last values in later snapshots.

    Example:
        >>> from eigenfit import Problem, Solver, Symmetric
        >>> solver = Solver(Problem(Symmetric(2)), "levenberg-marquardt")
        >>> solution = solver.fit([1.0, 2.0, 5.0], [0.0, 1.0], record_every=1)
        >>> history = solution.history
        >>> history.steps.numpy()[:3].tolist(), bool(history.loss[-1] < history.loss[0])
        ([0, 1, 2], True)
    """

    steps: tf.Tensor  # [h] int32, number of steps tried at each snapshot
    loss: tf.Tensor  # [..., h]
    eigenvalues: tf.Tensor  # [..., h, n]


class Progress(NamedTuple):
    """What a `progress` callback of `Solver.fit` receives between compiled chunks.

    Example:
        >>> from eigenfit import Problem, Solver, Symmetric
        >>> solver = Solver(Problem(Symmetric(2)))
        >>> seen = []
        >>> _ = solver.fit([1.0, 2.0, 5.0], [0.0, 1.0], progress=seen.append)
        >>> seen[-1].num_members
        1
    """

    step: int  # steps taken so far
    max_steps: int  # the largest step limit of the batch
    num_running: int  # members that have not ended
    num_members: int  # members of the batch
    worst_loss: float  # largest loss of the running members; 0.0 if none runs


class Solution(NamedTuple):
    """The answer of `Solver.fit`, one member for each batch index `...`.

    Example:
        >>> from eigenfit import Additive, Problem, Solver
        >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
        >>> solution = solver.fit([0.0, 4.0], [0.0, 4.0])
        >>> solution.matrix.numpy().round(3).tolist()
        [[0.268, 1.0], [1.0, 3.732]]
        >>> Result(int(solution.result)).name, bool(solution.success)
        ('converged', True)
    """

    parameters: tf.Tensor  # [..., p] the fitted parameters r
    matrix: tf.Tensor  # [..., n, n] A(r)
    eigenvalues: tf.Tensor  # [..., n] of A(r), ascending
    loss: tf.Tensor  # [...] sum_i weight_i (t_i - lambda_i)^2
    num_steps: tf.Tensor  # [...] int32, steps taken
    result: tf.Tensor  # [...] int32, a Result
    history: History | None = None  # only when `record_every` was given

    @property
    def success(self) -> np.ndarray:
        """Which members ended `converged` or at a `minimum`, `[...]` bool."""
        return np.isin(np.asarray(self.result), SUCCESSES)

    def raise_for_result(self) -> Solution:
        """Returns the solution itself if every member is a success.

        Raises:
            FitError: Names the members that are not, with the text of each kind of
                result that occurred.

        Example:
            >>> from eigenfit import Additive, Problem, Solver
            >>> solver = Solver(Problem(Additive([[0.0, 1.0], [1.0, 0.0]])))
            >>> solution = solver.fit([0.0, 4.0], [0.0, 1.0])  # 2 apart, at least
            >>> try:
            ...     solution.raise_for_result()
            ... except FitError as error:
            ...     print(str(error).partition(".")[0][:37])
            stationary: To first order no change
        """
        if self.success.all():
            return self
        codes = np.asarray(self.result)
        lines = []
        for code in Result:
            where = np.argwhere(codes == code)
            if code.is_success or not len(where):
                continue
            who = ""
            if codes.ndim:
                shown = ", ".join(str(tuple(int(i) for i in w)) for w in where[:5])
                more = ", ..." if len(where) > 5 else ""
                who = f" ({len(where)} of {codes.size} members: {shown}{more})"
            lines.append(f"{code.name}{who}: {code.text}")
        raise FitError("\n".join(lines))
