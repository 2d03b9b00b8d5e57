"""The same problem with other structures, weights, losses or units."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from eigenfit.problem.at_points import AtPoints
from eigenfit.problem.blocks import Block
from eigenfit.problem.units import Unit
from eigenfit.structures import AbstractStructure
from eigenfit.tensors.types import TensorLike

if TYPE_CHECKING:
    from typing_extensions import Self


class Variants(AtPoints):
    """The part of a problem that makes others of it; they share what is not changed."""

    def with_structures(
        self, change: Callable[[AbstractStructure], AbstractStructure]
    ) -> Self:
        """Returns this problem with structures that build the same matrices.

        Args:
            change: Gives the new structure of a block.

        Example:
            >>> from eigenfit import Problem, Symmetric
            >>> problem = Problem(Symmetric(2))
            >>> problem.with_structures(lambda structure: structure) is problem
            True
        """
        structures = [change(block.structure) for block in self.blocks]
        pairs = list(zip(structures, self.blocks, strict=True))
        if all(new is block.structure for new, block in pairs):
            return self
        blocks = tuple(
            Block(new, block.observations, block.label) for new, block in pairs
        )
        own = copy.copy(self)
        own.engine = type(self.engine)(self.engine.asked._replace(blocks=blocks))
        return own

    def with_weights(self, weights: TensorLike) -> Self:
        """Returns this problem with weights for each member of a batch.

        They replace the weights and standard deviations of the observations.

        Args:
            weights: `[b, m]`, weights of the squared deviations, positive; functions
                of the problem then take batches of b members.

        Example:
            >>> from eigenfit import Additive, Problem
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> weighted = problem.with_weights([[1.0, 4.0]])
            >>> weighted.loss([[0.0, 0.0]], [[-1.0, 2.0]]).numpy().tolist()
            [4.0]
        """
        weights = tf.convert_to_tensor(weights, self.parameter_dtype)
        own = copy.copy(self)
        own.member_weights = weights
        own.engine = self.engine.replace(terms=self.observed.with_weights(weights))
        return own

    def with_linear_losses(self) -> Self:
        """Returns this problem with squares in place of robust losses.

        Example:
            >>> from eigenfit import Levels, Problem, Symmetric
            >>> problem = Problem(Symmetric(2), Levels(loss="cauchy"))
            >>> problem.is_robust, problem.with_linear_losses().is_robust
            (True, False)
        """
        if not self.is_robust:
            return self
        own = copy.copy(self)
        own.engine = self.engine.replace(terms=self.observed.with_linear_losses())
        return own

    def in_unit(self, unit: tf.Tensor, weights: tf.Tensor | tuple[()] = ()) -> Self:
        """Returns this problem with residuals measured in a unit.

        Residuals and their derivatives are divided by it, losses by its square, so
        that squares neither underflow nor overflow, whatever the unit of the levels.

        Args:
            unit: `[...]`, positive, one for each member.
            weights: `[b, m]`, weights of these members; () if they have none of their
                own.

        Example:
            >>> from eigenfit import Additive, Problem
            >>> problem = Problem(Additive([[0.0, 1.0], [1.0, 0.0]]))
            >>> scaled = problem.in_unit(tf.constant(2.0, tf.float64))
            >>> scaled.residual([0.0, 0.0], [-1.0, 2.0]).numpy().tolist()
            [0.0, -0.5]
        """
        same = isinstance(weights, tuple)
        scaled = copy.copy(self) if same else self.with_weights(weights)
        scaled.engine = scaled.engine.replace(unit=Unit(unit))
        return scaled
