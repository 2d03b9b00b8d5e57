"""Newton's method with the equations of prescribed multiple eigenvalues."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.methods.stepping import proposal, steps
from eigenfit.methods.stepping.proposal import Proposal
from eigenfit.methods.stepping.undamped import AbstractUndamped
from eigenfit.observations import Levels
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
        scale, norms, J, half_gradient, _ = steps.scaled_at(problem, point, memory)
        # In the basis of the eigenvectors the blocks are already diagonal.
        couplings = couplings_of(problem, point, targets)
        if couplings is not None:
            couplings = problem.in_own_unit(couplings) / norms[..., tf.newaxis, :]
        none = tf.zeros_like(point.loss)
        return Proposal(
            step=steps.direction(J, point.residual, none, couplings),
            half_gradient=half_gradient,
            norms=norms,
            memory=scale,
        )


def clustered(problem: Problem) -> list[tuple[int, np.ndarray, slice]]:
    """Lists where two levels or more of a block are observed as such.

    Returns:
        The number of each block, the positions of its observed levels, and the part of
        the targets they belong to.
    """
    return [
        (block, observation.positions(problem.blocks[block].structure.order), part)
        for label, observation, part in problem.terms
        if isinstance(observation, Levels) and part.stop - part.start > 1
        for block in (problem.labels.index(str(label)),)
    ]


def couplings_of(
    problem: Problem, point: Evaluation, targets: tf.Tensor
) -> tf.Tensor | None:
    """Computes `sqrt(2) v_i^H A_k v_j` for equal targets i < j: `[..., pairs, p]`.

    Pairs of unequal targets have rows of zeros. Weighted levels have the geometric
    mean of their weights. For complex matrices the rows of the imaginary parts follow
    those of the real parts, block by block. None where no two levels are observed.
    """
    roots = problem.weighted(tf.ones_like(targets))
    r, found = problem.of_blocks(point.parameters), []
    for block, positions, part in clustered(problem):
        V = tf.gather(problem.eigenvectors_of(block, point), positions, axis=-1)
        D = problem.blocks[block].structure.rotated_derivatives(r, V)
        D = problem.block_ties.pull_matrices(D)
        m = len(positions)
        i, j = np.triu_indices(m, 1)
        flat = tf.reshape(D, tf.concat([tf.shape(D)[:-2], [m * m]], axis=0))
        rows = tf.linalg.matrix_transpose(tf.gather(flat, i * m + j, axis=-1))
        t, root = targets[..., part], roots[..., part]
        equal = tf.gather(t, i, axis=-1) == tf.gather(t, j, axis=-1)
        factor = tf.sqrt(2 * tf.gather(root, i, axis=-1) * tf.gather(root, j, axis=-1))
        factor = tf.where(equal, factor, tf.zeros_like(factor))[..., tf.newaxis]
        parts = [rows]
        if D.dtype.is_complex:
            parts = [tf.math.real(rows), tf.math.imag(rows)]
        found += [x * factor for x in parts]
    if not found:
        return None
    return found[0] if len(found) == 1 else tf.concat(found, axis=-2)
