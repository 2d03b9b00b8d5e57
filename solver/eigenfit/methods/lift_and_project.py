"""Lift and project: a constant metric, factored once."""

from __future__ import annotations

import weakref

import numpy as np
import tensorflow as tf

from eigenfit.eigen import epsilon, from_spectrum
from eigenfit.methods.stepping.proposal import Proposal
from eigenfit.methods.stepping.undamped import AbstractUndamped
from eigenfit.problem.problem import Evaluation, Problem
from eigenfit.structures.base import AbstractStructure
from eigenfit.tensors.checks import number

_BLOCK = 2**22
"""Most entries of matrices dA/dr_k built at once for the Gram matrix."""


class LiftAndProject(AbstractUndamped):
    """Projects onto the spectrum and the structure in turn; for linear structures.

    The lift `Z = V diag(t) V^H` is the nearest matrix with the wanted spectrum, and
    the projection `c + G^-1 <Z - A(c), A_k>` with the Gram matrix `G_kl = <A_k, A_l>`
    the structure's nearest matrix to Z (X. Chen & M. T. Chu, SIAM J. Numer. Anal. 33
    (1996) 2417-2430). G is constant and inverted once: a step takes little more than
    its decomposition, and the distance to the wanted spectrum falls in every step. It
    converges linearly, often slowly, but in one step if the structure reaches every
    matrix or if all targets that are free to move coincide. Levels that are not
    observed move as little as the order of the spectrum allows.

    For the way a fit ends see `AbstractUndamped`.

    Args:
        relaxation: Factor of the step, at least 1 and less than 2; 1.5 to 1.9 usually
            saves a third of the steps or more.
        name: Name of the `tf.Module`.

    Raises:
        ValueError: If `relaxation` lies outside this range.

    Example:
        >>> LiftAndProject()
        LiftAndProject(relaxation=1.0)
    """

    default_max_steps = 5_000
    takes_many_steps = True

    def __init__(self, relaxation: float = 1.0, name: str | None = None) -> None:
        super().__init__(name=name)
        self.relaxation = number("relaxation", relaxation)
        if not 1 <= self.relaxation < 2:
            raise ValueError(f"`relaxation` must lie in [1, 2), got {relaxation!r}.")

    needs_levels = True

    def __repr__(self) -> str:
        return f"LiftAndProject(relaxation={self.relaxation})"

    def check(self, problem: Problem) -> None:
        """Raises ValueError unless the structure is linear and weights are equal."""
        super().check(problem)
        if not problem.structure.is_linear:
            raise ValueError(
                f"`method` LiftAndProject needs a structure that is linear in its "
                f"parameters, such as Affine; {problem.structure!r} is not. Use "
                f"LevenbergMarquardt()."
            )
        weights = problem.only_levels().weights
        differ = tf.is_tensor(weights) or (weights is not None and np.ptp(weights))
        if differ:
            raise ValueError(
                f"`method` LiftAndProject minimises the sum of unweighted squares, but "
                f"the weights of {problem.observation!r} differ. Use "
                f"LevenbergMarquardt()."
            )

    def first_memory(self, problem: Problem, point: Evaluation) -> tuple[()]:
        """Remembers nothing; see the base class."""
        del problem, point
        return ()

    def propose(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        memory: tuple[()],
    ) -> Proposal:
        """Lifts and projects; see the base class."""
        structure = problem.structure
        norms, inverse = _metric(structure)
        w = point.eigenvalues
        change = problem.only_levels().nearest_spectrum(w, targets) - w
        lift = from_spectrum(point.eigenvectors, change)
        norms = tf.zeros_like(point.parameters) + tf.constant(norms, w.dtype)
        along = structure.pullback(point.parameters, lift) / norms
        whole = along
        if inverse is not None:
            whole = tf.linalg.matvec(tf.constant(inverse, w.dtype), along)
        return Proposal(
            step=problem.in_own_unit(self.relaxation * whole),
            half_gradient=-problem.in_own_unit(along),
            norms=problem.in_own_unit(norms),
            memory=memory,
        )


_METRICS: weakref.WeakKeyDictionary[
    AbstractStructure, tuple[np.ndarray, np.ndarray | None]
] = weakref.WeakKeyDictionary()


def _metric(structure: AbstractStructure) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the norms D of the dA/dr_k, `[p]`, and `(D^-1 G D^-1)^+`, `[p, p]`.

    None stands for the identity: the matrices are orthogonal. A parameter without
    influence has D = 1 and keeps its value.
    """
    if structure not in _METRICS:
        G = _gram(structure)
        diagonal = np.diagonal(G)
        norms = np.sqrt(np.where(diagonal > 0, diagonal, 1))
        G = G / norms / norms[:, np.newaxis]
        rounding = 8 * len(G) * epsilon(structure.dtype)
        off_diagonal = np.abs(G - np.diag(np.diagonal(G))).max()
        inverse = None
        if off_diagonal > rounding:
            inverse = np.linalg.pinv(G, rcond=rounding, hermitian=True)
        _METRICS[structure] = norms, inverse
    return _METRICS[structure]


def _gram(structure: AbstractStructure) -> np.ndarray:
    """Computes `<A_k, A_l>`, `[p, p]`, in double precision, outside any graph."""
    p, n = structure.num_parameters, structure.order
    block = max(1, _BLOCK // n**2)
    with tf.init_scope():
        rows = []
        for first in range(0, p, block):
            units = np.eye(p)[first : first + block]
            directions = tf.constant(units, structure.parameter_dtype)
            origin = tf.zeros_like(directions)
            matrices = structure.pushforward(origin, directions)
            rows.append(structure.pullback(origin, matrices).numpy())
    G = np.concatenate(rows).astype(np.float64)
    return (G + G.T) / 2
