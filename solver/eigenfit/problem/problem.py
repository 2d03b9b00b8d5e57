"""Structures and the observations of their spectra: residual, loss, derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.observations import AbstractObservation, Levels
from eigenfit.problem.blocks import Block, blocks_of, labels_of
from eigenfit.problem.engines import ManyMatrices, OneMatrix, Question
from eigenfit.problem.evaluations import Evaluation, Point, answer_at
from eigenfit.problem.terms import Terms
from eigenfit.problem.unknowns.parameters import Parameters
from eigenfit.problem.unknowns.priors import PriorRows
from eigenfit.problem.variants import Variants
from eigenfit.structures import AbstractStructure, Reparametrized
from eigenfit.tensors.types import TensorLike

__all__ = ["Evaluation", "Point", "Problem", "answer_at"]


class Problem(Variants):
    """Asks for parameters that put the observed levels of matrices at their targets.

    Targets are arguments of every function, never part of the problem. The functions
    take `parameters [..., p]`, the unknowns, and `targets [..., m]`, both of
    `parameter_dtype` and with the same batch dimensions.

    The targets are those of each block in turn, in the order of its observations, and
    then those of the joint observations. Levels `[..., N]` are listed block by block.

    Args:
        structure: The structure of the matrix, or a list of `Block`s that share their
            parameters.
        observation: What is compared with the targets; all levels by default. Only
            for a single structure.
        parameters: Names, bounds, ties and the like; all free by default.
        observations: Joint observations of the levels of several blocks, or several
            observations of a single structure.
        name: Name of the `tf.Module`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an observation does not fit the order of its structure,
            `parameters` does not fit their number, or blocks have different parameters
            or the same label.

    Example:
        >>> import numpy as np
        >>> from eigenfit import Affine, Symmetric
        >>> problem = Problem(Symmetric(2))
        >>> problem.loss(tf.constant([3.0, 1.0, 0.0], tf.float64), [1.0, 1.0]).numpy()
        np.float64(4.0)

        Two matrices with a common coupling:

        >>> coupling = [[0.0, 1.0], [1.0, 0.0]]
        >>> blocks = [
        ...     Block(Affine([coupling], offset=np.diag([0.0, gap])), Levels([0]))
        ...     for gap in (1.0, 2.0)
        ... ]
        >>> problem = Problem(blocks)
        >>> problem.num_targets, problem.num_levels
        (2, 4)
        >>> problem.eigenvalues([0.0]).numpy().tolist()
        [0.0, 1.0, 0.0, 2.0]
    """

    def __init__(
        self,
        structure: AbstractStructure | Sequence[Any],
        observation: AbstractObservation | None = None,
        *,
        parameters: Parameters | None = None,
        observations: Sequence[AbstractObservation] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        blocks, joint = blocks_of(structure, observation, observations)
        resolved = self._resolve(parameters, blocks[0].structure.num_parameters)
        if (
            isinstance(structure, AbstractStructure)
            and _observes_levels(blocks[0])
            and not joint
            and resolved.prior is None
        ):
            self.labels = ("",)
            if resolved.matrix is not None:
                ties = resolved.matrix, resolved.offset
                structure = Reparametrized(structure, *ties)
            blocks = (Block(structure, blocks[0].observations or Levels()),)
            self.engine = OneMatrix(Question(blocks, Terms(blocks, self.labels)))
        else:
            self.labels = labels_of(blocks)
            terms = Terms(blocks, self.labels, joint)
            prior = None if resolved.prior is None else PriorRows(*resolved.prior)
            self.engine = ManyMatrices(Question(blocks, terms, self.ties, prior))

    def __repr__(self) -> str:
        if self.observation is not None:
            return f"Problem({self.structure!r}, {self.observation!r})"
        blocks = ", ".join(map(repr, self.blocks[:3]))
        more = f", ... {len(self.blocks)} blocks" if len(self.blocks) > 3 else ""
        joint = [observation for label, observation, _ in self.terms if label is None]
        return f"Problem([{blocks}{more}]{f', observations={joint}' if joint else ''})"

    def modes(self, parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Computes the mode shapes of each matrix, `[..., n, n]` in columns.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 0.0], [0.0, 0.0]]))
            >>> (shapes,) = problem.modes([1.0, 2.0])
            >>> abs(shapes.numpy()).tolist()
            [[1.0, 0.0], [0.0, 1.0]]
        """
        r = tf.convert_to_tensor(parameters, self.parameter_dtype)
        modes = self.engine.modes_of(self.of_blocks(r), self.engine.decompose(r)[1])
        return tuple(modes(k) for k in range(len(self.blocks)))

    def eigenvalues(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes all levels `[..., N]`, block after block; differentiable twice.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> problem.eigenvalues([0.0, 0.0]).numpy().tolist()
            [-1.0, 1.0]
        """
        return self.engine.eigenvalues(
            tf.convert_to_tensor(parameters, self.parameter_dtype)
        )

    def values(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the values to compare with targets, in their unit: `[..., m]`.

        Example:
            >>> from eigenfit import Additive, Differences
            >>> gap = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]), Differences([(1, 0)]))
            >>> gap.values([0.0, 0.0], [3.0]).numpy().tolist()
            [2.0]
        """
        point = self.evaluate(parameters, targets)
        engine, r = self.engine, self.of_blocks(point.parameters)
        return self.observed.measure(
            engine.of_block(point.eigenvalues),
            engine.modes_of(r, point.eigenvectors),
            tf.convert_to_tensor(targets, self.parameter_dtype),
        )

    def loss(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes `sum_i weight_i (t_i - value_i)^2` and the priors: `[...]`.

        A robust loss of an observation takes the place of its squares (see `Robust`).
        Gradient tapes differentiate it twice, by parameters and targets, unless mode
        shapes are observed. If only levels of one matrix are, also where they coincide
        (see `eigenfit.spectral_loss`); otherwise second derivatives are NaN there, and
        those of `hessian` exact.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> float(problem.loss([0.0, 0.0], [-1.0, 2.0]))
            1.0
        """
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        return self.engine.loss(parameters, targets)

    def residual(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes `sqrt(weight_i) (value_i - t_i)` and the priors, `[..., m + q]`.

        Where the loss is robust it is the signed root of that (see `Robust`), so that
        the loss is always the sum of squares.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> problem.residual([0.0, 0.0], [-1.0, 2.0]).numpy().tolist()
            [0.0, -1.0]
        """
        return self.evaluate(parameters, targets).residual

    def gradient(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> problem.gradient([0.0, 0.0], [-1.0, 2.0]).numpy().round(12).tolist()
            [-1.0, -1.0]
        """
        return self.gradient_at(self.evaluate(parameters, targets))

    def jacobian(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the Jacobian of the residual, `[..., m + q, p]`.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> problem.jacobian([0.0, 0.0], [-1.0, 2.0]).numpy().round(12).tolist()
            [[0.5, 0.5], [0.5, 0.5]]
        """
        return self.jacobian_at(self.evaluate(parameters, targets))

    def hessian(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the Hessian of the loss, `[..., p, p]`.

        `H_kl = sum_ij L_ij Re((V^H A_k V)_ij conj(V^H A_l V)_ij) + <G, d2A/dr_k dr_l>`
        with the gradient G of the loss by the matrix and
        `L_ij = (g_i - g_j) / (lambda_i - lambda_j)`, which for equal weights is
        `2 - 2 (t_i - t_j) / (lambda_i - lambda_j)` (Lewis & Sendov, SIAM J. Matrix
        Anal. Appl. 23 (2001)): exact where eigenvalues coincide. NaN for a member at a
        kink, where targets or weights differ inside a cluster (its width is that of
        `eigenfit.eigvalsh` by default).

        Raises:
            ValueError: If mode shapes are observed, whose second derivatives are not
                computed.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> problem.hessian([0.0, 0.0], [-1.0, 2.0]).numpy().round(12).tolist()
            [[0.5, 1.5], [1.5, 0.5]]
        """
        return self.hessian_at(self.evaluate(parameters, targets), targets)

    def hessian_vector_product(
        self, parameters: tf.Tensor, targets: tf.Tensor, vector: tf.Tensor
    ) -> tf.Tensor:
        """Computes the product of the Hessian with a vector `[..., p]`: `[..., p]`.

        For levels of one matrix it costs a few matrix products, whatever the number of
        parameters. NaN where the Hessian is NaN.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> r, targets = [0.0, 0.0], [-1.0, 2.0]
            >>> product = problem.hessian_vector_product(r, targets, [1.0, 0.0])
            >>> product.numpy().round(12).tolist()
            [0.5, 1.5]
        """
        point = self.evaluate(parameters, targets)
        return self.hessian_vector_product_at(point, targets, vector)

    def outliers(self, parameters: TensorLike, targets: TensorLike) -> tf.Tensor:
        """Finds the targets that observations with a robust loss count as wrong.

        They are those off by more than 5 standard deviations, or by more than 5 times
        `loss_scale` where none are given.

        Args:
            parameters: `[..., p]`, a solution.
            targets: `[..., m]`, the targets of the fit.

        Returns:
            `[..., m]` bool; false for observations with a linear loss, and where the
            deviation is not finite.

        Example:
            >>> from eigenfit import Additive, Levels
            >>> levels = Levels(sigma=0.1, loss="soft_l1")
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]), levels)
            >>> problem.outliers([0.0, 0.0], [-1.1, 2.0]).numpy().tolist()
            [False, True]
        """
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        missed = self.weighted(self.values(parameters, targets) - targets)
        limits = self.outlying()
        for observation, part in zip(self.observations, self.parts, strict=True):
            if observation.robust is None:
                limits[part] = np.inf
        return tf.abs(missed) > tf.constant(limits, self.parameter_dtype)

    def evaluate(self, parameters: tf.Tensor, targets: tf.Tensor) -> Evaluation:
        """Decomposes the matrices and compares their values with the targets.

        Example:
            >>> from eigenfit import Additive
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> point = problem.evaluate([0.0, 0.0], [-1.0, 2.0])
            >>> float(point.loss), point.eigenvalues.numpy().tolist()
            (1.0, [-1.0, 1.0])
            >>> problem.gradient_at(point).numpy().round(12).tolist()
            [-1.0, -1.0]
        """
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        return self.engine.evaluate(parameters, targets)


def _observes_levels(block: Block) -> bool:
    # Whether nothing else is observed of a block, by least squares.
    own = block.observations
    if own is None:
        return True
    return len(own) == 1 and isinstance(own[0], Levels) and own[0].robust is None
