"""The answers of a client: solutions, gradients, progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eigenfit_serving.client.arrays import join_complex
from eigenfit_serving.client.errors import BadReply, FitError
from eigenfit_serving.protocol.result_codes import SUCCESSES, Result


class Solution(NamedTuple):
    """The answer of a fit, one member for each batch index `...`."""

    parameters: np.ndarray  # [..., p] the fitted parameters r
    matrix: Any  # [..., n, n] A(r); for several blocks a dict of them by label
    eigenvalues: np.ndarray  # [..., n] of A(r), ascending
    loss: np.ndarray  # [...] sum_i weight_i (t_i - lambda_i)^2
    num_steps: np.ndarray  # [...] int32, steps taken
    result: np.ndarray  # [...] int32, a Result

    @property
    def converged(self) -> np.ndarray:
        """Which members met their targets, `[...]` bool."""
        return np.asarray(self.result == Result.converged)

    @property
    def success(self) -> np.ndarray:
        """Which members ended `converged` or at a `minimum`, `[...]` bool."""
        return np.isin(self.result, SUCCESSES)

    def raise_for_result(self) -> Solution:
        """Returns the solution itself if every member is a success.

        Raises:
            FitError: If not; holds the text of each kind of failure.
        """
        codes = np.asarray(self.result)
        lines = []
        for code in Result:
            number = int((codes == code).sum())
            if code.is_success or not number:
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
    """The progress of a fit driven by `iterate`."""

    step: int  # number of steps tried so far
    parameters: np.ndarray  # [..., p]
    eigenvalues: np.ndarray  # [..., n]
    loss: np.ndarray  # [...]
    num_steps: np.ndarray  # [...] int32, steps that each member has taken
    running: np.ndarray  # [...] bool, members that have not ended
    state: dict[str, np.ndarray]  # for `Client.step`


def solution_of(answer: Mapping[str, np.ndarray]) -> Solution:
    """Makes a solution from the outputs of a signature."""
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
