"""The result codes and their texts, for code that runs without TensorFlow.

The client, the server with its page, and batches use them; those of `eigenfit.Result`
are the same.
"""

from __future__ import annotations

import enum


class Result(enum.IntEnum):
    """How the fit of one member ended: the codes of `eigenfit.Result`.

    Example:
        >>> Result(6)
        <Result.minimum: 6>
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
        """Whether the fit met its targets or found a minimum."""
        return self in SUCCESSES

    @property
    def text(self) -> str:
        """What happened, the usual causes, and what to try."""
        return _TEXTS[self]


SUCCESSES = (Result.converged, Result.minimum)
"""The codes of fits that met their targets or found a minimum."""


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
