"""The isospectral projection: the closed form for unconstrained matrices."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from eigenfit.eigen import from_spectrum
from eigenfit.methods.base import AbstractMethod
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.results import RUNNING, Result
from eigenfit.structures import AbstractFullStructure
from eigenfit.tensors.batching import select


class IsospectralProjectionState(NamedTuple):
    """Loop variable of `IsospectralProjection`."""

    point: Evaluation
    code: tf.Tensor  # [...] int32, a Result or RUNNING


class IsospectralProjection(AbstractMethod):
    """Solves in one step if the structure reaches every matrix of its order.

    Among all matrices with the wanted spectrum, `V diag(t) V^H` is the nearest to
    `V diag(lambda) V^H` in the Frobenius norm (Hoffman & Wielandt, Duke Math. J. 20
    (1953)). Levels that are not observed move as little as the order of the spectrum
    allows.

    The eigenvectors are kept, so that the fit makes a single eigendecomposition, that
    of the start: the levels of the answer are the Rayleigh quotients `v^H A v` of the
    assembled matrix, as accurate as a decomposition of it.

    Example:
        >>> IsospectralProjection()
        IsospectralProjection()
    """

    default_max_steps = 1
    is_direct = True
    needs_levels = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def __repr__(self) -> str:
        return "IsospectralProjection()"

    def check(self, problem: Problem) -> None:
        """Raises ValueError unless the structure reaches every matrix."""
        super().check(problem)
        if not isinstance(problem.structure, AbstractFullStructure):
            raise ValueError(
                f"`method` IsospectralProjection needs a structure that reaches every "
                f"matrix, such as Symmetric; {problem.structure!r} does not. Use "
                f'method="auto" or LevenbergMarquardt().'
            )

    def init(
        self, problem: Problem, parameters: tf.Tensor, targets: tf.Tensor
    ) -> IsospectralProjectionState:
        """Evaluates the start; see the base class."""
        point = problem.evaluate(parameters, targets)
        return IsospectralProjectionState(point, tf.fill(tf.shape(point.loss), RUNNING))

    def step(
        self, problem: Problem, state: IsospectralProjectionState, targets: tf.Tensor
    ) -> IsospectralProjectionState:
        """Replaces the spectrum, keeping the eigenvectors; see the base class."""
        structure = problem.structure
        assert isinstance(structure, AbstractFullStructure)
        point = state.point
        V = _orthonormal(point.eigenvectors)
        spectrum = problem.only_levels().nearest_spectrum(point.eigenvalues, targets)
        parameters = structure.disassemble(from_spectrum(V, spectrum))
        image = tf.linalg.matmul(structure.assemble(parameters), V)
        quotients = tf.reduce_sum(tf.math.real(tf.math.conj(V) * image), axis=-2)
        # Quotients of a multiple level may differ by rounding, in any order.
        trial = problem.engine.compare(
            parameters, tf.sort(quotients, axis=-1), V, targets
        )
        # A second step would only change rounding errors.
        better = (trial.loss < point.loss) & (state.code == RUNNING)
        return IsospectralProjectionState(
            point=select(better, trial, point),
            code=tf.fill(tf.shape(point.loss), int(Result.stalled)),
        )

    def terminate(
        self, problem: Problem, state: IsospectralProjectionState
    ) -> tf.Tensor:
        """Reports what the last step found; see the base class."""
        return state.code


def _orthonormal(V: tf.Tensor) -> tf.Tensor:
    """Removes the rounding errors of a basis by one Newton-Schulz step.

    A basis that is off by d gives levels off by as much: float32 solvers leave
    d = 5e-6. Source: N. J. Higham, Functions of Matrices (2008), section 8.3.
    """
    gram = tf.linalg.matmul(V, V, adjoint_a=True)
    error = tf.eye(V.shape[-1], dtype=V.dtype) - gram
    return V + tf.linalg.matmul(V, error) / 2
