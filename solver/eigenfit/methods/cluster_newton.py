"""Newton's method with the equations of prescribed multiple eigenvalues."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.methods import proposal, steps
from eigenfit.methods.proposal import Proposal
from eigenfit.methods.undamped import AbstractUndamped
from eigenfit.problem.problem import Evaluation, Problem


class ClusterNewton(AbstractUndamped):
    """`Newton` for coinciding targets: prescribes the whole block of a cluster.

    A level that is to keep its multiplicity s under the change d needs the
    `s (s + 1) / 2` equations `Q^H A(r + d) Q = t I` with its eigenvectors Q, not only
    the s on the diagonal (Problem 2 of S. Friedland, J. Nocedal & M. L. Overton, SIAM
    J. Numer. Anal. 24 (1987) 634-667; for a complex Q there are s^2). All equations
    are solved in the least-squares sense, those off the diagonal times `sqrt(2)`, so
    that the sum of squares is that of the block. Targets form a cluster when they are
    equal, for each member separately; without clusters this is `Newton`.

    A step takes the time and memory of `m (m + 1) / 2` equations for m targets.

    Args:
        name: Name of the `tf.Module`.

    Example:
        >>> ClusterNewton()
        ClusterNewton()
    """

    default_max_steps = 100
    needs_levels = True

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)

    def __repr__(self) -> str:
        return "ClusterNewton()"

    def first_memory(self, problem: Problem, point: Evaluation) -> tf.Tensor:
        """Scales the parameters; see the base class."""
        return proposal.scale_of(problem, point)

    def propose(
        self,
        problem: Problem,
        point: Evaluation,
        targets: tf.Tensor,
        memory: tf.Tensor,
    ) -> Proposal:
        """Solves for the whole step; see the base class."""
        scale, norms, J, half_gradient = steps.scaled_at(problem, point, memory)
        # In the basis of the eigenvectors the blocks are already diagonal.
        couplings = problem.in_own_unit(couplings_of(problem, point, targets))
        couplings /= norms[..., tf.newaxis, :]
        none = tf.zeros_like(point.loss)
        return Proposal(
            step=steps.direction(J, point.residual, none, couplings),
            half_gradient=half_gradient,
            norms=norms,
            memory=scale,
        )


def couplings_of(problem: Problem, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
    """Returns `sqrt(2) v_i^H A_k v_j` for equal targets i < j: `[..., pairs, p]`.

    Pairs of unequal targets have rows of zeros. Pairs of weighted levels get the
    geometric mean of their weights.
    """
    positions = problem.observation.positions(problem.order)
    V = tf.gather(point.eigenvectors, positions, axis=-1)
    D = problem.structure.rotated_derivatives(point.parameters, V)
    m = len(positions)
    i, j = np.triu_indices(m, 1)
    flat = tf.reshape(D, tf.concat([tf.shape(D)[:-2], [m * m]], axis=0))
    rows = tf.linalg.matrix_transpose(tf.gather(flat, i * m + j, axis=-1))
    equal = tf.gather(targets, i, axis=-1) == tf.gather(targets, j, axis=-1)
    roots = problem.observation.weighted(tf.ones_like(targets))
    factor = tf.sqrt(2 * tf.gather(roots, i, axis=-1) * tf.gather(roots, j, axis=-1))
    factor = tf.where(equal, factor, tf.zeros_like(factor))[..., tf.newaxis]
    if not D.dtype.is_complex:
        return rows * factor
    return tf.concat([tf.math.real(rows), tf.math.imag(rows)], axis=-2) * tf.concat(
        [factor, factor], axis=-2
    )
