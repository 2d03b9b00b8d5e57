"""One matrix of which levels are observed, without priors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import (
    decompose,
    eigvalsh,
    from_spectrum,
    loewner,
    rotate,
    rounding_width,
    spectral_loss,
    unrotate,
)
from eigenfit.observations import Levels
from eigenfit.problem.engines.base import AbstractEngine, Question
from eigenfit.problem.evaluations import Evaluation


class OneMatrix(AbstractEngine):
    """Uses that the loss is a function of the levels of one matrix.

    Its gradient and Hessian by the matrix are closed forms of the decomposition, exact
    where levels coincide. The structure has its ties built in.
    """

    def __init__(self, asked: Question) -> None:
        super().__init__(asked)
        (block,) = asked.blocks
        self._structure = block.structure

    @property
    def observation(self) -> Levels:
        """The levels observed."""
        (term,) = self.asked.terms
        assert isinstance(term.observation, Levels)
        return term.observation

    def norms(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        """Returns the largest row sum; see the base class."""
        return [largest_row_sum(self._structure.assemble(parameters))]

    def squared_norms(self) -> np.ndarray | None:
        """Returns those of the structure, None with weights; see the base class."""
        if self.observation.weights is not None:
            return None  # With weights the Jacobian's columns are scaled differently.
        return self._structure.squared_norms()

    def decompose(self, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decomposes the matrix; see the base class."""
        return decompose(self._structure.assemble(parameters))

    def eigenvectors_of(self, block: int, vectors: tf.Tensor) -> tf.Tensor:
        """Returns the only ones; see the base class."""
        del block
        return vectors

    def compare(
        self, parameters: tf.Tensor, levels: tf.Tensor, vectors: Any, targets: tf.Tensor
    ) -> Evaluation:
        """Compares observed levels with targets; see the base class."""
        residual = self.asked.unit.divide(self.observation.residual(levels, targets))
        loss = tf.reduce_sum(tf.square(residual), axis=-1)
        return Evaluation(parameters, levels, vectors, residual, loss)

    def eigenvalues(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes the levels; see the base class."""
        return eigvalsh(self._structure.assemble(parameters))

    def loss(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the loss; differentiable twice, also where levels coincide."""
        targets, weights = self.observation.spread(targets, self._structure.order)
        return spectral_loss(self._structure.assemble(parameters), targets, weights)

    def level_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivatives of the levels; see the base class."""
        return self._structure.level_jacobian(point.parameters, point.eigenvectors)

    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Takes the rows of observed levels; see the base class."""
        J = self.observation.jacobian(self.level_jacobian_at(point))
        return self.asked.unit.divide(J)

    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Pulls back the gradient by the matrix; see the base class."""
        slope = self._slope(point)
        return self.asked.unit.divide(self._structure.pullback(point.parameters, slope))

    def loewner_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Computes the matrix L of the Hessian; see `Problem.loewner_at`."""
        targets, weights = self.observation.spread(targets, self._structure.order)
        if weights is None:
            weights = tf.ones_like(targets)
        w = point.eigenvalues
        return loewner(w, targets, weights, rounding_width(w), positive)

    def hessian_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Computes the formula of `Problem.hessian`; see the base class."""
        L = self.loewner_at(point, targets, positive)
        D = self._structure.rotated_derivatives(point.parameters, point.eigenvectors)
        order = self._structure.order
        shape = tf.concat([tf.shape(D)[:-2], [order**2]], axis=0)
        # Re(X conj(Y)) summed: the real inner product of real and imaginary parts.
        parts = [tf.math.real(D), tf.math.imag(D)] if D.dtype.is_complex else [D]
        rows = tf.concat([tf.reshape(x, shape) for x in parts], axis=-1)
        weighted = tf.concat(
            [tf.reshape(x * L[..., tf.newaxis, :, :], shape) for x in parts], axis=-1
        )
        divide = self.asked.unit.divide
        H = divide(tf.linalg.matmul(weighted, rows, transpose_b=True), 2)
        if self._structure.is_linear:
            return H
        C = self._structure.curvature(point.parameters, self._slope(point))
        return H + divide(C)

    def hessian_vector_product_at(
        self, point: Evaluation, targets: tf.Tensor, vector: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Needs a few matrix products for any number of unknowns."""
        r, V, divide = point.parameters, point.eigenvectors, self.asked.unit.divide
        L = self.loewner_at(point, targets, positive)
        change = rotate(V, self._structure.pushforward(r, vector))
        G = unrotate(V, tf.cast(L, change.dtype) * change)
        product = divide(self._structure.pullback(r, G), 2)
        if self._structure.is_linear:
            return product
        more = self._structure.curvature_product(r, self._slope(point), vector)
        return product + divide(more)

    def at_kink(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have coinciding levels that should differ."""
        order = self._structure.order
        if order == 1:
            return tf.zeros_like(point.loss, tf.bool)
        w = point.eigenvalues
        close = w[..., 1:] - w[..., :-1] <= rounding_width(w)[..., tf.newaxis]
        t, weights = self.observation.spread(targets, order)
        differ = t[..., 1:] != t[..., :-1]
        if weights is not None:
            differ |= weights[..., 1:] != weights[..., :-1]
        return tf.reduce_any(close & differ, axis=-1)

    def _slope(self, point: Evaluation) -> tf.Tensor:
        # Gradient of the loss by the matrix, times the unit: [..., n, n].
        slope = self.observation.slope(point.residual, self._structure.order)
        return from_spectrum(point.eigenvectors, slope)


def largest_row_sum(A: tf.Tensor) -> tf.Tensor:
    """Bounds the levels of matrices `[..., n, n]`: `[..., 1]`."""
    sums = tf.reduce_sum(tf.abs(A), axis=-1)
    return tf.reduce_max(sums, axis=-1, keepdims=True)
