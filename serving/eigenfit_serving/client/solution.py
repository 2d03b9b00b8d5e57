"""What a client is given: solutions, gradients, progress."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eigenfit_serving.client.arrays import join_complex
from eigenfit_serving.client.errors import BadReply, FitError


class Result(enum.IntEnum):
    """How the fit of one member ended: the codes of `eigenfit.Result`.

    Example:
        >>> Result(0).text
        'The loss is at or below the tolerance.'
    """

    converged = 0
    stationary = 1
    max_steps = 2
    stalled = 3
    nonfinite = 4
    invalid_input = 5

    @property
    def text(self) -> str:
        """What happened and what to try."""
        return _TEXTS[self]


_TEXTS = {
    Result.converged: "The loss is at or below the tolerance.",
    Result.stationary: (
        "No small change of the parameters lowers the loss, yet the targets are not "
        "met: a least-squares answer. Try other starts or a richer structure."
    ),
    Result.max_steps: (
        "The step limit was reached before the loss fell to the tolerance. Try a "
        "larger `max_steps` or another start."
    ),
    Result.stalled: (
        "The steps became too small while the loss was above the tolerance. Try a "
        "larger `tolerance`, a model in float64, or another start."
    ),
    Result.nonfinite: (
        "A step or the start produced NaN or infinity; the answer is the last finite "
        "one. Try another start."
    ),
    Result.invalid_input: (
        "The fit was not started: a number is NaN or infinite, targets do not ascend, "
        "a start lies outside its bounds, or a limit is out of range. Correct this "
        "member's input."
    ),
}


class Solution(NamedTuple):
    """The answer of a fit, one member for each batch index `...`."""

    parameters: np.ndarray  # [..., p] the fitted parameters r
    matrix: Any  # [..., n, n] A(r); of several blocks a dict of them by label
    eigenvalues: np.ndarray  # [..., n] of A(r), ascending
    loss: np.ndarray  # [...] sum_i weight_i (t_i - lambda_i)^2
    num_steps: np.ndarray  # [...] int32, steps taken
    result: np.ndarray  # [...] int32, a Result

    @property
    def converged(self) -> np.ndarray:
        """Which members converged, `[...]`."""
        return np.asarray(self.result == Result.converged)

    def raise_for_result(self) -> Solution:
        """Returns the solution itself if every member converged.

        Raises:
            FitError: With the text of each kind of result that occurred.
        """
        codes = np.asarray(self.result)
        lines = []
        for code in Result:
            number = int((codes == code).sum())
            if code == Result.converged or not number:
                continue
            who = f" ({number} of {codes.size} members)" if codes.ndim else ""
            lines.append(f"{code.name}{who}: {code.text}")
        if lines:
            raise FitError("\n".join(lines))
        return self


class RandomFit(NamedTuple):
    """The answer of a fit from starts that the model drew."""

    initial: np.ndarray  # [..., p]
    solution: Solution


class Gradient(NamedTuple):
    """Loss and gradient at given parameters."""

    loss: np.ndarray  # [...]
    gradient: np.ndarray  # [..., p]
    eigenvalues: np.ndarray  # [..., n]


class Progress(NamedTuple):
    """Where a fit driven by `iterate` is."""

    step: int  # steps tried so far
    parameters: np.ndarray  # [..., p]
    eigenvalues: np.ndarray  # [..., n]
    loss: np.ndarray  # [...]
    num_steps: np.ndarray  # [...] int32, steps that each member has taken
    running: np.ndarray  # [...] bool, members that have not ended
    state: dict[str, np.ndarray]  # for `Client.step`


def solution_of(answer: Mapping[str, np.ndarray]) -> Solution:
    """Makes a solution of the outputs of a signature."""
    joined = join_complex(answer)
    matrices = {
        name: joined.pop(name)
        for name in list(joined)
        if name == "matrix" or name.startswith("matrix_")
    }
    single = matrices.get("matrix") if len(matrices) == 1 else None
    labelled = {name.removeprefix("matrix_"): A for name, A in matrices.items()}
    try:
        return Solution(matrix=labelled if single is None else single, **joined)
    except TypeError:
        raise BadReply(
            f"These are not the outputs of a fit: {', '.join(sorted(answer))}."
        ) from None
