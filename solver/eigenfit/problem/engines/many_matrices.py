"""Several matrices, any observations, and priors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import decompose, eigh, eigvalsh, rounding_width
from eigenfit.observations import Spectrum
from eigenfit.observations.base import over
from eigenfit.problem.engines.base import AbstractEngine, Question
from eigenfit.problem.engines.groups import group
from eigenfit.problem.engines.one_matrix import largest_row_sum
from eigenfit.problem.engines.second_order import by_levels, spectral_hessian
from eigenfit.problem.evaluations import Evaluation


class ManyMatrices(AbstractEngine):
    """Decomposes matrices of the same order in one batch.

    Eigenvectors are a tuple, `[..., B, n, n]` for the B matrices of each order.
    """

    def __init__(self, asked: Question) -> None:
        super().__init__(asked)
        self.groups, self._places = group([block.structure for block in asked.blocks])

    def norms(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        """Returns the largest row sums; see the base class."""
        r = self.asked.ties.expand(parameters)
        norms = [largest_row_sum(g.assemble(r)) for g in self.groups]
        return [norms[number][..., place, :] for number, place in self._places]

    def squared_norms(self) -> None:
        """Returns None: the scales are taken from the Jacobian."""

    def decompose(
        self, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        """Decomposes group after group; see the base class."""
        r = self.asked.ties.expand(parameters)
        pairs = [decompose(g.assemble(r)) for g in self.groups]
        return self._in_order([w for w, _ in pairs]), tuple(V for _, V in pairs)

    def eigenvectors_of(self, block: int, vectors: Any) -> tf.Tensor:
        """Takes a block's from its group; see the base class."""
        number, place = self._places[block]
        return vectors[number][..., place, :, :]

    def compare(
        self, parameters: tf.Tensor, levels: tf.Tensor, vectors: Any, targets: tf.Tensor
    ) -> Evaluation:
        """Compares values and appends priors; see the base class."""
        weighted = self._weighted(parameters, levels, vectors, targets)
        losses = self.asked.terms.losses
        if losses is not None:
            weighted = losses.root(weighted)
        residual = self._residual(parameters, weighted)
        loss = tf.reduce_sum(tf.square(residual), axis=-1)
        return Evaluation(parameters, levels, vectors, residual, loss, targets)

    def eigenvalues(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes the levels group after group; see the base class."""
        r = self.asked.ties.expand(parameters)
        return self._in_order([eigvalsh(g.assemble(r)) for g in self.groups])

    def loss(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the loss; differentiable twice unless mode shapes are observed.

        The second derivative is NaN where levels of a block coincide; `hessian_at` is
        exact there.
        """
        if self.asked.terms.has_modes:
            r = self.asked.ties.expand(parameters)
            pairs = [eigh(g.assemble(r)) for g in self.groups]
            w, vectors = self._in_order([w for w, _ in pairs]), [V for _, V in pairs]
        else:
            w, vectors = self.eigenvalues(parameters), None
        weighted = self._weighted(parameters, w, vectors, targets)
        losses = self.asked.terms.losses
        if losses is not None:
            weighted = losses.taped_root(weighted)
        residual = self._residual(parameters, weighted)
        return tf.reduce_sum(tf.square(residual), axis=-1)

    def gradient_at(self, point: Evaluation) -> tf.Tensor:
        """Computes `2 J^T residual`; see the base class."""
        J = self.jacobian_at(point)
        return 2 * tf.linalg.matvec(J, point.residual, transpose_a=True)

    def level_jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Computes the derivatives of the levels; see the base class."""
        return self.asked.ties.pull(self._by_all(point))

    def jacobian_at(self, point: Evaluation) -> tf.Tensor:
        """Differentiates each observation; see the base class."""
        _, terms, ties, prior, unit = self.asked
        r = ties.expand(point.parameters)
        levels = self._by_all(point)

        def spectrum(block: int | None) -> Spectrum:
            return self._spectrum(block, r, point, levels)

        J = terms.differentiate(spectrum, point.targets)
        roots = tf.convert_to_tensor(terms.roots[..., np.newaxis], J.dtype)
        J *= roots
        if terms.losses is not None:
            residual = unit.divide(point.residual[..., : terms.num_targets], -1)
            J *= terms.losses.slope(residual)[..., tf.newaxis]
        J = ties.pull(J)
        J = J if prior is None else prior.extend_jacobian(J)
        return unit.divide(J)

    def hessian_at(
        self, point: Evaluation, targets: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Differentiates the loss by the levels twice; see the base class.

        Raises:
            ValueError: If mode shapes are observed, or `positive` is asked for.
        """
        del targets  # Those of the point are tensors of the right dtype.
        blocks, terms, ties, prior, unit = self.asked
        if positive:
            raise ValueError("`positive` is for a single matrix with Levels.")
        if terms.has_modes:
            raise ValueError(
                "Second derivatives of mode shapes are not computed. Near a solution "
                "that meets its targets, 2 J^T J of `jacobian` is the Hessian."
            )
        vectors = [
            self.eigenvectors_of(k, point.eigenvectors) for k in range(len(blocks))
        ]
        H = spectral_hessian(
            [block.structure for block in blocks],
            ties,
            ties.expand(point.parameters),
            (point.eigenvalues, vectors, self.level_jacobian_at(point)),
            self._by_levels(point),
        )
        if prior is None:
            return H
        own = tf.constant(prior.hessian(), H.dtype)
        return H + unit.divide(tf.zeros_like(H) + own, 2)

    def hessian_vector_product_at(
        self, point: Evaluation, targets: tf.Tensor, vector: tf.Tensor, positive: bool
    ) -> tf.Tensor:
        """Multiplies by the Hessian; see the base class."""
        return tf.linalg.matvec(self.hessian_at(point, targets, positive), vector)

    def at_kink(self, point: Evaluation, targets: tf.Tensor) -> tf.Tensor:
        """Returns which members have coinciding levels in a block."""
        del targets
        kink = tf.zeros_like(point.loss, tf.bool)
        for w in self.split(point.eigenvalues):
            if w.shape[-1] > 1:
                close = w[..., 1:] - w[..., :-1] <= rounding_width(w)[..., tf.newaxis]
                kink |= tf.reduce_any(close, axis=-1)
        return kink

    def _by_levels(self, point: Evaluation) -> tuple[tf.Tensor, tf.Tensor]:
        # Derivatives of the loss without priors by the levels: [..., N], [..., N, N].
        terms, unit, losses = self.asked.terms, self.asked.unit, self.asked.terms.losses
        w, number = point.eigenvalues, self._starts[-1]
        if losses is None or not all(x.observation.is_linear for x in terms):
            return by_levels(self._loss_of_levels, number, w, point.targets)
        # The values are C w: nothing is left to automatic differentiation.
        one = tf.eye(number, dtype=w.dtype)
        C = terms.measure(self.of_block(one), None, tf.zeros([number, 1], w.dtype))
        roots = tf.convert_to_tensor(terms.roots, w.dtype)[..., tf.newaxis]
        rows = unit.divide(tf.linalg.matrix_transpose(C) * roots + 0 * w[..., :1, None])
        residual = point.residual[..., : terms.num_targets]
        s = unit.divide(residual, -1)
        slope = losses.slope(s)
        g = 2 * tf.linalg.matvec(rows, residual * slope, transpose_a=True)
        bent = rows * (losses.bend(s) * slope**2)[..., tf.newaxis]
        return g, 2 * tf.linalg.matmul(rows, bent, transpose_a=True)

    def _loss_of_levels(self, w: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        # The loss without priors as a function of levels [..., N].
        terms = self.asked.terms
        values = terms.measure(self.of_block(w), None, targets)
        roots = tf.convert_to_tensor(terms.roots, w.dtype)
        if roots.shape.rank > 1:
            roots = over(roots, values.shape.rank)
        residual = roots * (values - targets)
        if terms.losses is not None:
            residual = terms.losses.taped_root(residual)
        residual = self.asked.unit.divide(residual)
        return tf.reduce_sum(tf.square(residual), axis=-1)

    def _in_order(self, levels: list[tf.Tensor]) -> tf.Tensor:
        # [..., B, n] for each group -> [..., N], block after block.
        return tf.concat(
            [levels[number][..., place, :] for number, place in self._places], axis=-1
        )

    def _weighted(
        self, parameters: tf.Tensor, w: tf.Tensor, vectors: Any, targets: tf.Tensor
    ) -> tf.Tensor:
        # Weighted deviations from the targets, [..., m].
        terms = self.asked.terms
        modes = self.modes_of(self.asked.ties.expand(parameters), vectors)
        values = terms.measure(self.of_block(w), modes, targets)
        return (values - targets) * tf.convert_to_tensor(terms.roots, w.dtype)

    def _residual(self, parameters: tf.Tensor, own: tf.Tensor) -> tf.Tensor:
        # What losses make of the deviations, with the priors: [..., m + q].
        if self.asked.prior is not None:
            own = self.asked.prior.extend(own, parameters)
        return self.asked.unit.divide(own)

    def _by_all(self, point: Evaluation) -> tf.Tensor:
        # Derivatives of the levels by the parameters of the matrices, [..., N, P].
        r = self.asked.ties.expand(point.parameters)
        each = [
            g.level_jacobian(r, V)
            for g, V in zip(self.groups, point.eigenvectors, strict=True)
        ]
        rows = [each[number][..., place, :, :] for number, place in self._places]
        return tf.concat(rows, axis=-2)

    def _spectrum(
        self, block: int | None, r: tf.Tensor, point: Evaluation, J: tf.Tensor
    ) -> Spectrum:
        w = point.eigenvalues
        if block is None:
            first = self.asked.blocks[0].structure
            return Spectrum(first, r, w, w[..., tf.newaxis], J)
        a, b = self._starts[block], self._starts[block + 1]
        V = self.eigenvectors_of(block, point.eigenvectors)
        structure = self.asked.blocks[block].structure
        return Spectrum(structure, r, w[..., a:b], V, J[..., a:b, :])
