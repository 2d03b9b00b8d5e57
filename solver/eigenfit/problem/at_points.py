"""Derivatives of a problem where its matrices are decomposed already."""

from __future__ import annotations

import tensorflow as tf

from eigenfit.problem.evaluations import Evaluation
from eigenfit.problem.facts import Facts


class AtPoints(Facts):
    """The part of a problem that takes a point, the result of `Problem.evaluate`."""

    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the gradient of the loss, `[..., p]`, without a decomposition."""
        return self.engine.gradient_at(point)

    def level_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivatives of all levels, `[..., N, p]`."""
        return self.engine.level_jacobian_at(point)

    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the Jacobian, `[..., m + q, p]`, without a decomposition."""
        return self.engine.jacobian_at(point)

    def hessian_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool = False
    ) -> tf.Tensor:
        """Computes the Hessian, `[..., p, p]`, without a decomposition.

        Args:
            point: Result of `evaluate` for the same targets.
            targets: `[..., m]`.
            positive: Replaces the matrix L of `hessian` by `max(L, 0)`, which makes its
                first term positive semidefinite and stays finite at a kink: 0 for
                targets further apart than their levels.

        Raises:
            ValueError: As `hessian`; or if `positive` is asked for but more than levels
                of one matrix is observed.
        """
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        return self.engine.hessian_at(point, targets, positive)

    def hessian_vector_product_at(
        self,
        point: Evaluation,
        targets: tf.Tensor,
        vector: tf.Tensor,
        positive: bool = False,
    ) -> tf.Tensor:
        """Computes the product of `hessian_at` with a vector `[..., p]`: `[..., p]`."""
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        vector = tf.convert_to_tensor(vector, self.parameter_dtype)
        return self.engine.hessian_vector_product_at(point, targets, vector, positive)

    def target_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivative of the residual by the targets, `[..., m + q, m]`."""
        ones = tf.ones_like(point.residual[..., : self.num_targets])
        roots = tf.convert_to_tensor(self.observed.roots, ones.dtype)
        B = tf.linalg.diag(-roots * ones)
        if self.observed.depends_on_targets:
            engine, r = self.engine, self.of_blocks(point.parameters)
            change = self.observed.differentiate_by_targets(
                engine.of_block(point.eigenvalues),
                engine.modes_of(r, point.eigenvectors),
                point.targets,
            )
            B += roots[..., tf.newaxis] * change
        if self.observed.losses is not None:
            B *= self.observed.losses.slope(self._residual_of(point))[..., tf.newaxis]
        B = self.in_own_unit(B)
        return tf.pad(B, [[0, 0]] * (B.shape.rank - 2) + [[0, self.num_priors], [0, 0]])

    def bends_at(self, point: Evaluation) -> tf.Tensor:
        """Computes by how much the loss curves less than squares: `[..., m + q]`.

        Half the second derivative of the loss by a weighted deviation is that of
        Gauss-Newton, `(ds/df)^2`, times this; 1 where losses are linear.
        """
        bends = tf.ones_like(point.residual)
        if self.observed.losses is None:
            return bends
        own = self.observed.losses.bend(self._residual_of(point))
        return tf.concat([own, bends[..., self.num_targets :]], axis=-1)

    def scores_at(self, point: Evaluation) -> tf.Tensor:
        """Computes half the derivative of the loss by weighted deviations.

        It is `[..., m + q]`: the residual where losses are linear.
        """
        losses, m = self.observed.losses, self.num_targets
        if losses is None:
            return point.residual
        own = point.residual[..., :m] * losses.slope(self._residual_of(point))
        return tf.concat([own, point.residual[..., m:]], axis=-1)

    def _residual_of(self, point: Evaluation) -> tf.Tensor:
        # Of the targets, in their own unit: [..., m].
        return self.in_own_unit(point.residual[..., : self.num_targets], -1)

    def at_kink(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have coinciding levels that should differ: `[...]`.

        Where more than levels of one matrix is observed, these are all that coincide.
        """
        return self.engine.at_kink(point, targets)
